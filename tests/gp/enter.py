"""Other network namespaces, from below: run as a program by gp/netns.py, for Python's own modules cannot.

    enter.py hold N                     makes N network namespaces (without root: inside a user namespace of
                                        its own), prints the process ids that hold them, ends with its stdin
    enter.py run PID all|raw COMMAND    runs a command there, with all capabilities or with CAP_NET_RAW alone
    enter.py socket PID FD FAMILY HOST PORT listen|connect
                                        sends such a socket of that namespace through the descriptor FD"""

import ctypes
import os
import signal
import socket
import sys

NEWUSER, NEWNET = 0x10000000, 0x40000000
PDEATHSIG, AMBIENT, AMBIENT_RAISE = 1, 47, 2
NET_RAW = 13
VERSION_3 = 0x20080522

libc = ctypes.CDLL(None, use_errno=True)


def call(name, *arguments):
    if getattr(libc, name)(*arguments) == -1:
        number = ctypes.get_errno()
        raise OSError(number, "%s: %s" % (name, os.strerror(number)))


def become_root_of_own():
    """A user namespace in which we are who we are, and may do everything."""
    uid, gid = os.geteuid(), os.getegid()
    call("unshare", NEWUSER)
    for file, line in ("setgroups", "deny"), ("uid_map", "%d %d 1" % (uid, uid)), ("gid_map", "%d %d 1" % (gid, gid)):
        with open("/proc/self/" + file, "w") as f:
            f.write(line)


def hold(number):
    if os.geteuid() != 0:
        become_root_of_own()
    pids = []
    for _ in range(number):
        ready, told = os.pipe()
        pid = os.fork()
        if pid == 0:
            call("prctl", PDEATHSIG, signal.SIGKILL, 0, 0, 0)
            call("unshare", NEWNET)
            os.write(told, b"x")
            signal.pause()
        os.close(told)
        if os.read(ready, 1) != b"x":
            raise SystemExit("no network namespace")
        pids.append(pid)
    print(*pids, flush=True)
    sys.stdin.read()
    for pid in pids:
        os.kill(pid, signal.SIGKILL)


def enter(pid):
    ours, theirs = os.readlink("/proc/self/ns/user"), os.readlink("/proc/%s/ns/user" % pid)
    with open("/proc/%s/ns/user" % pid) as user, open("/proc/%s/ns/net" % pid) as net:
        if ours != theirs:
            call("setns", user.fileno(), NEWUSER)
        call("setns", net.fileno(), NEWNET)


def keep(capabilities):
    """They outlive an exec of a plain user's; root's do without it."""
    head = (ctypes.c_uint32 * 2)(VERSION_3, 0)
    data = (ctypes.c_uint32 * 6)()
    call("capget", head, data)
    data[2], data[5] = data[1], data[4]  # inheritable: what is permitted
    call("capset", head, data)
    for capability in capabilities:
        libc.prctl(AMBIENT, AMBIENT_RAISE, capability, 0, 0)  # the highest ones need not exist


def run(pid, which, command):
    enter(pid)
    if os.geteuid() != 0:
        keep([NET_RAW] if which == "raw" else range(64))
    os.execvp(command[0], command)


def make_socket(pid, fd, family, host, port, what):
    enter(pid)
    sock = socket.socket(getattr(socket, family), socket.SOCK_STREAM)
    if what == "listen":
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((host, int(port)))
        sock.listen(1024)
    else:
        sock.settimeout(5)
        sock.connect((host, int(port)))
    through = socket.socket(fileno=int(fd))
    socket.send_fds(through, [b"x"], [sock.fileno()])


if __name__ == "__main__":
    word, words = sys.argv[1], sys.argv[2:]
    try:
        if word == "hold":
            hold(int(words[0]))
        elif word == "run":
            run(words[0], words[1], words[2:])
        else:
            make_socket(*words)
    except OSError as why:
        sys.exit("%s" % why)
