"""The strict server (tests/fake/strict_smtp.py) as a process of its own, and what it recorded."""

import base64
import json
import shutil
import sys

from . import env
from .process import Process

PROGRAM = env.ROOT / "tests" / "fake" / "strict_smtp.py"


class Strict:
    """`offers`: EHLO's words separated by commas; None: everything. `script`: rules as its head says. `port`: where;
    None: chosen. `options`: words of its command line."""

    def __init__(self, offers=None, script=(), lmtp=False, certificate=None, options=(), port=None, record=None):
        self.dir = env.scratch()
        self.port = port or env.free_port()
        self.record = record or self.dir / "record"
        (self.dir / "script").write_text(json.dumps(list(script)))
        self.command = [sys.executable, PROGRAM, "--port", self.port, "--record", self.record, "--script", self.dir / "script",
                        *(["--offers", offers] if offers is not None else []), *(["--lmtp"] if lmtp else []),
                        *(["--cert", certificate[0], "--key", certificate[1]] if certificate else []), *options]
        self.process = None

    def start(self):
        self.process = Process(self.command, self.dir / "log")
        self.process.wait_log("^listening")  # to knock would be a connection that scripts see
        return self

    def events(self, kind=None, since=0):
        """What it recorded; `kind`: connect, command, message, auth or end."""
        if not self.record.exists():
            return []
        found = [json.loads(line) for line in self.record.read_text("utf-8").splitlines()[since:]]
        return [event for event in found if kind in (None, event["event"])]

    def messages(self):
        found = self.events("message")
        for message in found:
            if "octets" in message:
                message["octets"] = base64.b64decode(message["octets"])
        return found

    def faults(self):
        """The commands and messages that were not by the RFCs."""
        return [event for event in self.events() if event.get("fault")]

    def log(self):
        return self.process.log()

    def stop(self):
        if self.process is not None:
            self.process.stop()
            said, self.process = self.process.log(), None
            assert "Traceback" not in said, said
        shutil.rmtree(self.dir, ignore_errors=True)

    def __enter__(self):
        return self.start()

    def __exit__(self, *error):
        self.stop()
