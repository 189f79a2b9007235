"""Which version of a head is in service: said by people, append-only; the newest word on a head counts."""

from infra.errors import LakeError
from lake.current import statements_now
from lake.ledger import Ledger, Statement

TABLE = "promotions"
PROMOTED = "promoted"


def promote(ledger: Ledger, kind: str, name: str, version: str, author: str, camera: str) -> None:
    """Put a version of a head into service in place of any other: from the next night on it scores its camera's days.

    Args:
        ledger: of the lake.
        kind, name, version: as the registry knows the head.
        author: who says so.
        camera: whose days it scores.
    """
    value = {"version": version, "state": PROMOTED}
    ledger.say(TABLE, [Statement(f"{kind}/{name}", author, value, camera=camera)])


def retire(ledger: Ledger, kind: str, name: str, author: str, camera: str) -> None:
    """Take a head out of service; what it found counts no more from the next night on.

    Its versions stay in the registry, and its files in the lake: put into service again, they count again.
    """
    ledger.say(TABLE, [Statement(f"{kind}/{name}", author, None, camera=camera)])


def in_service(ledger: Ledger, kind: str, camera: str | None = None) -> dict[str, str]:
    """Version in service of each head of a kind, by name; of one camera's heads where one is named.

    Raises:
        LakeError: what counts of a head is no promotion, as rows written by hand may not be.
    """
    serving = {}
    for row in statements_now(ledger, TABLE):
        if not row["key"].startswith(f"{kind}/") or camera not in (None, row["camera"]):
            continue
        value, name = row["value"], row["key"].split("/", 1)[1]
        if not isinstance(value, dict) or not isinstance(value.get("version"), str):
            raise LakeError(
                f'the ledger {TABLE} says {value!r} of {row["key"]}, which names no version; say it again with "afterwatch '
                f'models promote {name} VERSION"'
            )
        if value.get("state") == PROMOTED:
            serving[name] = value["version"]
    return serving
