"""Every error Afterwatch raises on purpose.

::

    AfterwatchError
    ├── ConfigurationError      the call or the settings are wrong      (exit code 2)
    │   ├── UnknownNameError    a name that is not in a known list
    │   └── TooLittleFootageError   there is too little to fit a head on
    ├── FootageError            a recording cannot be used
    │   └── DecodeError         … because its pictures cannot be decoded
    ├── WeightsError            weights are absent, altered or of the wrong shape
    ├── AccessError             the role of who acts does not allow it   (exit code 2)
    ├── LakeError               a table, key or space does not fit
    ├── BundleError             a bundle could not be made, or is not what was made
    └── NightError              the night is incomplete or could not be run

A message gives the value, the rule it broke and the remedy.
"""

from collections.abc import Iterable
from difflib import get_close_matches

MOST_NAMES, LONGEST_NAME = 100, 100
"""Known names that a message lists, and letters of the unknown one that it repeats."""


class AfterwatchError(Exception):
    """Root of every error raised on purpose; the command line prints it without a traceback."""

    exit_code: int = 1


class ConfigurationError(AfterwatchError):
    """The call or the settings are wrong; nothing was done."""

    exit_code = 2


class UnknownNameError(ConfigurationError):
    """A name is not one of the known ones; the message lists them and guesses which was meant."""

    def __init__(self, what: str, name: str, known: Iterable[str]) -> None:
        names = sorted(known)
        near = get_close_matches(name, names, n=1)
        guess = f' — did you mean "{near[0]}"?' if near else ""
        told = name if len(name) <= LONGEST_NAME else f"{name[:LONGEST_NAME]} …"
        listed = ", ".join(names[:MOST_NAMES]) or "none"
        more = f", … {len(names)} in all" if len(names) > MOST_NAMES else ""
        super().__init__(f'unknown {what} "{told}"{guess} (known: {listed}{more})')
        self.name = name
        self.known = tuple(names)


class TooLittleFootageError(ConfigurationError):
    """What is there is too little, or lies too close in time, to fit a head on."""


class FootageError(AfterwatchError):
    """A recording cannot be used."""


class DecodeError(FootageError):
    """The pictures of a recording cannot be decoded."""


class WeightsError(AfterwatchError):
    """Weights are absent, altered or do not fit their network."""

    exit_code = 2


class AccessError(AfterwatchError):
    """The role of who acts does not allow what was asked; nothing was done."""

    exit_code = 2


class LakeError(AfterwatchError):
    """A table, key or space does not fit what was asked of it."""


class BundleError(AfterwatchError):
    """A bundle for a machine without a network could not be made, or is not what was made."""


class NightError(AfterwatchError):
    """The night is incomplete or could not be run."""
