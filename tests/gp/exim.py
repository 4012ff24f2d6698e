"""A real Exim: a server on a loopback port with mail for example.org into Maildirs, and a client that sends on."""

import subprocess

from . import env
from .cell import Cell
from .mailstore import Mailstore

SERVER = """
primary_hostname = store.example.org
exim_user = exim
exim_group = exim
never_users =
deliver_drop_privilege
keep_environment =
add_environment = PATH=/bin
log_file_path = /var/log/exim4/%slog
spool_directory = /var/spool/exim4
pid_file_path = /run/exim.pid
local_interfaces = 127.0.0.1
daemon_smtp_ports = {port} : {tls_port}
tls_on_connect_ports = {tls_port}
tls_advertise_hosts = *
tls_certificate = /etc/cert.pem
tls_privatekey = /etc/key.pem
host_lookup =
rfc1413_hosts =
disable_ipv6
dns_again_means_nonexist = *
prdr_enable
dsn_advertise_hosts = *
smtp_accept_max = 0
smtp_accept_max_per_connection = 100000
smtp_accept_queue_per_connection = 0
message_size_limit = 100M
message_logs = false
acl_smtp_mail = accept
acl_smtp_rcpt = check_rcpt
acl_smtp_data = accept
acl_smtp_data_prdr = accept
acl_smtp_vrfy = accept
acl_smtp_etrn = accept
smtp_etrn_command = /bin/true
domainlist ours = {domains}

begin acl
check_rcpt:
  accept domains = +ours
         local_parts = lsearch;/etc/users
  deny   domains = +ours
         message = no such user
  accept authenticated = *
  deny   message = relay not permitted

begin routers
store:
  driver = accept
  domains = +ours
  local_parts = lsearch;/etc/users
  transport = store
{route}
begin transports
store:
  driver = appendfile
  directory = /mail/$local_part_data
  create_directory
  maildir_format
  delivery_date_add = false
  envelope_to_add = false
  return_path_add = false
{transport}
begin retry
* * F,2h,1s

begin authenticators
plain:
  driver = plaintext
  public_name = PLAIN
  server_condition = ${{if and {{{{eq{{$auth2}}{{alice}}}}{{eq{{$auth3}}{{{password}}}}}}}}}
  server_set_id = $auth2
  server_advertise_condition = yes
{authenticator}
"""


class Exim(Mailstore):
    """Accepts mail for the users of example.org; knows nobody else (550). alice may authenticate."""

    password = "secret"

    def __init__(self, certificate, users=("alice", "bob", "carol"), route="", transport="", authenticator="",
                 domains="example.org"):
        """`certificate`: (certificate, key) files. `route`, `transport`, `authenticator`: more of Exim's own language;
        `domains`: whose mail stays here."""
        self.port, self.tls_port = env.free_port(), env.free_port()  # STARTTLS; implicit TLS
        self.cell = cell = Cell(env.peer("exim"), ["usr/sbin/exim4"], ["exim", "Debian-exim"])
        cell.put("etc/exim4/exim4.conf", SERVER.format(
            port=self.port, tls_port=self.tls_port, password=self.password, route=route, transport=transport,
            authenticator=authenticator, domains=domains))
        cell.put("etc/users", "".join("%s: %s\n" % (user, user) for user in users))
        cell.put("etc/cert.pem", certificate[0].read_bytes())
        cell.put("etc/key.pem", certificate[1].read_bytes(), "exim")
        for name in ("mail", "var/spool/exim4", "var/log/exim4", "run"):
            cell.directory(name, "exim")

    available = staticmethod(Cell.available)

    def start(self):
        self.cell.start(["/usr/sbin/exim4", "-bdf", "-q1s"])
        self._wait_port(self.port)
        return self

    def log(self):
        said = subprocess.run(env.as_root(["sh", "-c", 'cat "$0"/var/log/exim4/*', str(self.cell.dir)]), capture_output=True,
                              text=True, errors="replace").stdout
        return said + self.cell.log()

    def send(self, sender, recipients, message):
        """Gives Exim a message as a local program would; it goes where its routers say."""
        done = subprocess.run(env.as_root(["chroot", str(self.cell.dir), "/usr/sbin/exim4", "-i", "-f", sender, "--", *recipients]),
                              input=message.replace(b"\r\n", b"\n"), capture_output=True, timeout=env.PATIENCE * 3)
        assert done.returncode == 0, done.stderr
