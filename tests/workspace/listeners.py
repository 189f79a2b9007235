"""Servers of this machine that take notifications: SMTP and HTTP, willing or not."""

import datetime as dt
import ipaddress
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

HERE = "127.0.0.1"


@dataclass(frozen=True)
class Certificate:
    """A certificate of this machine that signs itself; `file` is that of its authority too."""

    file: Path
    key: Path

    def context(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.file, self.key)
        return context


def make_certificate(folder: Path, address: str = HERE) -> Certificate:
    """A certificate for one address, valid now."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a server for tests")])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=2))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(address))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    found = Certificate(folder / f"{address}.pem", folder / f"{address}.key")
    found.file.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    found.key.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return found


@dataclass
class Mailbox:
    """What a mail server was sent; `replies` are those to the next messages, `refused` answers to recipients."""

    port: int = 0
    mails: list[EmailMessage] = field(default_factory=list)
    envelopes: list[tuple[str, tuple[str, ...], bool]] = field(default_factory=list)
    """Sender, recipients, and whether it came over TLS."""
    attempts: int = 0
    replies: list[str] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)
    sign_ins: int = 0

    async def handle_RCPT(self, server: SMTP, session: Any, envelope: Any, address: str, options: list[str]) -> str:
        if address in self.refused:
            return self.refused[address]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Any, envelope: Any) -> str:
        self.attempts += 1
        reply = self.replies.pop(0) if self.replies else "250 OK"
        if reply.startswith("250"):
            mail = message_from_bytes(envelope.content, policy=default)
            assert isinstance(mail, EmailMessage)
            self.mails.append(mail)
            assert server.transport is not None
            over_tls = server.transport.get_extra_info("ssl_object") is not None
            self.envelopes.append((envelope.mail_from, tuple(envelope.rcpt_tos), over_tls))
        return reply


@contextmanager
def mail_server(
    certificate: Certificate | None = None, password: str | None = None, *, from_the_start: bool = False
) -> Iterator[Mailbox]:
    """A mail server on this machine.

    Args:
        certificate: of TLS, which it then insists on; none: everything in the clear.
        password: of anybody who signs in, who then must.
        from_the_start: TLS from the first byte; else by STARTTLS.
    """
    box = Mailbox(free_port())

    def signed_in(server: SMTP, session: Any, envelope: Any, mechanism: str, data: Any) -> AuthResult:
        box.sign_ins += 1
        good = isinstance(data, LoginPassword) and data.password == (password or "").encode()
        # A careless server: it repeats what it was sent.
        told = data.password.decode() if isinstance(data, LoginPassword) else ""
        return AuthResult(success=good, handled=good, message=None if good else f"535 5.7.8 not {told}")

    context = None if certificate is None else certificate.context()
    controller = Controller(
        box,
        hostname=HERE,
        port=box.port,
        ssl_context=context if from_the_start else None,
        tls_context=None if from_the_start else context,
        require_starttls=context is not None and not from_the_start,
        authenticator=signed_in if password is not None else None,
        auth_required=password is not None,
        auth_require_tls=context is not None and not from_the_start,
    )
    controller.start()
    try:
        yield box
    finally:
        controller.stop()


@dataclass(frozen=True)
class Request:
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Hook:
    """What a web server was sent; `replies` are status and headers of the next answers, 200 after them."""

    port: int = 0
    requests: list[Request] = field(default_factory=list)
    replies: list[tuple[int, dict[str, str]]] = field(default_factory=list)
    before: Callable[[Request], object] | None = None
    """Called with a request before it is answered."""

    def url(self, scheme: str = "http") -> str:
        return f"{scheme}://{HERE}:{self.port}/hooks/T0K3N"


@contextmanager
def web_server(certificate: Certificate | None = None) -> Iterator[Hook]:
    """A web server on this machine that takes posts; with a certificate, over TLS."""
    hook = Hook()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            request = Request(self.path, dict(self.headers.items()), body)
            hook.requests.append(request)
            if hook.before is not None:
                hook.before(request)
            code, headers = hook.replies.pop(0) if hook.replies else (200, {})
            self.send_response(code)
            for name, value in {**headers, "Content-Length": "0"}.items():
                self.send_header(name, value)
            self.end_headers()

        def log_message(self, format: str, *arguments: Any) -> None:
            pass

    class Server(ThreadingHTTPServer):
        def handle_error(self, request: Any, client_address: Any) -> None:
            pass  # a client that refused the certificate, or went before the answer

    server = Server((HERE, 0), Handler)
    if certificate is not None:
        server.socket = certificate.context().wrap_socket(server.socket, server_side=True)
    hook.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield hook
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def free_port() -> int:
    """A port of this machine on which nothing listens."""
    with socket.socket() as one:
        one.bind((HERE, 0))
        port: int = one.getsockname()[1]
    return port
