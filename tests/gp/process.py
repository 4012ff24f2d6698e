"""One program that a test started: its log, its end."""

import re
import subprocess
import time

from . import env


class Process:
    """Runs a command with stdout and stderr in one file. It is ended by its process id alone."""

    def __init__(self, command, log, environ=None, cwd=None):
        self.log_path = log
        self.command = [str(word) for word in command]
        with open(log, "ab") as out:
            self.child = subprocess.Popen(self.command, stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                                          env=environ, cwd=cwd)

    @property
    def pid(self):
        return self.child.pid

    def log(self, since=0):
        """What stands in the log behind this octet."""
        with open(self.log_path, "rb") as f:
            f.seek(since)
            return f.read().decode("utf-8", "backslashreplace")

    def mark(self):
        """The log's length now, for log(since)."""
        return self.log_path.stat().st_size

    def wait_log(self, pattern, since=0, timeout=None):
        """Waits for a line that matches; the match. AssertionError with the log when none comes."""
        regex = re.compile(pattern, re.MULTILINE)
        deadline = time.monotonic() + (timeout or env.PATIENCE)
        while True:
            found = regex.search(self.log(since))
            if found:
                return found
            if self.child.poll() is not None or time.monotonic() > deadline:
                found = regex.search(self.log(since))  # it may have written and ended meanwhile
                if found:
                    return found
                how = "ended with %s" % self.child.poll() if self.child.poll() is not None else "is silent"
                raise AssertionError("%s %s; no line like %r in its log:\n%s"
                                     % (self.command[0], how, pattern, self.log(since)))
            time.sleep(0.005)

    def signal(self, number):
        self.child.send_signal(number)

    def wait(self, timeout=None):
        return self.child.wait(timeout or env.PATIENCE)

    def stop(self, timeout=None):
        """SIGTERM, then SIGKILL if that is not heard in time; the exit status."""
        if self.child.poll() is None:
            self.child.terminate()
            try:
                self.child.wait(timeout or env.PATIENCE)
            except subprocess.TimeoutExpired:
                self.child.kill()
                self.child.wait()
        return self.child.returncode
