"""The steps of `make demo`; tests/demo.sh prepares what it needs and calls it.

Each step prints what was done and what came back, and says whether that was expected."""

import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

import demo_taken_over  # noqa: E402
from gp import env, messages, pop3  # noqa: E402
from gp.dovecot import Dovecot  # noqa: E402
from gp.gatepost import Gatepost  # noqa: E402
from gp.wire import Peer  # noqa: E402

KEEP = os.environ.get("KEEP") not in (None, "", "0")

SPAM = """Dear Friend,\r
\r
I am the lawyer of a late client, Mr. Smith, who left the sum of USD 12.5 million in a dormant\r
account. You have been selected as the beneficiary. This is strictly confidential and for our\r
mutual benefit. To claim this lottery prize, send your bank details and your occupation.\r
"""


def show(text, last=None):
    lines = text.rstrip().replace("\r\n", "\n").split("\n")
    if last and len(lines) > last:
        lines = ["..."] + lines[-last:]
    print(textwrap.indent("\n".join(lines), "    "))


def dialogue(said):
    """The lines of swaks's transcript without the message itself."""
    inside = False
    for line in said.split("\n"):
        if line.startswith(("<-", "<~", "<*", "===", "***")) or (line.startswith((" ->", " ~>", "**")) and not inside):
            yield line
        inside = line[3:7] == " 354" or inside and line[3:] != " ."


class Demo:
    def __init__(self, gatepost, dovecot):
        self.gatepost, self.dovecot = gatepost, dovecot
        self.steps = self.good = 0

    def step(self, title, truth):
        """Plays one step; `truth` shows what happens and says whether it is as expected."""
        self.steps += 1
        print("\n== %d. %s" % (self.steps, title))
        try:
            fine = truth()
        except (AssertionError, OSError) as error:
            show(str(error))
            fine = False
        self.good += bool(fine)
        print("   as expected" if fine else "   NOT AS EXPECTED")

    def swaks(self, message, *options, to="alice@example.org"):
        """Sends with swaks, shows the end of the dialogue; its exit status and all it said."""
        file = self.gatepost.dir / "message"
        file.write_bytes(message)
        words = ["swaks", "--server", "127.0.0.1:%d" % self.gatepost.port(), "--helo", "client.example.net",
                 "--from", "ann@example.net", "--to", to, *options]
        print("   $ " + " ".join(words) + " --data MESSAGE")
        done = subprocess.run(words + ["--data", "@" + str(file), "-n", "--timeout", "20"],
                              capture_output=True, text=True, errors="replace")
        said = "\n".join(dialogue(done.stdout + done.stderr))
        show(said, 14)
        return done.returncode, said

    def stored(self, subject, lines):
        """The beginning of a message in alice's Maildir, shown."""
        mail = self.dovecot.wait_mail("Subject: %s\n" % subject).decode("utf-8", "replace")
        print("   In %s/mail/alice/new:" % self.dovecot.dir)
        show("\n".join(mail.split("\n")[:lines]) + "\n...")
        return mail

    def clean(self):
        status, said = self.swaks(messages.plain("Lunch on Friday?"), "-tls")
        mail = self.stored("Lunch on Friday?", 14)
        return status == 0 and "TLS started" in said and "by mx.example.org" in mail and "with ESMTPS" in mail \
            and "X-Spam-Flag" not in mail

    def spam(self):
        status, _ = self.swaks(messages.plain("Business proposal", SPAM))
        mail = self.stored("Business proposal", 18)
        return status == 0 and "\nX-Spam-Flag: YES\n" in mail and "\nX-Spam-Status: Yes" in mail

    def virus(self):
        status, said = self.swaks(messages.with_virus("Invoice"))
        return status == 26 and "<** 550 5.7.1 " in said and self.absent("Invoice")

    def relay(self):
        status, said = self.swaks(messages.plain("Relay"), to="somebody@example.com")
        return status == 24 and "<** 550 5.7.1 " in said

    def smuggle(self):
        peer = Peer.connect(self.gatepost.port())
        peer.reply()
        for line in ("EHLO client.example.net", "MAIL FROM:<ann@example.net>", "RCPT TO:<alice@example.org>", "DATA"):
            peer.send(line.encode() + b"\r\n")
            peer.reply()
        sent = ("Subject: the envelope\r\n\r\nHello\n.\r\n"
                "MAIL FROM:<boss@example.org>\r\nRCPT TO:<alice@example.org>\r\nDATA\r\n"
                "Subject: the smuggled one\r\n\r\nPay at once.\r\n.\r\nQUIT\r\n")
        show("\n".join("-> " + line for line in sent.replace("\r\n", " CRLF\n").replace("Hello\n", "Hello LF\n")
                       .rstrip("\n").split("\n")))
        peer.send(sent.encode())
        replies = peer.until_closed().decode().split("\r\n")[:-1]
        show("\n".join("<- " + reply for reply in replies))
        return [reply[:3] for reply in replies] == ["550", "221"] and self.absent("the envelope", "smuggled")

    def absent(self, *texts):
        """Nothing of it is in the Maildir. A later message has been waited for, so it is not merely late."""
        marker = "Marker %d" % self.steps
        subprocess.run(["swaks", "--server", "127.0.0.1:%d" % self.gatepost.port(), "--to", "alice@example.org",
                        "--from", "ann@example.net", "--header", "Subject: " + marker], capture_output=True)
        self.dovecot.wait_mail("Subject: %s\n" % marker)
        mails = self.dovecot.mails()
        found = [text for text in texts if any(text.encode() in mail for mail in mails)]
        print("   In the Maildir: %s of it." % ("nothing" if not found else ", ".join(found)))
        return not found

    def curl(self, path, *options):
        """Asks the gateway's POP3S, shows what curl says of the protocol; its status and what came."""
        where = "%s:%d" % (env.HOSTNAME, self.gatepost.port("pops"))
        words = ["curl", "--user", "alice:" + self.dovecot.password, "pop3s://%s/%s" % (where, path), *options]
        print("   $ " + " ".join(words))
        done = subprocess.run(words + ["--silent", "--verbose", "--cacert", str(self.gatepost.certs.ca),
                                       "--resolve", where + ":127.0.0.1"], capture_output=True)
        talk = done.stderr.decode("utf-8", "replace").replace("\r", "").split("\n")
        show("\n".join(line for line in talk if re.match(r"< [+-]\w|> (RETR|DELE)|\* SSL connection", line)))
        return done.returncode, done.stdout

    def mailbox(self):
        """{UID: octets} of alice's mailbox as IMAP gives it."""
        with self.dovecot.login() as session:
            session.select("INBOX", readonly=True)
            found = [part for part in session.uid("FETCH", "1:*", "(UID BODY.PEEK[])")[1] if isinstance(part, tuple)]
        return {int(part[0].split()[2]): part[1] for part in found}

    def fetch(self):
        status, mail = self.curl("1")
        show(mail.decode("utf-8", "replace"), 8)
        held = self.mailbox()
        same = mail == held[min(held)]
        print("   IMAP has %s octets under its first UID." % ("the same %d" % len(mail) if same else "OTHER"))
        return status == 0 and same

    def delete(self):
        before = self.mailbox()
        status, _ = self.curl("1", "--list-only", "--request", "DELE")
        after = self.mailbox()
        print("   UIDs by IMAP: before %s, now %s" % (sorted(before), sorted(after)))
        return status == 0 and set(before) - set(after) == {min(before)} and after == {u: before[u] for u in after}

    def log(self):
        said = [line for line in self.gatepost.log().split("\n") if "verdict=" in line]
        show("\n".join(said))
        return all(any("verdict=" + verdict in line for line in said) for verdict in ("accept", "tag", "refuse"))

    def run(self):
        self.step("A clean message over STARTTLS is delivered, with our Received line", self.clean)
        self.step("A spam that the rules know is delivered with a tag", self.spam)
        self.step("The antivirus test file inside a zip is refused", self.virus)
        self.step("Mail for a foreign domain is refused", self.relay)
        self.step("A second message smuggled behind LF . CR LF: one refusal, nothing behind it", self.smuggle)
        if "pops" in self.gatepost.ports:
            self.step("A message is fetched over POP3S out of the IMAP store, which has no TLS", self.fetch)
            self.step("It is deleted over POP3S, and gone from IMAP", self.delete)
        self.step("The log has a line for each message", self.log)
        demo_taken_over.steps(self, show, dialogue)


def main():
    dovecot = Dovecot().start()
    gatepost = Gatepost(dovecot.lmtp, "lmtp")
    if pop3.known():
        pop3.offer(gatepost, dovecot.imap)
    try:
        gatepost.start()
    except AssertionError as error:
        dovecot.stop()
        sys.exit("demo: gatepost does not start: %s" % error)
    print("== Dovecot: LMTP on 127.0.0.1:%d, IMAP on 127.0.0.1:%d" % (dovecot.lmtp, dovecot.imap))
    print("== Gatepost: SMTP on 127.0.0.1:%d, with TLS at once on 127.0.0.1:%d, configuration %s"
          % (gatepost.port(), gatepost.port("implicit"), gatepost.file))
    if "pops" in gatepost.ports:
        print("== Gatepost: POP3S on 127.0.0.1:%d, POP3 with STLS on 127.0.0.1:%d"
              % (gatepost.port("pops"), gatepost.port("pop")))
    demo = Demo(gatepost, dovecot)
    try:
        demo.run()
    finally:
        if not KEEP:
            gatepost.stop()
            dovecot.stop()
    if KEEP:
        print("\n== Still running. Talk to it:")
        print("   swaks --server 127.0.0.1:%d --from you@example.net --to alice@example.org -tls" % gatepost.port())
        print("   curl 'imap://127.0.0.1:%d/INBOX;MAILINDEX=1' --user alice:%s" % (dovecot.imap, dovecot.password))
        print("   tail -f %s" % gatepost.process.log_path)
        print("   $EDITOR %s; kill -HUP %d" % (gatepost.file, gatepost.process.pid))
        print("   Stop it: kill %d %d; rm -r %s %s"
              % (gatepost.process.pid, dovecot.process.pid, gatepost.dir, dovecot.dir))
    print("\ndemo: %d of %d steps as expected" % (demo.good, demo.steps))
    return 0 if demo.good == demo.steps else 1


if __name__ == "__main__":
    sys.exit(main())
