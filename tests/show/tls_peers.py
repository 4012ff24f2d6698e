"""Who is measured for tls-rate and idle-memory: each greets as SMTP, in the clear and in TLS at once.

Gatepost with two workers; a bare server of libev and OpenSSL with two processes; HAProxy with two threads before a
sink; nginx's mail proxy with two workers. Each is (process, {"plain": port, "P-256": port, "RSA": port})."""

import grp
import pwd

import common
from common import env
from gp.process import Process

WORKERS = 2
KINDS = ("P-256", "RSA")

GATEPOST = """
hostname {hostname};
user {user};
scan-user {scan_user};
workers {workers};
log file {dir}/gatepost.log;
tmp-dir {dir}/tmp;
state-dir {dir}/state;
max-connections 4000;
antivirus off;
backend sink {{ protocol smtp; address 127.0.0.1:{sink}; }}
profile default {{ }}
route example.org {{ backend sink; profile default; }}
listener plain {{ protocol smtp; address 127.0.0.1:{plain}; allow any; max-per-address 0; idle-timeout 600s; }}
"""
GATEPOST_TLS = """
tls {kind} {{ certificate {certificate}; key {key}; }}
listener {kind} {{ protocol smtp; address 127.0.0.1:{port}; tls {kind}; tls-mode implicit; allow any; max-per-address 0; idle-timeout 600s; }}
"""

HAPROXY = """
global
	maxconn 5000
	nbthread {workers}
defaults
	mode tcp
	timeout connect 5s
	timeout client 600s
	timeout server 600s
frontend plain
	bind 127.0.0.1:{plain}
	default_backend sink
backend sink
	server sink 127.0.0.1:{sink}
"""
HAPROXY_TLS = "frontend tls-{kind}\n\tbind 127.0.0.1:{port} ssl crt {pem} ssl-min-ver TLSv1.3\n\tdefault_backend sink\n"

NGINX = """
load_module {modules}/ngx_mail_module.so;
{user}
worker_processes {workers};
worker_rlimit_nofile 10000;
error_log {dir}/nginx.log;
pid {dir}/nginx.pid;
daemon off;
events {{ worker_connections 5000; }}
mail {{
	server_name {hostname};
	auth_http 127.0.0.1:{closed}/;
	smtp_auth none;
	timeout 600s;
	ssl_protocols TLSv1.3;
	server {{ protocol smtp; listen 127.0.0.1:{plain}; }}
{servers}
}}
"""
NGINX_TLS = "\tserver {{ protocol smtp; listen 127.0.0.1:{port} ssl; ssl_certificate {certificate}; ssl_certificate_key {key}; }}\n"


def ports():
    return {name: env.free_port() for name in ("plain", *KINDS)}


def pair(certs, kind):
    certificate, key = certs.leaf("rate", env.HOSTNAME, kind=kind)
    return {"kind": kind, "certificate": certificate, "key": key}


def gatepost(directory, started, certs, sink):
    at, conf = ports(), directory / "gatepost.conf"
    (directory / "tmp").mkdir()
    (directory / "tmp").chmod(0o1777)
    log = directory / "gatepost.log"
    conf.write_text(GATEPOST.format(hostname=env.HOSTNAME, user=env.USER, scan_user=env.SCAN_USER, workers=WORKERS,
                                    dir=directory, plain=at["plain"], sink=sink)
                    + "".join(GATEPOST_TLS.format(port=at[kind], **pair(certs, kind)) for kind in KINDS))
    process = Process([env.BIN, "run", "-c", conf], directory / "gatepost.err")
    started.callback(process.stop)
    common.wait_port(process, at["RSA"])
    process.log_path = log
    process.wait_log(r"\bready:", timeout=env.PATIENCE)
    return process, at


def bare(directory, started, certs, kind):
    one, port = pair(certs, kind), env.free_port()
    process = Process([common.BENCH / "tlsbare", "--port", port, "--certificate", one["certificate"], "--key", one["key"],
                       "--processes", WORKERS], directory / ("tlsbare-%s.log" % kind))
    return common.start(started, process, port), {kind: port}


def haproxy(directory, started, certs, sink):
    at, conf = ports(), directory / "haproxy.cfg"
    text = HAPROXY.format(workers=WORKERS, plain=at["plain"], sink=sink)
    for kind in KINDS:
        one, pem = pair(certs, kind), directory / ("haproxy-%s.pem" % kind)
        pem.write_text(one["certificate"].read_text() + one["key"].read_text())
        text += HAPROXY_TLS.format(kind=kind, port=at[kind], pem=pem)
    conf.write_text(text)
    process = Process([env.peer("haproxy") / "usr/sbin/haproxy", "-db", "-f", conf], directory / "haproxy.log")
    return common.start(started, process, max(at.values())), at


def nginx_user():
    if not env.is_root():
        return ""
    return "user %s %s;" % (env.USER, grp.getgrgid(pwd.getpwnam(env.USER).pw_gid).gr_name)


def nginx(directory, started, certs):
    at, conf, peer = ports(), directory / "nginx.conf", env.peer("nginx")
    servers = "".join(NGINX_TLS.format(port=at[kind], **pair(certs, kind)) for kind in KINDS)
    conf.write_text(NGINX.format(modules=peer / "usr/lib/nginx/modules", user=nginx_user(), workers=WORKERS, dir=directory,
                                 hostname=env.HOSTNAME, closed=env.free_port(), plain=at["plain"], servers=servers))
    process = Process([peer / "usr/sbin/nginx", "-p", directory, "-c", conf, "-e", directory / "nginx.log"],
                      directory / "nginx.err")
    return common.start(started, process, max(at.values())), at
