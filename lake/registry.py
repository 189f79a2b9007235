"""Heads on disk: a card and arrays, by kind, name and version. No pickle is ever written or read."""

import json
import os
import re
import secrets
import shutil
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load, save

from infra.errors import LakeError
from infra.version import code_version

CARD = "card.json"
ARRAYS = "head.safetensors"
MAKING = ("author", "made_at", "code")
"""Entries of a card that say who made a version, when and by what code."""
_SAFE = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._-]*")


class Registry:
    """The folder `models/<kind>/<name>/<version>/` of a workspace."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def folder(self, kind: str, name: str, version: str) -> Path:
        for part in (kind, name, version):
            if not _SAFE.fullmatch(part):
                raise LakeError(f'"{part}" cannot name a model: use letters, digits, space, ".", "_" and "-"')
        return self._folder / kind / name / version

    def exists(self, kind: str, name: str, version: str) -> bool:
        return (self.folder(kind, name, version) / CARD).is_file()

    def save(
        self,
        kind: str,
        name: str,
        version: str,
        card: Mapping[str, Any],
        arrays: Mapping[str, NDArray[Any]],
        *,
        author: str,
    ) -> Path:
        """Put a version in place, whole or not at all. A version that is there already stays as it is.

        Args:
            kind, name, version: what it is called.
            card: what it is: of what data and by what parameters it was made, and how well it does. Who made it, when and by
                what code is added here, so that every card says it; of a card that says already when it was made, the
                moment stays.
            arrays: of it.
            author: who made it, or had it made.

        Returns:
            Its folder.

        Raises:
            LakeError: a part of its name cannot be one, nobody made it, or it cannot be written.
        """
        target = self.folder(kind, name, version)
        if not author.strip():
            raise LakeError(f"{kind} {name} {version} has no author: a card says who made it; say who you are")
        if self.exists(kind, name, version):
            return target
        told = {
            "made_at": datetime.now(UTC).isoformat(timespec="seconds"),
            **card,
            "author": author.strip(),
            "code": code_version().to_card(),
        }
        unfinished = target.with_name(f".{version}.{os.getpid()}-{secrets.token_hex(4)}")
        unfinished.mkdir(parents=True)
        try:
            (unfinished / ARRAYS).write_bytes(save({key: np.ascontiguousarray(value) for key, value in arrays.items()}))
            (unfinished / CARD).write_text(_text(told), encoding="utf-8")
            try:
                unfinished.rename(target)
            except OSError:
                # Another worker was quicker with the same version: its content is the same.
                if not self.exists(kind, name, version):
                    raise
        except OSError as error:
            raise LakeError(f"{target} cannot be written: {error.strerror}; free space or grant access") from error
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)
        return target

    def revise(self, kind: str, name: str, version: str, entries: Mapping[str, Any]) -> dict[str, Any]:
        """Let the card of a version say something else of some entries, as where it was measured anew; returns the card.

        What the version is stays: its arrays, who made it, when and by what code.

        Raises:
            LakeError: there is no such version, its card is damaged, or it cannot be written.
        """
        before = self.card(kind, name, version)
        kept = {entry: before[entry] for entry in MAKING if entry in before}
        card = {**before, **entries, **kept}
        target = self.folder(kind, name, version) / CARD
        unfinished = target.with_name(f".{CARD}.{os.getpid()}-{secrets.token_hex(4)}")
        try:
            unfinished.write_text(_text(card), encoding="utf-8")
            unfinished.replace(target)
        except OSError as error:
            raise LakeError(f"{target} cannot be written: {error.strerror}; free space or grant access") from error
        finally:
            unfinished.unlink(missing_ok=True)
        return card

    def card(self, kind: str, name: str, version: str) -> dict[str, Any]:
        """The card of a version, without its arrays.

        Raises:
            LakeError: there is none, or it is damaged.
        """
        folder = self.folder(kind, name, version)
        try:
            card = json.loads((folder / CARD).read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise LakeError(
                f'there is no {kind} model {name} {version}; list them with "afterwatch models list"'
            ) from None
        except (OSError, ValueError, RecursionError) as error:
            raise LakeError(f"{folder} is damaged ({error}); delete it and run again") from None
        if not isinstance(card, dict):
            raise LakeError(f"{folder} is damaged (its card is no object); delete it and run again")
        return card

    def load(self, kind: str, name: str, version: str) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        """Card and arrays of a version.

        Raises:
            LakeError: there is none, or its files are damaged.
        """
        folder, card = self.folder(kind, name, version), self.card(kind, name, version)
        try:
            arrays = load((folder / ARRAYS).read_bytes())
        except FileNotFoundError:
            raise LakeError(
                f'there is no {kind} model {name} {version}; list them with "afterwatch models list"'
            ) from None
        except (OSError, ValueError, SafetensorError) as error:
            raise LakeError(f"{folder} is damaged ({error}); delete it and run again") from None
        return card, arrays

    def versions(self) -> list[tuple[str, str, str]]:
        """(kind, name, version) of every finished version, in order."""
        cards = self._folder.glob(f"*/*/*/{CARD}")
        return sorted(
            (card.parent.parent.parent.name, card.parent.parent.name, card.parent.name)
            for card in cards
            if not card.parent.name.startswith(".")
        )


def _text(card: Mapping[str, Any]) -> str:
    return json.dumps(card, indent=2, sort_keys=True) + "\n"
