"""Channels against servers of this machine: willing, refusing, slow, and ones that should not be trusted."""

import json
import logging
import threading
from collections.abc import Iterator
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest

from infra.alarm_settings import EmailTable, NotificationsTable, WebhookTable
from infra.errors import ConfigurationError, UnknownNameError
from tests.workspace.listeners import HERE, Certificate, Hook, free_port, mail_server, make_certificate, web_server
from workspace.notifications.base import DeliveryError, Message
from workspace.notifications.channels import choose_channels, examine_channels
from workspace.notifications.email import EmailChannel
from workspace.notifications.webhook import IDEMPOTENCY, SIGNATURE, WebhookChannel, signature

PASSWORD, VARIABLE = "correct horse battery", "AFTERWATCH_TEST_SECRET"
MESSAGE = Message("0123456789abcdef0123", "test", "site", "Subject with ü", "All is well.")
TIMEOUT_S = 5.0

pytestmark = pytest.mark.filterwarnings(
    "ignore:Requiring AUTH while not requiring TLS"
)  # of the test's own mail server


@pytest.fixture(autouse=True)
def _own_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of the environment leads a request elsewhere."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    monkeypatch.setenv(VARIABLE, PASSWORD)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return make_certificate(tmp_path_factory.mktemp("certificate"))


@pytest.fixture
def trusted(certificate: Certificate, monkeypatch: pytest.MonkeyPatch) -> Certificate:
    """The certificate, whose authority this process trusts."""
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate.file))
    return certificate


@pytest.fixture
def hook() -> Iterator[Hook]:
    with web_server() as server:
        yield server


def email(port: int, **changes: Any) -> EmailChannel:
    told: dict[str, Any] = {
        "host": HERE,
        "port": port,
        "security": "none",
        "sender": "Afterwatch <afterwatch@example.org>",
        "recipients": ("ann@example.org", "bob@example.org"),
    }
    return EmailChannel(EmailTable(**(told | changes)), TIMEOUT_S)


def webhook(server: Hook, timeout_s: float = TIMEOUT_S, **changes: Any) -> WebhookChannel:
    return WebhookChannel(WebhookTable(**({"url": server.url()} | changes)), timeout_s)


def failure(channel: EmailChannel | WebhookChannel) -> DeliveryError:
    """What a channel says when it fails; it never tells a secret, nor where one came from."""
    with pytest.raises(DeliveryError) as caught:
        channel.send(MESSAGE)
    assert PASSWORD not in str(caught.value) and "T0K3N" not in str(caught.value)
    assert caught.value.__context__ is None or caught.value.__suppress_context__
    return caught.value


def signing_in(security: str) -> dict[str, Any]:
    return {"security": security, "user": "watch", "password_env": VARIABLE}


def test_a_mail_reaches_its_recipients() -> None:
    with mail_server() as box:
        assert email(box.port).send(MESSAGE) == ()
    (mail,) = box.mails
    assert isinstance(mail, EmailMessage)
    assert (mail["Subject"], mail["Message-ID"]) == ("Subject with ü", f"<{MESSAGE.message_id}@example.org>")
    assert mail["To"] == "ann@example.org, bob@example.org"
    assert box.envelopes == [("afterwatch@example.org", ("ann@example.org", "bob@example.org"), False)]


@pytest.mark.parametrize("security", ["starttls", "tls"])
def test_a_password_is_sent_over_tls(trusted: Certificate, security: str) -> None:
    with mail_server(trusted, PASSWORD, from_the_start=security == "tls") as box:
        assert email(box.port, **signing_in(security)).send(MESSAGE) == ()
    assert [over_tls for _, _, over_tls in box.envelopes] == [True]
    assert box.sign_ins == 1


@pytest.mark.parametrize("security", ["starttls", "tls"])
def test_a_certificate_that_nobody_vouches_for_gets_no_password(certificate: Certificate, security: str) -> None:
    with mail_server(certificate, PASSWORD, from_the_start=security == "tls") as box:
        error = failure(email(box.port, **signing_in(security)))
    assert "is not trusted" in str(error) and "SSL_CERT_FILE" in str(error)
    assert error.whole_channel and not error.passing
    assert (box.sign_ins, box.mails) == (0, [])


def test_a_certificate_of_another_name_gets_no_password(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = make_certificate(tmp_path, "127.0.0.9")
    monkeypatch.setenv("SSL_CERT_FILE", str(other.file))
    with mail_server(other, PASSWORD) as box:
        error = failure(email(box.port, **signing_in("starttls")))
    assert "is not trusted" in str(error) and HERE in str(error)
    assert box.sign_ins == 0


def test_a_server_without_tls_is_not_spoken_to_in_the_clear() -> None:
    with mail_server(None, PASSWORD) as box:
        error = failure(email(box.port, **signing_in("starttls")))
    assert "nothing was sent in the clear" in str(error) and error.whole_channel
    assert (box.sign_ins, box.attempts) == (0, 0)


def test_a_wrong_password_stops_the_channel_and_is_not_told(
    trusted: Certificate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, "wrong-password-42")
    with mail_server(trusted, PASSWORD) as box:
        error = failure(email(box.port, **signing_in("starttls")))
    # The server repeats what it was sent; we do not.
    assert "535" in str(error) and "***" in str(error) and "wrong-password-42" not in str(error)
    assert VARIABLE in str(error)
    assert error.whole_channel and not error.passing
    assert box.mails == []


@pytest.mark.parametrize("kind", ["email", "webhook"])
@pytest.mark.parametrize("value", [None, ""])
def test_a_secret_that_is_not_set_is_told_before_anything_is_connected(
    monkeypatch: pytest.MonkeyPatch, kind: str, value: str | None
) -> None:
    if value is None:
        monkeypatch.delenv(VARIABLE)
    else:
        monkeypatch.setenv(VARIABLE, value)
    server = Hook(free_port())
    channel = email(server.port, **signing_in("none")) if kind == "email" else webhook(server, secret_env=VARIABLE)
    error = failure(channel)
    assert f"environment variable {VARIABLE}" in str(error)
    assert error.whole_channel and not error.passing


@pytest.mark.parametrize(
    ("reply", "passing", "whole_channel"),
    [("451 4.3.0 later", True, False), ("552 5.3.4 too big", False, False), ("554 5.7.1 spam", False, False)],
)
def test_what_a_mail_server_says_of_a_message(reply: str, passing: bool, whole_channel: bool) -> None:
    with mail_server() as box:
        box.replies = [reply]
        error = failure(email(box.port))
    assert reply in str(error)
    assert (error.passing, error.whole_channel) == (passing, whole_channel)


def test_recipients_who_are_refused_are_told_apart() -> None:
    with mail_server() as box:
        box.refused = {"bob@example.org": "550 5.1.1 no such user"}
        (line,) = email(box.port).send(MESSAGE)
        assert "bob@example.org was refused (550 5.1.1 no such user)" in line
        assert box.envelopes[0][1] == ("ann@example.org",)
        box.refused["ann@example.org"] = "450 4.2.1 later"
        error = failure(email(box.port))
        assert "refused every recipient" in str(error) and error.whole_channel and not error.passing
        box.refused["bob@example.org"] = "450 4.2.1 later"
        assert failure(email(box.port)).passing


@pytest.mark.parametrize(
    "sender", ["nobody", "a@b@c", "two@example.org, three@example.org", "x@y.org\r\nBcc: z@y.org", ""]
)
def test_a_sender_is_one_address(sender: str) -> None:
    error = failure(email(free_port(), sender=sender))
    assert "sender of an e-mail channel" in str(error) and error.whole_channel


def test_nobody_listening_may_pass() -> None:
    port = free_port()
    for channel in (email(port), webhook(Hook(port))):
        error = failure(channel)
        assert error.passing and not error.whole_channel
        assert f"{HERE}:{port}" in str(error)


def test_a_post_is_signed_named_and_whole(hook: Hook) -> None:
    assert webhook(hook, secret_env=VARIABLE).send(MESSAGE) == ()
    (request,) = hook.requests
    assert request.path == "/hooks/T0K3N"
    assert request.headers[SIGNATURE] == signature(request.body, PASSWORD)
    assert request.headers[IDEMPOTENCY] == MESSAGE.message_id
    assert request.headers["Content-Type"] == "application/json"
    assert json.loads(request.body)["kind"] == "test"


def test_without_a_secret_nothing_is_signed(hook: Hook) -> None:
    webhook(hook).send(MESSAGE)
    assert SIGNATURE not in hook.requests[0].headers


@pytest.mark.parametrize(
    ("code", "passing", "whole_channel"),
    [
        (301, False, True),
        (400, False, False),
        (401, False, True),
        (404, False, True),
        (408, True, True),
        (413, False, False),
        (418, False, True),
        (429, True, True),
        (499, False, True),
        (500, True, True),
        (503, True, True),
        (599, True, True),
    ],
)
def test_what_a_web_server_answers(hook: Hook, code: int, passing: bool, whole_channel: bool) -> None:
    hook.replies = [(code, {"Retry-After": "3", "Location": f"http://{HERE}:{hook.port}/elsewhere"})]
    error = failure(webhook(hook))
    assert str(code) in str(error)
    assert (error.passing, error.whole_channel, error.after_s) == (passing, whole_channel, 3.0)
    assert len(hook.requests) == 1  # no redirect is followed


@pytest.mark.parametrize("code", [200, 201, 202, 204])
def test_every_2xx_is_an_acceptance(hook: Hook, code: int) -> None:
    hook.replies = [(code, {})]
    assert webhook(hook).send(MESSAGE) == ()


@pytest.mark.parametrize("code", [200, 503])
def test_a_time_to_come_back_that_makes_no_sense_changes_nothing(hook: Hook, code: int) -> None:
    hook.replies = [(code, {"Retry-After": "Tue, 03 Mar 99999999999999999999 03:00:00 GMT"})]
    if code == 200:
        assert webhook(hook).send(MESSAGE) == ()
    else:
        assert failure(webhook(hook)).after_s is None


def test_a_slow_server_may_pass() -> None:
    leave = threading.Event()
    with web_server() as server:
        server.before = lambda request: leave.wait(TIMEOUT_S)
        error = failure(webhook(server, timeout_s=0.1))
        leave.set()
    assert error.passing and "no answer in time" in str(error)


def test_a_post_goes_only_where_the_certificate_is_trusted(
    certificate: Certificate, monkeypatch: pytest.MonkeyPatch
) -> None:
    with web_server(certificate) as server:
        error = failure(webhook(server, url=server.url("https")))
        assert "is not trusted" in str(error) and error.whole_channel and not error.passing
        assert server.requests == []
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate.file))
        assert webhook(server, url=server.url("https")).send(MESSAGE) == ()


def test_no_log_tells_the_address_of_a_webhook(hook: Hook, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    webhook(hook, secret_env=VARIABLE).send(MESSAGE)
    assert "T0K3N" not in caplog.text and PASSWORD not in caplog.text


def test_an_address_with_a_password_or_none_is_refused(hook: Hook) -> None:
    error = failure(webhook(hook, url=f"http://ann:{PASSWORD.split()[0]}@{HERE}:{hook.port}/hooks/T0K3N"))
    assert "before its host" in str(error) and "correct" not in str(error)
    assert "correct it" in str(failure(webhook(hook, url="http://[::1")))
    assert hook.requests == []


def test_channels_are_chosen_by_name(hook: Hook) -> None:
    settings = NotificationsTable(
        email=(EmailTable(host=HERE, sender="a@b.org", recipients=("c@d.org",)),),
        webhook=(WebhookTable(name="guard room", url=hook.url()),),
    )
    assert [channel.name for channel in choose_channels(settings, None)] == ["email", "guard room"]
    assert [channel.name for channel in choose_channels(settings, "guard room")] == ["guard room"]
    with pytest.raises(UnknownNameError, match="guard room"):
        choose_channels(settings, "guards")
    with pytest.raises(ConfigurationError, match=r"\[\[notifications.email\]\]"):
        choose_channels(NotificationsTable(), None)


def test_a_doctor_is_told_what_is_not_set_and_what_is_in_the_clear(monkeypatch: pytest.MonkeyPatch) -> None:
    people: dict[str, Any] = {"sender": "a@b.org", "recipients": ("c@d.org",)}
    settings = NotificationsTable(
        email=(
            EmailTable(name="mail", host="mail.example.org", user="u", password_env=VARIABLE, **people),
            EmailTable(name="relay", host="relay.example.org", security="none", **people),
            EmailTable(name="nobody", host="mail.example.org", **(people | {"sender": "nobody"})),
            EmailTable(name="two", host="mail.example.org", **(people | {"recipients": ("c@d.org, e@d.org",)})),
        ),
        webhook=(
            WebhookTable(name="hook", url="https://hooks.example.org/T0K3N", secret_env="AFTERWATCH_TEST_ABSENT"),
            WebhookTable(name="open", url="http://hooks.example.org/T0K3N"),
            WebhookTable(name="user", url="https://ann:pw@hooks.example.org/"),
            WebhookTable(name="half", url="https://[::1"),
        ),
    )
    monkeypatch.delenv("AFTERWATCH_TEST_ABSENT", raising=False)
    found = {what: (good, told) for what, good, told in examine_channels(settings)}
    assert {what: good for what, (good, _) in found.items()} == {
        "channel mail": True,
        "channel relay": True,
        "channel nobody": False,
        "channel two": False,
        "channel hook": False,
        "channel open": True,
        "channel user": False,
        "channel half": False,
    }
    assert "sender of an e-mail channel is written as" in found["channel nobody"][1]
    assert "recipients of an e-mail channel" in found["channel two"][1] and "correct it" in found["channel half"][1]
    assert "AFTERWATCH_TEST_ABSENT is not set" in found["channel hook"][1]
    assert "in the clear" in found["channel relay"][1] and "in the clear" in found["channel open"][1]
    assert "in the clear" not in found["channel mail"][1]
    assert not any("T0K3N" in told or "pw" in told or PASSWORD in told for _, told in found.values())
