"""The channels of the settings, and what can be said of them without sending anything."""

import os
from urllib.parse import urlsplit

from infra.alarm_settings import LOOPBACK, EmailTable, NotificationsTable, WebhookTable
from infra.errors import ConfigurationError, UnknownNameError
from workspace.notifications.base import Channel, DeliveryError
from workspace.notifications.email import EmailChannel, addresses_of
from workspace.notifications.webhook import WebhookChannel

HOW = (
    "no channel of notifications is set up; write [[notifications.email]] or [[notifications.webhook]] into afterwatch.toml, "
    "as the guide to notifications says, and try it with: afterwatch notify --test"
)


def open_channels(settings: NotificationsTable) -> list[Channel]:
    """The channels, in the order of the settings; nothing is connected yet."""
    emails = [EmailChannel(table, settings.timeout_s) for table in settings.email]
    return [*emails, *(WebhookChannel(table, settings.timeout_s) for table in settings.webhook)]


def choose_channels(settings: NotificationsTable, name: str | None) -> list[Channel]:
    """All channels, or the one that a person named.

    Raises:
        ConfigurationError: there is none at all.
        UnknownNameError: none is called so.
    """
    channels = open_channels(settings)
    if not channels:
        raise ConfigurationError(HOW)
    if name is not None and name not in {channel.name for channel in channels}:
        raise UnknownNameError("channel of notifications", name, (channel.name for channel in channels))
    return [channel for channel in channels if name in (None, channel.name)]


def examine_channels(settings: NotificationsTable) -> list[tuple[str, bool, str]]:
    """(what, whether it is good, what was found) of each channel: addresses, its secret in this environment, what is not encrypted.

    Nothing is connected: `afterwatch notify --test` does that.
    """
    return [*(_of_email(table) for table in settings.email), *(_of_webhook(table) for table in settings.webhook)]


def _of_email(table: EmailTable) -> tuple[str, bool, str]:
    what = f"channel {table.name}"
    if _is_absent(table.password_env):
        return what, False, _absent(table.password_env)
    try:
        addresses_of("sender", (table.sender,))
        addresses_of("recipients", table.recipients)
    except DeliveryError as error:
        return what, False, str(error)
    clear = " in the clear" if table.security == "none" and table.host not in LOOPBACK else ""
    return what, True, f"e-mail{clear} by {table.host}:{table.port} to {len(table.recipients)} recipients; not tried"


def _of_webhook(table: WebhookTable) -> tuple[str, bool, str]:
    what = f"channel {table.name}"
    if _is_absent(table.secret_env):
        return what, False, _absent(table.secret_env)
    try:
        url = urlsplit(table.url)
    except ValueError:
        return what, False, "url is no address; correct it"
    if url.username is not None or url.password is not None:
        return what, False, "url holds a user or a password before its host; leave them out and sign with secret_env"
    clear = " in the clear" if url.scheme == "http" and url.hostname not in LOOPBACK else ""
    signed = "signed" if table.secret_env is not None else "not signed"
    return what, True, f"webhook{clear} at {url.hostname}, {signed}; not tried"


def _is_absent(variable: str | None) -> bool:
    return variable is not None and not os.environ.get(variable)


def _absent(variable: str | None) -> str:
    return f"the environment variable {variable} is not set here; set it for the process that runs the night"
