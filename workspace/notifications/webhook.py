"""A channel: JSON posted to an address, signed, over TLS whose certificate is checked."""

import base64
import hashlib
import hmac
import json
import logging
import ssl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any

import httpx

from infra.alarm_settings import WebhookTable
from workspace.notifications.base import DeliveryError, Message
from workspace.notifications.credentials import secret_of

# The address of a webhook often is its secret, and httpx tells every address it asks.
logging.getLogger("httpx").setLevel(logging.WARNING)

SIGNATURE = "X-Afterwatch-Signature"
IDEMPOTENCY = "Idempotency-Key"
TRY_LATER = (408, 425, 429)
"""Refusals by which a server says that the same may go well later."""
THIS_MESSAGE = (400, 409, 413, 415, 422)
"""Refusals that are about one message; other 4xx are about the address or the right to post there."""


class WebhookChannel:
    """An address that takes messages as JSON.

    Args:
        table: of the settings.
        timeout_s: longest wait for the connection, and for each part of the answer.
    """

    def __init__(self, table: WebhookTable, timeout_s: float) -> None:
        self._table = table
        self._timeout_s = timeout_s

    @property
    def name(self) -> str:
        return self._table.name

    def send(self, message: Message) -> tuple[str, ...]:
        """Post a message once; 2xx is an acceptance, whatever the answer's text.

        Raises:
            DeliveryError: see `Channel.send`.
        """
        body = body_of(message)
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "afterwatch",
            IDEMPOTENCY: message.message_id,
        }
        if self._table.secret_env is not None:
            headers[SIGNATURE] = signature(body, secret_of(self._table.secret_env, self.name))
        with self._failing():
            where = self._where()
            with (
                httpx.Client(
                    timeout=self._timeout_s, verify=ssl.create_default_context(), follow_redirects=False
                ) as client,
                client.stream("POST", self._table.url, content=body, headers=headers) as answer,
            ):
                code, come_back = answer.status_code, answer.headers.get("Retry-After")
        if not 200 <= code < 300:
            raise _refused(where, code, retry_after_s(come_back, datetime.now(UTC)))
        return ()

    def _where(self) -> str:
        """Scheme, host and port: what of the address may be told."""
        url = httpx.URL(self._table.url)
        if url.userinfo:
            raise DeliveryError(
                f"url of {self._table.name} holds a user or a password before its host; leave them out, and let the receiver "
                "check the signature",
                whole_channel=True,
            )
        return f"{url.scheme}://{url.netloc.decode('ascii', 'replace')}"

    @contextmanager
    def _failing(self) -> Iterator[None]:
        """Tell every way in which a connection may fail as a `DeliveryError`, without the address's path."""
        try:
            yield
        except (httpx.InvalidURL, httpx.UnsupportedProtocol, UnicodeError):
            raise DeliveryError(f"url of {self._table.name} is no address; correct it", whole_channel=True) from None
        except httpx.HTTPError as error:
            where = self._where()
            untrusted = _certificate_error(error)
            if untrusted is not None:
                raise DeliveryError(
                    f"the certificate of {where} is not trusted ({untrusted.verify_message}); use the name that stands in it, "
                    "or name the file of its authority in the environment variable SSL_CERT_FILE",
                    whole_channel=True,
                ) from None
            kind = "no answer in time" if isinstance(error, httpx.TimeoutException) else type(error).__name__
            raise DeliveryError(f"{where} cannot be reached ({kind})", passing=True) from None


def _refused(where: str, code: int, after_s: float | None) -> DeliveryError:
    with suppress(ValueError):
        return DeliveryError(
            f"{where} answered {code} {HTTPStatus(code).phrase}{_remedy(code)}",
            passing=code >= 500 or code in TRY_LATER,
            whole_channel=code not in THIS_MESSAGE,
            after_s=after_s,
        )
    return DeliveryError(f"{where} answered {code}", passing=code >= 500, whole_channel=True, after_s=after_s)


def _remedy(code: int) -> str:
    if 300 <= code < 400:
        return "; redirects are not followed, so set url to the address it points to"
    if code in (401, 403):
        return "; check the key that the receiver knows, and the address"
    if code in (404, 410):
        return "; check the address"
    return ""


def _certificate_error(error: BaseException) -> ssl.SSLCertVerificationError | None:
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, ssl.SSLCertVerificationError):
        cause = cause.__cause__ or cause.__context__
    return cause


def retry_after_s(told: str | None, now: datetime) -> float | None:
    """Seconds that a header `Retry-After` asks for, as a number or a date (RFC 9110, 10.2.3); None where it tells none."""
    if told is None:
        return None
    if told.strip().isdecimal():
        return float(told)
    with suppress(ValueError, OverflowError):
        moment = parsedate_to_datetime(told)
        return max(0.0, (moment.replace(tzinfo=moment.tzinfo or UTC) - now).total_seconds())
    return None


def signature(body: bytes, key: str) -> str:
    """`sha256=` and the HMAC-SHA256 (RFC 2104) of a body, in hexadecimal digits."""
    return f"sha256={hmac.new(key.encode(errors='surrogateescape'), body, hashlib.sha256).hexdigest()}"


def body_of(message: Message) -> bytes:
    """A message as JSON; the same message gives the same bytes."""
    told: dict[str, Any] = {
        "id": message.message_id,
        "kind": message.kind,
        "site": message.site,
        "text": "\n".join(_lines(message)),
        "events": [shown.told for shown in message.events],
        "more": len(message.more),
        "keyframe": None if message.picture is None else _told_picture(message.picture),
        "night": message.night,
    }
    # JSON holds half of a character pair that UTF-8 does not; names of files may have one.
    return json.dumps(told, ensure_ascii=True, sort_keys=True, allow_nan=False).encode("ascii")


def _lines(message: Message) -> Iterator[str]:
    yield message.subject
    yield from message.lines
    yield from (f"{shown.line} {shown.link}" for shown in message.events)
    yield from (f"{how_many}: {link}" for how_many, link in message.pages)
    if message.remark:
        yield message.remark


def _told_picture(picture: bytes) -> dict[str, str]:
    return {
        "media_type": "image/jpeg",
        "sha256": hashlib.sha256(picture).hexdigest(),
        "base64": base64.b64encode(picture).decode("ascii"),
    }
