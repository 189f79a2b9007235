"""Signing flip reports: somebody has read what a version would gain, lose and move, and says so before it is promoted."""

from dataclasses import dataclass
from datetime import datetime

from infra.errors import AfterwatchError, ConfigurationError, LakeError
from lake.current import statements_now
from lake.ledger import Statement
from workspace.flip_files import ID_DIGITS, read_report, report_hash
from workspace.opened import Workspace

TABLE = "signoffs"
COMPARED = ("classifier", "retrieval")
"""Kinds of which two versions can be compared before one is promoted. An autoencoder is not among them: until it serves,
nothing is embedded with it, so that what it changes is told afterwards, by `models compare HEAD@RUN HEAD@now`."""


@dataclass(frozen=True)
class SignOff:
    """A report that was signed and is as it was then.

    Attributes:
        report_id: of it.
        kind, name, current, candidate: what it compares, as the report says.
        campaign: whose footage it was made of.
        author, said_at: who signed it, and when.
    """

    report_id: str
    kind: str
    name: str
    current: str
    candidate: str
    campaign: str
    author: str
    said_at: datetime


def sign(workspace: Workspace, report_id: str, author: str) -> SignOff:
    """Say that a report was read and stands for a promotion; signed again by another, the newer signature counts.

    Raises:
        UnknownNameError: there is no such report.
        LakeError: it was altered since it was made.
        AccessError: the role of who acts does not allow it.
        ConfigurationError: nobody signs it.
    """
    if not author.strip():
        raise ConfigurationError("a flip report is signed by somebody; say who you are with --author")
    report = read_report(workspace, report_id)
    value = {
        "sha256": report_hash(workspace, report_id),
        "kind": report.kind,
        "name": report.name,
        "current": report.current,
        "candidate": report.candidate,
        "campaign": report.campaign,
    }
    workspace.ledger.say(TABLE, [Statement(report_id, author.strip(), value)])
    signed = signature_of(workspace, report_id)
    if signed is None:
        raise LakeError(f"flip report {report_id} was altered while it was signed; make the comparison again")
    return signed


def signed_report(workspace: Workspace, kind: str, name: str, current: str, candidate: str) -> SignOff | None:
    """The newest signature of a report from one version of a model to another; None where there is none.

    A report that was altered or deleted since it was signed does not count.
    """
    wanted = (kind, name, current, candidate)
    found = [one for one in signatures(workspace) if (one.kind, one.name, one.current, one.candidate) == wanted]
    return max(found, key=lambda one: one.said_at, default=None)


def signatures(workspace: Workspace) -> list[SignOff]:
    """All signatures that count, in order of report: the newest of each."""
    found = []
    for row in statements_now(workspace.ledger, TABLE):
        value = row["value"]
        if not isinstance(value, dict) or not _stands(workspace, row["key"], value.get("sha256")):
            continue
        found.append(_sign_off(row["key"], value, row["author"], row["said_at"]))
    return found


def signature_of(workspace: Workspace, report_id: str) -> SignOff | None:
    """The signature of a report that counts; None where nobody signed it as it is."""
    return next((one for one in signatures(workspace) if one.report_id == report_id), None)


def comparing_command(kind: str, name: str, current: str, candidate: str) -> str:
    """The command that makes the report which a promotion asks for."""
    return f"afterwatch models compare {name}/{current} {name}/{candidate} --kind {kind} --campaign CAMPAIGN"


def _stands(workspace: Workspace, report_id: str, sha256: object) -> bool:
    if not isinstance(sha256, str) or not sha256.startswith(report_id) or len(report_id) != ID_DIGITS:
        return False
    try:
        return report_hash(workspace, report_id) == sha256
    except AfterwatchError:
        return False


def _sign_off(report_id: str, value: dict[str, str], author: str, said_at: datetime) -> SignOff:
    told = {name: str(value.get(name, "")) for name in ("kind", "name", "current", "candidate", "campaign")}
    return SignOff(report_id, **told, author=author, said_at=said_at)
