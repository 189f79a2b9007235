"""What the night asks people to judge next, and what they answer.

A night leaves a list for each campaign (table `queue`): snippets that are near a head's threshold, or unlike all that was
judged. An answer is a label of the use case (camera, region, name of the head) on the snippet's recorded time: of a novelty
head and of an alarm it is the same word as a verdict on an event (`workspace.verdicts`), of a retrieval head the same as in
its review. So whatever learns from labels learns from the queue. What was answered or skipped since the night, here or
elsewhere, is not asked any more; the next night asks anew, and leaves out what was judged.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from difflib import get_close_matches
from typing import Any, Literal, get_args

import pyarrow as pa
import pyarrow.compute as pc

from infra.errors import ConfigurationError, UnknownNameError
from lake.current import statements_now
from lake.keys import short_hash
from lake.labels import Label, Span, UseCase, labels_now, say_labels
from lake.labels import take_back as take_labels_back
from lake.ledger import FINISHED, Ledger, Statement, newest
from workspace.opened import Workspace

STEP = "queue"
SKIPS = "skips"
Kind = Literal["novelty", "alarm", "retrieval"]
Reason = Literal["uncertain", "diverse"]
Word = Literal["relevant", "irrelevant", "skipped"]
WORDS: tuple[Word, ...] = get_args(Word)
ID_DIGITS = 12
NEAR = 8
"""Items that are told where one is not known."""


@dataclass(frozen=True)
class QueueItem:
    """A snippet that the last night asks about, and why.

    Attributes:
        campaign, camera, day, region: whose pictures; `frame` is the whole picture.
        rank: 1 is asked first, over all cameras and heads of the campaign.
        kind: of the head: `novelty`, `alarm` (a class of [[alarms]]) or `retrieval`.
        head: its name: that of [novelty], of the entry of [[alarms]], or the use case.
        version: of the head that scored it.
        recording_id: hash of the recording's content.
        from_us, to_us: the snippet in its recording, microseconds since its first picture, half open.
        taken_at: true time of `from_us`, with a zone.
        slice: temporal slice of the camera's day; of one slice only one snippet is asked for a head.
        reason: `uncertain` (near the threshold) or `diverse` (unlike what was judged of the newest days).
        score: as in the table `scores`: of a novelty head higher is more unusual, of an alarm the probability of its class,
            of a retrieval head the margin.
        threshold: what the score was held against; None where no score could be above it.
        distance: of the score from the threshold, below it negative: of a novelty head and of a retrieval head in robust
            standard deviations of its scores, of an alarm in logits; None where there is no threshold.
    """

    campaign: str
    camera: str
    day: date
    region: str
    rank: int
    kind: Kind
    head: str
    version: str
    recording_id: str
    from_us: int
    to_us: int
    taken_at: datetime
    slice: int
    reason: Reason
    score: float
    threshold: float | None
    distance: float | None

    @property
    def queue_id(self) -> str:
        """Name of the item, 12 hexadecimal digits of what is asked about; the same as long as the same is asked."""
        told = [self.head, self.camera, self.region, self.recording_id, self.from_us, self.to_us]
        return short_hash(told)[:ID_DIGITS]

    @property
    def use_case(self) -> UseCase:
        """What an answer is a label of."""
        return UseCase(self.camera, self.region, self.head)

    @property
    def span(self) -> Span:
        """What an answer is about."""
        return Span(self.recording_id, self.from_us, self.to_us)

    @property
    def seconds(self) -> float:
        """Length of the snippet."""
        return (self.to_us - self.from_us) / 1e6


@dataclass(frozen=True)
class Answered:
    """What stands of an item: the word, whose it is, and when it was said.

    Attributes:
        word: `relevant` (yes: unusual, what the alarm says, or the use case), `irrelevant` or `skipped`.
        author, said_at: who said it last, and when.
        elsewhere: whether it was said of another span that overlaps the snippet (a verdict on an event, a label of a review):
            that is taken back where it was said.
    """

    word: Word
    author: str
    said_at: datetime
    elsewhere: bool = False


@dataclass(frozen=True, eq=False)
class Queue:
    """What the last nights ask about, and what was answered since.

    Attributes:
        items: in order of campaign and rank, answered ones too.
        answers: by `queue_id`; of items that nothing is said of there is none.
    """

    items: tuple[QueueItem, ...]
    answers: Mapping[str, Answered]

    @property
    def left(self) -> tuple[QueueItem, ...]:
        """The items that nothing is said of yet, in order of campaign and rank."""
        return tuple(item for item in self.items if item.queue_id not in self.answers)


@dataclass(frozen=True)
class HeadCount:
    """How far the queue of a head has come, over all its cameras and regions: `relevant` + `irrelevant` + `skipped` +
    `left` = `asked`."""

    head: str
    kind: Kind
    asked: int
    relevant: int
    irrelevant: int
    skipped: int

    @property
    def left(self) -> int:
        return self.asked - self.done

    @property
    def done(self) -> int:
        return self.relevant + self.irrelevant + self.skipped


def read_queue(
    workspace: Workspace, campaign: str | None = None, camera: str | None = None, head: str | None = None
) -> Queue:
    """The queue as the last night of each campaign left it, and what was said since.

    Quick enough to be asked after every answer: the ledgers are read again only where there is something new in them.

    Args:
        workspace: the site.
        campaign, camera, head: narrow it; None is all.

    Raises:
        LakeError: a file of the queue cannot be read.
    """
    wanted = (campaign, camera, head)
    items = tuple(
        item
        for item in _items(workspace)
        if all(want in (None, have) for want, have in zip(wanted, (item.campaign, item.camera, item.head), strict=True))
    )
    return Queue(items, _answers(workspace.ledger, items))


def queue_now(
    workspace: Workspace, campaign: str | None = None, camera: str | None = None, head: str | None = None
) -> tuple[QueueItem, ...]:
    """What is to be judged next, in order of campaign and rank: the last night's queue less what was answered or skipped
    since. The arguments are those of `read_queue`."""
    return read_queue(workspace, campaign, camera, head).left


def done_tonight(workspace: Workspace, campaign: str | None = None) -> tuple[HeadCount, ...]:
    """How many the last nights ask about and how many of them are answered or skipped, head by head in order of name."""
    return counts_of(read_queue(workspace, campaign))


def counts_of(queue: Queue) -> tuple[HeadCount, ...]:
    """The same of a queue that was read already."""
    heads = sorted({(item.head, item.kind) for item in queue.items})
    counts = []
    for head, kind in heads:
        mine = [item.queue_id for item in queue.items if (item.head, item.kind) == (head, kind)]
        words = [queue.answers[name].word for name in mine if name in queue.answers]
        relevant, irrelevant, skipped = (words.count(word) for word in WORDS)
        counts.append(HeadCount(head, kind, len(mine), relevant, irrelevant, skipped))
    return tuple(counts)


def find_item(workspace: Workspace, queue_id: str) -> QueueItem:
    """The item that is called so, answered or not.

    Raises:
        UnknownNameError: the last nights do not ask about such a one; the message tells those with the most similar names.
    """
    items = {item.queue_id: item for item in _items(workspace)}
    if queue_id not in items:
        raise UnknownNameError("item of the queue", queue_id, get_close_matches(queue_id, items, n=NEAR, cutoff=0.0))
    return items[queue_id]


def answer(workspace: Workspace, item: QueueItem, relevant: bool, author: str) -> Label:
    """Say of an item whether it is relevant; what was said of it here before does not count any more.

    Raises:
        ConfigurationError: there is no author.
    """
    author = _author(author)
    label = Label(item.use_case, item.campaign, item.day, item.recording_id, item.from_us, item.to_us, relevant, author)
    say_labels(workspace.ledger, [label])
    _take_skip_back(workspace.ledger, item, author)
    workspace.ledger.compact("labels")
    return label


def skip(workspace: Workspace, item: QueueItem, author: str) -> None:
    """Say of an item that one cannot or will not judge it: no night asks about its slice again.

    Raises:
        ConfigurationError: there is no author, or the item is answered: the answer would stand.
    """
    author = _author(author)
    said = _answers(workspace.ledger, [item]).get(item.queue_id)
    if said is not None and said.word != "skipped":
        where = "where it was said" if said.elsewhere else f'with "afterwatch queue undo {item.queue_id}"'
        raise ConfigurationError(
            f"{item.queue_id} is answered: {said.word} by {said.author}; take it back first, {where}"
        )
    value = {
        "head": item.head,
        "camera": item.camera,
        "region": item.region,
        "recording_id": item.recording_id,
        "from_us": item.from_us,
        "to_us": item.to_us,
    }
    _say_skip(workspace.ledger, item, author, value)
    workspace.ledger.compact(SKIPS)


def take_back(workspace: Workspace, item: QueueItem, author: str) -> Word | None:
    """Say that nothing is said of an item any more, whoever said it; it is asked again.

    Only what was said of its very span goes: an answer of the queue, a label of a review on the same snippet, a skip.

    Returns:
        The word that stood; None where nothing did.

    Raises:
        ConfigurationError: there is no author.
    """
    author = _author(author)
    ledger = workspace.ledger
    mine = [label for label in labels_now(ledger) if (label.use_case, label.span) == (item.use_case, item.span)]
    skipped = _take_skip_back(ledger, item, author)
    if mine:
        take_labels_back(ledger, mine, author)
        return "relevant" if max(mine, key=lambda label: label.said_at).relevant else "irrelevant"
    return "skipped" if skipped else None


@dataclass(frozen=True)
class Skip:
    """A span that somebody would not judge, of a use case."""

    use_case: UseCase
    campaign: str
    day: date
    span: Span
    author: str
    said_at: datetime


def skips_now(ledger: Ledger) -> tuple[Skip, ...]:
    """The skips that count, in order of campaign, camera and key."""
    return tuple(
        Skip(
            UseCase(row["value"]["camera"], row["value"]["region"], row["value"]["head"]),
            row["campaign"],
            row["day"],
            Span(row["value"]["recording_id"], row["value"]["from_us"], row["value"]["to_us"]),
            row["author"],
            row["said_at"],
        )
        for row in statements_now(ledger, SKIPS)
    )


def queue_files(ledger: Ledger) -> dict[str, tuple[tuple[date, str], ...]]:
    """Day and file of each queue that counts, by campaign, in order of day; as a rule there is one."""
    files: dict[str, tuple[tuple[date, str], ...]] = ledger.derived("runs", _counting)
    return files


def _counting(runs: pa.Table) -> dict[str, tuple[tuple[date, str], ...]]:
    finished = pc.and_(pc.equal(runs["step"], STEP), pc.is_in(runs["status"], pa.array(FINISHED)))
    found: dict[str, list[tuple[date, str]]] = {}
    for row in newest(runs.filter(finished).to_pylist(), ("campaign", "day"), "finished_at"):
        for path in row["outputs"]:
            found.setdefault(row["campaign"], []).append((row["day"], path))
    return {campaign: tuple(sorted(found[campaign])) for campaign in sorted(found)}


def _items(workspace: Workspace) -> list[QueueItem]:
    items = []
    for files in queue_files(workspace.ledger).values():
        _, path = files[-1]  # a night that was cut short may have left an older one standing
        rows: Iterable[dict[str, Any]] = workspace.store.read_table(path).sort_by("rank").to_pylist()
        items += [QueueItem(**row) for row in rows]
    return items


def _answers(ledger: Ledger, items: Iterable[QueueItem]) -> dict[str, Answered]:
    """What stands of each item; of several words the newest, and a skip only where nothing else is said."""
    labels: dict[tuple[UseCase, str], list[Label]] = {}
    for label in labels_now(ledger):
        labels.setdefault((label.use_case, label.recording_id), []).append(label)
    skips: dict[tuple[UseCase, Span], Skip] = {(one.use_case, one.span): one for one in skips_now(ledger)}
    answers: dict[str, Answered] = {}
    for item in items:
        mine = [
            label
            for label in labels.get((item.use_case, item.recording_id), ())
            if label.from_us < item.to_us and label.to_us > item.from_us
        ]
        if mine:
            last = max(mine, key=lambda label: label.said_at)
            word: Word = "relevant" if last.relevant else "irrelevant"
            answers[item.queue_id] = Answered(word, last.author, last.said_at, last.span != item.span)
        elif (passed := skips.get((item.use_case, item.span))) is not None:
            answers[item.queue_id] = Answered("skipped", passed.author, passed.said_at)
    return answers


def _take_skip_back(ledger: Ledger, item: QueueItem, author: str) -> bool:
    """Take a skip back; returns whether there was one."""
    stood = any((one.use_case, one.span) == (item.use_case, item.span) for one in skips_now(ledger))
    if stood:
        _say_skip(ledger, item, author, None)
    return stood


def _say_skip(ledger: Ledger, item: QueueItem, author: str, value: dict[str, Any] | None) -> None:
    said = Statement(item.queue_id, author, value, item.campaign, item.camera, item.day)
    ledger.say(SKIPS, [said])


def _author(author: str) -> str:
    if not author.strip():
        raise ConfigurationError("an answer has an author; name one")
    return author.strip()
