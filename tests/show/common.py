"""What the show scripts share: the load client and the sink, processes by their titles and their cost.

A show script prints figures and ends with 0 when its truth holds, 1 when it does not, 2 when it
could not run. What it started it ends by process id."""

import contextlib
import json
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from gp import env  # noqa: E402
from gp.process import Process  # noqa: E402

BENCH = env.ROOT / "build" / "tests" / "bench"
TICKS = os.sysconf("SC_CLK_TCK")


def cannot(why):
    """The script cannot run here."""
    print("%s: cannot run: %s" % (Path(sys.argv[0]).name, why), file=sys.stderr)
    sys.exit(2)


def verdict(name, faults):
    """The last line, and the exit status."""
    for fault in faults:
        print("%s: NOT as it must be: %s" % (name, fault))
    print("%s: %s" % (name, "as it must be" if not faults else "%d faults" % len(faults)))
    sys.exit(1 if faults else 0)


def build(*tools):
    """The program and its measuring tools (load and sink if none is named), as `make` builds them; on a fresh
    machine `make deps` comes first."""
    targets = [BENCH / tool for tool in tools or ("load", "sink")]
    if env.BIN == env.ROOT / "build" / "gatepost":
        targets.append(env.BIN)
    make = ["make", "-s", "-C", str(env.ROOT)]
    command = make + [str(t.relative_to(env.ROOT)) for t in targets]
    if subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode == 0:
        return
    subprocess.run(make + ["deps"], stdout=subprocess.DEVNULL)
    if subprocess.run(command, stdout=subprocess.DEVNULL).returncode != 0:
        cannot("the build failed")


@contextlib.contextmanager
def scene():
    """A scratch directory and an ExitStack: what was started stands in it with its stop() and is
    stopped, the last one first, whatever happens."""
    directory = env.scratch()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the stack is unwound
    with contextlib.ExitStack() as started:
        started.callback(shutil.rmtree, directory, ignore_errors=True)
        yield directory, started


def start(started, process, port):
    """Sees to its end; returns when somebody listens there."""
    started.callback(process.stop)
    return wait_port(process, port)


def wait_port(process, port):
    """Until somebody listens there."""
    deadline = time.monotonic() + env.PATIENCE
    while time.monotonic() < deadline and process.child.poll() is None:
        with socket.socket() as s:
            if s.connect_ex(("127.0.0.1", port)) == 0:
                return process
        time.sleep(0.01)
    cannot("%s does not listen on port %d:\n%s" % (process.command[0], port, process.log()))


def sink(directory, started, *options):
    """Our own sink on a port of its own: (process, port)."""
    port = env.free_port()
    process = Process([BENCH / "sink", "--port", port, *options], directory / ("sink-%d.log" % port))
    return start(started, process, port), port


def load_command(port, **options):
    """load's command line: kept=True is --kept, connections=20 is --connections 20."""
    command = [str(BENCH / "load"), "--port", str(port)]
    for name, value in options.items():
        if value is not None and value is not False:
            command += ["--" + name] + ([] if value is True else [str(value)])
    return command


def load(port, **options):
    """Runs the load client to its end: what it printed, as a dict."""
    done = subprocess.run(load_command(port, **options), stdout=subprocess.PIPE, text=True)
    if done.returncode == 2:
        cannot("the load client failed")
    return json.loads(done.stdout)


def words(line):
    """"id=17 size=4096" as a dict of strings."""
    return dict(word.split("=", 1) for word in line.split())


# ---- processes ----

def children(pid):
    try:
        with open("/proc/%d/task/%d/children" % (pid, pid)) as f:
            return [int(word) for word in f.read().split()]
    except OSError:
        return []


def tree(pid):
    """A process and all below it."""
    found = [pid]
    for one in found:
        found.extend(children(one))
    return found


def title(pid):
    """What ps shows for it; "" when it is gone."""
    try:
        with open("/proc/%d/cmdline" % pid, "rb") as f:
            return f.read().split(b"\0")[0].decode("ascii", "replace")
    except OSError:
        return ""


def stat(pid):
    """The words of /proc/PID/stat behind the name: [0] is the state, [11..14] the times."""
    try:
        with open("/proc/%d/stat" % pid) as f:
            return f.read().rpartition(")")[2].split()
    except OSError:
        return None


def cpu(pid):
    """Seconds of CPU, user and system, that a process, all below it and their ended children took."""
    total = 0
    for one in tree(pid):
        fields = stat(one)
        if fields:
            total += sum(map(int, fields[11:15]))
    return total / TICKS


class Killer(threading.Thread):
    """Every `every` seconds kills (-9) one process below `master` whose title matches, chosen by lot.

    hold=True: the process is stopped first and its title read again, so that only a process that
    still does what its title says is killed, and counted; another one is let go and the next tried."""

    def __init__(self, master, pattern, every, hold=False):
        super().__init__(daemon=True)
        self.master, self.pattern, self.every, self.hold = master, re.compile(pattern), every, hold
        self.killed, self.ticks, self.let_go, self.nobody = [], 0, 0, 0
        self.done = threading.Event()

    def run(self):
        due = time.monotonic() + self.every
        while not self.done.wait(max(0, due - time.monotonic())):
            due = max(due + self.every, time.monotonic())
            self.ticks += 1
            if not self._kill_one():
                self.nobody += 1

    def stop(self):
        self.done.set()
        self.join()

    def _kill_one(self):
        found = [(pid, text) for pid in tree(self.master)[1:] for text in [title(pid)] if self.pattern.search(text)]
        random.shuffle(found)
        for pid, text in found:
            if self._kill(pid, text):
                self.killed.append(text)
                return True
        return False

    def _kill(self, pid, text):
        try:
            handle = os.pidfd_open(pid)  # a number may be given to a new process meanwhile; this is the one
        except OSError:
            return False
        try:
            if self.hold:
                signal.pidfd_send_signal(handle, signal.SIGSTOP)
                if not self._stopped(pid) or title(pid) != text:
                    signal.pidfd_send_signal(handle, signal.SIGCONT)
                    self.let_go += 1
                    return False
            elif title(pid) != text:
                return False
            signal.pidfd_send_signal(handle, signal.SIGKILL)
            return True
        except ProcessLookupError:
            return False
        finally:
            os.close(handle)

    def _stopped(self, pid):
        for _ in range(100):
            fields = stat(pid)
            if fields is None or fields[0] == "Z":
                return False
            if fields[0] == "T":
                return True
            time.sleep(0.0002)
        return False


# ---- a load that is disturbed ----

def mail_file(path, octets):
    """A message of about this size that gives rules and antivirus work: text, HTML and a file in base64."""
    from email.mime.application import MIMEApplication
    from email.mime.multipart import MIMEMultipart
    from email.mime.text import MIMEText

    lot = random.Random(octets)
    vocabulary = "the minutes of our meeting and a table with figures for spring please read before Tuesday".split()
    text = "\n".join(" ".join(lot.choice(vocabulary) for _ in range(11)) for _ in range(max(1, octets // 300)))
    mail = MIMEMultipart()
    mail["From"], mail["To"] = "Load <load@example.net>", "<user@example.org>"
    mail["Subject"], mail["Date"] = "Minutes of the meeting", "Mon, 05 Jan 2026 10:00:00 +0000"
    mail["Message-ID"] = "<minutes@load.example.net>"
    mail.attach(MIMEText(text))
    mail.attach(MIMEText("<html><body><p>%s</p></body></html>" % text.replace("\n", "</p>\n<p>"), "html"))
    mail.attach(MIMEApplication(lot.randbytes(octets // 3), name="figures.bin"))
    path.write_bytes(mail.as_bytes())
    return path


def disturbed(directory, gatepost, port, record, killer, messages, octets):
    """Sends `messages` mails at 20 connections through the gate while `killer` works. Returns what load
    printed, its log by message number, and the sink's records by message number."""
    mark = record.stat().st_size if record.exists() else 0
    log = directory / "load.log"
    sender = subprocess.Popen(load_command(port, connections=20, messages=messages, retry=True, log=log,
                                           body=mail_file(directory / "mail", octets)),
                              stdout=subprocess.PIPE, text=True)
    try:
        killer.start()
        out, _ = sender.communicate()
    finally:
        killer.stop()
        if sender.poll() is None:
            sender.kill()
            sender.wait()
    if not out:
        cannot("the load client failed")
    gatepost.check()
    tried = {int(w["id"]): w for w in map(words, log.read_text().splitlines())}
    arrived = {}
    with open(record) as f:
        f.seek(mark)
        for w in map(words, f):
            arrived.setdefault(int(w["id"]), []).append(w)
    return json.loads(out), tried, arrived


def faults_of(result, arrived, messages):
    """What every disturbed run must keep: nothing lost, nothing unjudged, nothing changed, nobody waited."""
    copies = [w for ws in arrived.values() for w in ws]
    checks = [
        ("%d of %d messages were accepted" % (result["accepted"], messages), result["accepted"] == messages),
        ("%d messages are not at the sink" % (messages - len(arrived)), len(arrived) == messages),
        ("%d copies are unjudged" % sum(w["judged"] != "1" for w in copies), all(w["judged"] == "1" for w in copies)),
        ("%d copies bear another number of our fields than one" % sum(w["status"] != "1" for w in copies),
         all(w["status"] == "1" for w in copies)),
        ("%d copies are not what was sent" % sum(w["hash"] != result["hash"] for w in copies),
         all(w["hash"] == result["hash"] for w in copies)),
        ("one message waited %.0f ms, all its attempts together" % result["total"], result["total"] <= 2000),
    ]
    return [text for text, good in checks if not good]


def print_load(result):
    print("  accepted %d, %.0f msg/s in %.1f s; answered for a while with %s; connections lost %d, of these behind the dot %d"
          % (result["accepted"], result["rate"], result["seconds"],
             ", ".join("%s: %d" % item for item in result["temporary"].items()) or "nothing", result["lost"], result["unsure"]))
    print("  longest attempt %.0f ms; longest from a message's first attempt to its 250 %.0f ms; reply to the dot p50 %.1f p99 %.1f ms"
          % (result["longest"], result["total"], result["dot"].get("p50", 0), result["dot"].get("p99", 0)))
