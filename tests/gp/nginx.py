"""A real nginx as a mail proxy: blind to content, it asks an HTTP server (here itself) where a session is to go."""

import grp
import pwd

from . import env

CONF = """
load_module {peer}/usr/lib/nginx/modules/ngx_mail_module.so;
daemon off;
worker_processes auto;
pid {dir}/nginx.pid;
error_log {dir}/nginx.log warn;
{user}
events {{ worker_connections 4096; }}
http {{
	access_log off;
	client_body_temp_path {dir}/t1; proxy_temp_path {dir}/t2; fastcgi_temp_path {dir}/t3;
	uwsgi_temp_path {dir}/t4; scgi_temp_path {dir}/t5;
	server {{
		listen 127.0.0.1:{http};
{answers}
	}}
}}
mail {{
	server_name nginx.example.org;
	smtp_auth none;
	smtp_client_buffer 64k;
	smtp_capabilities PIPELINING 8BITMIME "SIZE 104857600";
	xclient off;
	proxy_buffer 64k;
	timeout 60s;
{servers}
}}
"""
ANSWER = "\t\tlocation /{to} {{ add_header Auth-Status OK; add_header Auth-Server 127.0.0.1; add_header Auth-Port {to}; return 204; }}\n"
SERVER = "\tserver {{ protocol smtp; listen 127.0.0.1:{port}; auth_http 127.0.0.1:{http}/{to}; }}\n"


def command(directory, ports):
    """nginx's command line, its configuration written. `ports`: {where it listens: where it sends that}."""
    peer, http = env.peer("nginx"), env.free_port()
    group = grp.getgrgid(pwd.getpwnam(env.USER).pw_gid).gr_name
    conf = directory / "nginx.conf"
    conf.write_text(CONF.format(
        dir=directory, peer=peer, http=http, user="user %s %s;" % (env.USER, group) if env.is_root() else "",
        answers="".join(ANSWER.format(to=to) for to in set(ports.values())),
        servers="".join(SERVER.format(port=port, http=http, to=to) for port, to in ports.items())))
    return [peer / "usr/sbin/nginx", "-p", directory, "-e", directory / "nginx.log", "-c", conf]
