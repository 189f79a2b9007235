"""Signing flip reports: somebody has read what a version would gain, lose and move, and says so before it is promoted."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from infra.errors import AfterwatchError, ConfigurationError, LakeError
from lake.current import statements_now
from lake.ledger import Statement
from workspace.flip_files import ID_DIGITS, read_report, report_hash
from workspace.opened import Workspace

TABLE = "signoffs"
COMPARED = ("classifier", "retrieval", "autoencoder")
"""Kinds of which a person says what version serves: two versions are compared before one takes the other's place."""


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
        ConfigurationError: nobody signs it, or nothing is compared in it.
    """
    if not author.strip():
        raise ConfigurationError("a flip report is signed by somebody; say who you are with --author")
    report = read_report(workspace, report_id)
    if not report.total("days"):
        raise ConfigurationError(
            f"flip report {report_id} compares {report.name} on no camera-day, so that there is nothing in it to have read: "
            f"{'; '.join(report.remarks) or 'nothing was embedded'}. Run the night, or choose another campaign, and make it again "
            f'with "{comparing_command(report.kind, report.name, report.current, report.candidate)}"'
        )
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

    A report that was altered or deleted since it was signed does not count, nor does one that compares nothing.
    """
    wanted = (kind, name, current, candidate)
    said = [
        pair for pair in _said(workspace) if (pair[0].kind, pair[0].name, pair[0].current, pair[0].candidate) == wanted
    ]
    newest_first = sorted(said, key=lambda pair: pair[0].said_at, reverse=True)
    return next((one for one, sha256 in newest_first if _stands(workspace, one.report_id, sha256)), None)


def signature_of(workspace: Workspace, report_id: str) -> SignOff | None:
    """The signature of a report that counts; None where nobody signed it as it is."""
    mine = (pair for pair in _said(workspace) if pair[0].report_id == report_id)
    return next((one for one, sha256 in mine if _stands(workspace, one.report_id, sha256)), None)


def comparing_command(kind: str, name: str, current: str, candidate: str) -> str:
    """The command that makes the report which a promotion asks for."""
    return f"afterwatch models compare {name}/{current} {name}/{candidate} --kind {kind} --campaign CAMPAIGN"


def _said(workspace: Workspace) -> Iterator[tuple[SignOff, str]]:
    """The newest signature of each report, in order of report, with the hash that was signed; some may not count."""
    for row in statements_now(workspace.ledger, TABLE):
        value = row["value"]
        if isinstance(value, dict):
            told = {name: str(value.get(name, "")) for name in ("kind", "name", "current", "candidate", "campaign")}
            signed = SignOff(row["key"], **told, author=row["author"], said_at=row["said_at"])
            yield signed, str(value.get("sha256"))


def _stands(workspace: Workspace, report_id: str, sha256: str) -> bool:
    """Whether a report is there as it was signed, and compares something."""
    if len(report_id) != ID_DIGITS or not sha256.startswith(report_id):
        return False
    try:
        return report_hash(workspace, report_id) == sha256 and read_report(workspace, report_id).total("days") > 0
    except AfterwatchError:
        return False
