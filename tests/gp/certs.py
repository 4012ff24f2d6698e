"""Certificates for one test run: a little authority, and what it signed, made by openssl(1)."""

import subprocess


class Certs:
    """`ca` is the authority's certificate; leaf(name, ...) makes NAME.pem and NAME.key."""

    def __init__(self, directory):
        self.dir = directory
        self.dir.mkdir(exist_ok=True)
        self.dir.chmod(0o755)
        self.ca = self.dir / "ca.pem"
        self._authority("ca", "Gatepost test authority")

    def _authority(self, file, name):
        self._openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                      "-subj", "/CN=" + name, "-days", "30", "-keyout", file + ".key", "-out", file + ".pem")

    def _openssl(self, *words):
        done = subprocess.run(["openssl", *words], cwd=self.dir, capture_output=True, text=True)
        if done.returncode != 0:
            raise RuntimeError("openssl %s: %s" % (words[0], done.stderr))

    def leaf(self, file, *dns, kind="P-256", cn=None, email=None, days=30, ca="ca"):
        """A certificate for DNS names (or for one e-mail address), signed by our authority: (certificate, key).
        kind: P-256 or RSA, 2048 bits. days: may be past. ca: "ca", or what other() was called."""
        # Who asks for something else gets another certificate.
        file = "-".join([file, *dns, kind, *([cn] if cn else []), *([email] if email else []), str(days), ca])
        cert, key = self.dir / (file + ".pem"), self.dir / (file + ".key")
        if not cert.exists():
            make = ["rsa:2048"] if kind == "RSA" else ["ec", "-pkeyopt", "ec_paramgen_curve:" + kind]
            names = ["DNS:" + name for name in dns] + (["email:" + email] if email else [])
            self._openssl("req", "-newkey", *make, "-nodes", "-subj", "/CN=" + (cn or dns[0]), "-keyout", key.name,
                          "-out", file + ".csr")
            (self.dir / (file + ".ext")).write_text("subjectAltName=%s\n" % ",".join(names) if names else "")
            self._openssl("x509", "-req", "-in", file + ".csr", "-CA", ca + ".pem", "-CAkey", ca + ".key",
                          "-CAcreateserial", "-days", str(days), "-extfile", file + ".ext", "-out", cert.name)
            key.chmod(0o644)  # who reads it, and as whom, differs by server; it protects nothing
        return cert, key

    def other(self, name):
        """Another authority, whom nobody trusts yet: its certificate."""
        if not (self.dir / (name + ".pem")).exists():
            self._authority(name, "Another authority called " + name)
        return self.dir / (name + ".pem")

    def pin(self, cert):
        """The pin of a certificate's key, as curl writes them."""
        return self._shell("openssl x509 -in %s -pubkey -noout | openssl pkey -pubin -outform DER"
                           " | openssl dgst -sha256 -binary | openssl base64" % cert, "sha256//")

    def _shell(self, command, before):
        return before + subprocess.run(command, shell=True, check=True, capture_output=True, text=True).stdout.strip()
