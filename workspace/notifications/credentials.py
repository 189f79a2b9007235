"""Passwords and keys: from the environment, at the moment they are needed, and never in a message or an error."""

import base64
import os

from workspace.notifications.base import DeliveryError, plain

LONGEST_ANSWER = 200


def secret_of(variable: str, channel: str) -> str:
    """The value of an environment variable.

    Raises:
        DeliveryError: it is not set, or empty.
    """
    value = os.environ.get(variable, "")
    if not value:
        raise DeliveryError(
            f'the environment variable {variable}, which holds the secret of the channel "{channel}", is not set here; set '
            "it for the process that sends",
            whole_channel=True,
        )
    return value


def without(text: str, secrets: tuple[str, ...]) -> str:
    """A server's answer as one line that can be shown: a server may repeat what it was sent."""
    for secret in secrets:
        packed = base64.b64encode(secret.encode(errors="surrogateescape")).decode()
        for spelling in (secret, packed, packed.rstrip("=")):
            text = text.replace(spelling, "***") if spelling else text
    return plain(text, LONGEST_ANSWER)
