"""Certificates for one test run: a little authority, and what it signed, made by openssl(1)."""

import subprocess


class Certs:
    """`ca` is the authority's certificate; leaf(name, ...) makes NAME.pem and NAME.key."""

    def __init__(self, directory):
        self.dir = directory
        self.dir.mkdir(exist_ok=True)
        self.dir.chmod(0o755)
        self.ca = self.dir / "ca.pem"
        self._openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                      "-subj", "/CN=Gatepost test authority", "-days", "30",
                      "-keyout", "ca.key", "-out", "ca.pem")

    def _openssl(self, *words):
        done = subprocess.run(["openssl", *words], cwd=self.dir, capture_output=True, text=True)
        if done.returncode != 0:
            raise RuntimeError("openssl %s: %s" % (words[0], done.stderr))

    def leaf(self, file, dns):
        """A certificate for a DNS name, signed by our authority: (certificate, key)."""
        file = "%s-%s" % (file, dns)  # who asks for another name gets another certificate
        cert, key = self.dir / (file + ".pem"), self.dir / (file + ".key")
        if not cert.exists():
            self._openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                          "-subj", "/CN=" + dns, "-keyout", key.name, "-out", file + ".csr")
            (self.dir / (file + ".ext")).write_text("subjectAltName=DNS:%s\n" % dns)
            self._openssl("x509", "-req", "-in", file + ".csr", "-CA", "ca.pem", "-CAkey", "ca.key",
                          "-CAcreateserial", "-days", "30", "-extfile", file + ".ext", "-out", cert.name)
            key.chmod(0o644)  # who reads it, and as whom, differs by server; it protects nothing
        return cert, key
