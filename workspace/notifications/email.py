"""A channel: e-mail by SMTP, over TLS whose certificate is checked."""

import smtplib
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, localtime
from html import escape
from typing import Any

from infra.alarm_settings import EmailTable
from workspace.notifications.base import DeliveryError, Message, ShownEvent
from workspace.notifications.credentials import secret_of, without

TRY_LATER = range(400, 500)
"""Replies by which an SMTP server says that the same may go well later (RFC 5321, 4.2.1)."""
PICTURE_NAME = "keyframe.jpg"


class EmailChannel:
    """A mail server and the people whom it tells.

    Args:
        table: of the settings.
        timeout_s: longest wait for an answer of the server.
    """

    def __init__(self, table: EmailTable, timeout_s: float) -> None:
        self._table = table
        self._timeout_s = timeout_s

    @property
    def name(self) -> str:
        return self._table.name

    def send(self, message: Message) -> tuple[str, ...]:
        """Send a message once to all recipients; tells those that the server refused while it took others.

        Raises:
            DeliveryError: see `Channel.send`.
        """
        table = self._table
        (sender,) = addresses_of("sender", (table.sender,))
        recipients = addresses_of("recipients", table.recipients)
        password = None if table.password_env is None else secret_of(table.password_env, self.name)
        mail = mail_of(message, sender, recipients)
        with self._failing(password), self._server() as server:
            if table.user is not None and password is not None:
                server.login(table.user, password)
            refused = server.send_message(mail, sender.addr_spec, [one.addr_spec for one in recipients])
        return tuple(
            f"{address} was refused ({code} {self._answer(answer, password)}); the other recipients were told"
            for address, (code, answer) in sorted(refused.items())
        )

    @contextmanager
    def _server(self) -> Iterator[smtplib.SMTP]:
        table, own = self._table, _own_name()
        server: smtplib.SMTP
        if table.security == "tls":
            server = smtplib.SMTP_SSL(
                table.host, table.port, own, timeout=self._timeout_s, context=ssl.create_default_context()
            )
        else:
            server = smtplib.SMTP(table.host, table.port, own, timeout=self._timeout_s)
        try:
            if table.security == "starttls":
                server.starttls(context=ssl.create_default_context())
            yield server
        finally:
            # What was accepted stays accepted, however the goodbye goes.
            with suppress(smtplib.SMTPException, OSError):
                server.quit()
            server.close()

    @contextmanager
    def _failing(self, password: str | None) -> Iterator[None]:
        """Tell every way in which a server may fail as a `DeliveryError`, without what was sent to it."""
        where = f"{self._table.host}:{self._table.port}"
        try:
            yield
        except smtplib.SMTPAuthenticationError as error:
            raise DeliveryError(
                f"{where} refused the sign-in of {self._table.user} ({error.smtp_code} "
                f"{self._answer(error.smtp_error, password)}); check user and {self._table.password_env}",
                passing=error.smtp_code in TRY_LATER,
                whole_channel=True,
            ) from None
        except smtplib.SMTPRecipientsRefused as error:
            answers = [f"{to}: {code} {self._answer(text, password)}" for to, (code, text) in error.recipients.items()]
            passing = all(code in TRY_LATER for code, _ in error.recipients.values())
            raise DeliveryError(
                f"{where} refused every recipient ({'; '.join(sorted(answers))})", passing=passing, whole_channel=True
            ) from None
        except smtplib.SMTPResponseException as error:
            raise DeliveryError(
                f"{where} refused the message ({error.smtp_code} {self._answer(error.smtp_error, password)})",
                passing=error.smtp_code in TRY_LATER,
                whole_channel=not isinstance(error, smtplib.SMTPDataError),
            ) from None
        except smtplib.SMTPNotSupportedError as error:
            raise DeliveryError(
                f"{where} does not offer what is asked of it ({self._answer(str(error), password)}); nothing was sent in the "
                f'clear — set security to what the server offers, "tls" for port 465 as a rule',
                whole_channel=True,
            ) from None
        except ssl.SSLCertVerificationError as error:
            raise DeliveryError(
                f"the certificate of {where} is not trusted ({error.verify_message}); use the name that stands in it, or name "
                "the file of its authority in the environment variable SSL_CERT_FILE",
                whole_channel=True,
            ) from None
        except UnicodeError:
            raise DeliveryError(
                "user and password of a mail server are sent as ASCII, and one of them has other characters",
                whole_channel=True,
            ) from None
        except (smtplib.SMTPException, OSError) as error:
            reason = self._answer(str(error) or type(error).__name__, password)
            # The bare class says that user and password fit none of the ways to sign in that the server offers.
            passing = type(error) is not smtplib.SMTPException
            raise DeliveryError(
                f"{where} cannot be used ({reason})", passing=passing, whole_channel=not passing
            ) from None

    def _answer(self, text: bytes | str, password: str | None) -> str:
        told = text.decode(errors="replace") if isinstance(text, bytes) else text
        signed_in = () if password is None else (f"\0{self._table.user}\0{password}", password)
        return without(told, signed_in)


def _own_name() -> str:
    """How this machine greets the server; asked of no name server, which may be far or not there."""
    name = socket.gethostname()
    return name if "." in name else "[127.0.0.1]"


def addresses_of(setting: str, written: tuple[str, ...]) -> list[Address]:
    """Addresses of the settings, one in each text, as `ann@example.org` or `Ann <ann@example.org>`.

    Raises:
        DeliveryError: a text is no address, or more than one.
    """
    found: list[Address] = []
    for text in written:
        header: Any = SMTP.header_factory("To", text)
        if header.defects or len(header.addresses) != 1 or not text.isprintable():
            raise DeliveryError(
                f'{setting} of an e-mail channel is written as "ann@example.org" or "Ann <ann@example.org>", got {text!r}',
                whole_channel=True,
            )
        found += header.addresses
    return found


def mail_of(message: Message, sender: Address, recipients: list[Address]) -> EmailMessage:
    """A message as mail: text, the same as HTML, and the picture within it."""
    mail = EmailMessage(SMTP)
    mail["Subject"] = message.subject
    mail["From"] = sender
    mail["To"] = recipients
    mail["Date"] = format_datetime(localtime())
    mail["Message-ID"] = f"<{message.message_id}@{sender.domain}>"
    mail["Auto-Submitted"] = "auto-generated"  # so that no absence notice answers it
    mail.set_content(text_of(message))
    picture_id = f"{message.message_id}.keyframe@{sender.domain}"
    mail.add_alternative(html_of(message, picture_id), subtype="html")
    if message.picture is not None:
        html = mail.get_payload(1)
        assert isinstance(html, EmailMessage)
        html.add_related(
            message.picture, "image", "jpeg", cid=f"<{picture_id}>", filename=PICTURE_NAME, disposition="inline"
        )
    return mail


def text_of(message: Message) -> str:
    """A message as plain text."""
    parts = [message.intro, *(["\n".join(message.lines)] if message.lines else [])]
    if message.kind == "event":
        parts += [
            "\n".join(f"{what}: {how}" for what, how in shown.facts) + f"\n\nConfirm or dismiss it: {shown.link}"
            for shown in message.events
        ]
    else:
        parts += [f"{shown.line}\n{shown.link}" for shown in message.events]
        parts += [f"{how_many}:\n{link}" for how_many, link in message.pages]
    parts += [message.remark] if message.remark else []
    return "\n\n".join(parts) + "\n"


def html_of(message: Message, picture_id: str) -> str:
    """A message as HTML; every word of it is escaped, and nothing is fetched from anywhere."""
    parts = [f"<p>{escape(message.intro)}</p>"]
    if message.lines:
        parts.append(f"<ul>{''.join(f'<li>{escape(line)}</li>' for line in message.lines)}</ul>")
    if message.kind == "event":
        parts += [_event_html(shown) for shown in message.events]
    elif message.events or message.pages:
        lines = (f'<li><a href="{escape(shown.link)}">{escape(shown.line)}</a></li>' for shown in message.events)
        pages = (f'<li><a href="{escape(link)}">{escape(how_many)}</a></li>' for how_many, link in message.pages)
        parts.append(f"<ul>{''.join((*lines, *pages))}</ul>")
    if message.remark:
        parts.append(f"<p>{escape(message.remark)}</p>")
    if message.picture is not None:
        parts.append(f'<p><img src="cid:{escape(picture_id)}" alt="keyframe" style="max-width:100%"></p>')
    return f"<!DOCTYPE html><html><body>{''.join(parts)}</body></html>\n"


def _event_html(shown: ShownEvent) -> str:
    rows = (f"<tr><td>{escape(what)}</td><td>{escape(how)}</td></tr>" for what, how in shown.facts)
    return f'<table>{"".join(rows)}</table><p><a href="{escape(shown.link)}">Confirm or dismiss it</a></p>'
