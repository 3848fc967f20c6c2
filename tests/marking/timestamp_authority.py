"""A timestamp authority for tests: openssl's, behind HTTP."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Generator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

CONFIG = """
[tsa]
default_tsa = ours
[ours]
serial = {folder}/serial
signer_cert = {folder}/tsa.pem
certs = {folder}/tsa.pem
signer_key = {folder}/tsa.key
signer_digest = sha256
default_policy = 1.2.3.4.1
digests = sha256, sha384, sha512
accuracy = secs:1
ess_cert_id_alg = sha256
[ca]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign
[leaf]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = critical, timeStamping
[req]
distinguished_name = name
[name]
"""


def openssl(*words: str) -> bytes:
    return subprocess.run(["openssl", *words], check=True, capture_output=True).stdout


def make_certificates(folder: Path) -> str:
    """Make a timestamp authority's key and certificates; return its root as PEM."""
    config = folder / "openssl.cnf"
    config.write_text(CONFIG.format(folder=folder))
    (folder / "serial").write_text("01")
    for name in ("ca", "tsa"):
        key = str(folder / f"{name}.key")
        openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", key)
    ca, key = str(folder / "ca.pem"), str(folder / "ca.key")
    base = ("req", "-config", str(config), "-new", "-subj")
    openssl(*base, "/CN=Root", "-x509", "-key", key, "-out", ca, "-days", "9", "-extensions", "ca")
    request, leaf = str(folder / "tsa.csr"), str(folder / "tsa.pem")
    openssl(*base, "/CN=Clock", "-key", str(folder / "tsa.key"), "-out", request)
    signed = ("-CA", ca, "-CAkey", key, "-CAcreateserial", "-days", "9")
    extensions = ("-extfile", str(config), "-extensions", "leaf")
    openssl("x509", "-req", "-in", request, "-out", leaf, *signed, *extensions)
    return (folder / "ca.pem").read_text()


@contextmanager
def timestamp_authority(folder: Path) -> Generator[tuple[str, str]]:
    """Yield the URL of a timestamp authority, and its root as PEM."""
    root = make_certificates(folder)

    class Answer(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            query = folder / "query.tsq"
            query.write_bytes(self.rfile.read(int(self.headers["Content-Length"])))
            config = str(folder / "openssl.cnf")
            reply = folder / "reply.tsr"
            words = ("ts", "-reply", "-config", config, "-queryfile", str(query))
            openssl(*words, "-out", str(reply))
            self.send_response(200)
            self.send_header("Content-Type", "application/timestamp-reply")
            self.end_headers()
            self.wfile.write(reply.read_bytes())

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/", root
    finally:
        server.shutdown()
        server.server_close()
