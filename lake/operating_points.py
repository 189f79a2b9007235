"""Where people put the threshold of a classifier's class: append-only statements, of which the newest counts.

An operating point stands beside the model, not in it: moving it makes no new version. It is of one version, for the
probabilities of another are on a scale of their own.
"""

from dataclasses import dataclass, field
from datetime import UTC, datetime

from infra.errors import ConfigurationError, LakeError
from infra.table import NAME
from lake.current import statements_now
from lake.ledger import Ledger, Statement

TABLE = "operating_points"


@dataclass(frozen=True)
class OperatingPoint:
    """A threshold on the probability of a class, with who chose it and by what.

    Attributes:
        classifier, version: as the registry knows them.
        class_name: class of the classifier.
        threshold: in (0, 1); a probability above it counts.
        criterion: what it was chosen by, in words: `f_beta 2`, `recall 0.8`, `cost 1 5`, or `chosen` for a number that a
            person gave.
        author: who says so; empty where it is the recommendation of the model's card.
        said_at: when.
    """

    classifier: str
    version: str
    class_name: str
    threshold: float
    criterion: str
    author: str
    said_at: datetime = field(default_factory=lambda: datetime.now(UTC))

    def __post_init__(self) -> None:
        _check_named(self.classifier, self.version, self.class_name)
        if not 0 < self.threshold < 1:
            raise ConfigurationError(
                f"a threshold on a probability lies between 0 and 1, got {self.threshold}; correct the value"
            )
        if not self.criterion.strip():
            raise ConfigurationError('an operating point says what it was chosen by; write "chosen" if by hand')

    @property
    def key(self) -> str:
        """What it is about: of two with one key, the newer counts."""
        return _key(self.classifier, self.version, self.class_name)


def say_operating_point(ledger: Ledger, point: OperatingPoint) -> None:
    """Append an operating point; the next run holds every day against it.

    Raises:
        ConfigurationError: nobody says it.
    """
    value = {"threshold": point.threshold, "criterion": point.criterion}
    ledger.say(TABLE, [Statement(point.key, _author(point.author), value, said_at=point.said_at)])


def take_back_operating_point(ledger: Ledger, classifier: str, version: str, class_name: str, author: str) -> None:
    """Leave a class to the recommendation of its model's card again.

    Raises:
        ConfigurationError: nobody says it, or a name is none.
    """
    _check_named(classifier, version, class_name)
    ledger.say(TABLE, [Statement(_key(classifier, version, class_name), _author(author), None)])


def operating_points_now(ledger: Ledger) -> dict[tuple[str, str, str], OperatingPoint]:
    """The operating points that count, by classifier, version and class; those taken back are absent.

    A key that does not name a classifier, a version and a class is about none, and is passed over.

    Raises:
        LakeError: what counts of a class is no operating point, as rows written by hand may not be.
    """
    found = {}
    for row in statements_now(ledger, TABLE):
        names = row["key"].split("/", 2)
        if len(names) < 3 or not all(names):
            continue
        classifier, version, class_name = names
        try:
            found[classifier, version, class_name] = OperatingPoint(
                classifier,
                version,
                class_name,
                float(row["value"]["threshold"]),
                str(row["value"]["criterion"]),
                row["author"],
                row["said_at"],
            )
        except (ConfigurationError, KeyError, TypeError, ValueError):
            raise LakeError(
                f"the ledger {TABLE} says {row['value']!r} of {row['key']}, which is no threshold; say it again with "
                f'"afterwatch models threshold {classifier} --version {version} --class {class_name} --at …"'
            ) from None
    return found


def _key(classifier: str, version: str, class_name: str) -> str:
    return f"{classifier}/{version}/{class_name}"


def _check_named(classifier: str, version: str, class_name: str) -> None:
    for what, name in (("classifier", classifier), ("version", version)):
        if not NAME.fullmatch(name):
            raise ConfigurationError(f'an operating point is that of a {what}, and "{name}" names none')
    if not class_name.strip():
        raise ConfigurationError("an operating point is that of a class; name one")


def _author(author: str) -> str:
    if not author.strip():
        raise ConfigurationError("an operating point has an author; say who you are")
    return author.strip()
