"""Why a step of a camera's day has to be made: what is different from what decided the results that count, in words.

A step is made again where its own parameters are others, or where something that it is made from is. Only the first is a cause;
of the second it is said what it follows from.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from lake.keys import VERSIONS
from lake.promotions import history
from tasks.alarms import STEP as CLASSIFY
from tasks.decisions import EMBED, OWN, Decision, Decisions, Planned, counting_steps, decide, latest_steps, origins_of
from tasks.differences import as_json, differences
from tasks.embedding_causes import OTHERWISE, EmbeddingCauses
from tasks.heads import KIND as RETRIEVAL
from tasks.heads import STEP as RETRIEVE
from tasks.plan import DayPlan
from tasks.step_plans import DaySteps, Step
from workspace.opened import Workspace

FOLLOWS = "follows from"
CLASSIFIER = "classifier"
"""Kind of an alarm's head in the registry (`workspace.classifiers.KIND`, which brings scikit-learn along)."""
SUMMARY = ("segmentation", "segment_s", "longest_s", "encoder", "budget_s", "similarity_limit")
"""Parameters of steps that are settings of [summary]."""


@dataclass(frozen=True)
class Cause:
    """Why a step is to be made.

    Attributes:
        step, scope: of the camera's day; of an embedding, the scope that lacks something.
        words: what is different, or what it follows from.
    """

    step: str
    scope: str
    words: str

    @property
    def is_root(self) -> bool:
        """Whether something is different of the step itself."""
        return not self.words.startswith(FOLLOWS)


def causes_of(
    workspace: Workspace,
    day: DayPlan,
    steps: DaySteps,
    planned: Sequence[Planned],
    due: Collection[date],
    decisions: Decisions,
) -> tuple[Cause, ...]:
    """Why each step of a camera's day that is not there has to be made, in order; none where all is there.

    Args:
        workspace: the site.
        day: its embedding as it is.
        steps: what follows, once all of it is embedded.
        planned: all days of the camera and their steps, likewise.
        due: days of the camera of which anything is to be made.
        decisions: what decided earlier results.
    """
    embedding = EmbeddingCauses(workspace, day, decisions)
    found = [Cause(EMBED, scope, embedding.why(scope)) for scope in embedding.scopes]
    after = _StepCauses(workspace, steps, planned, due, decisions, embedding)
    return (*found, *(Cause(step.name, step.scope, after.why(step)) for step in steps.all if not step.exists))


def in_short(causes: Sequence[Cause]) -> str:
    """Why a camera's day has to be worked on, each cause once; what it follows from where nothing of it is different."""
    roots = [cause.words for cause in causes if cause.is_root]
    return "; ".join(dict.fromkeys(roots or [cause.words for cause in causes]))


class _StepCauses:
    """What is different of the steps after the embedding of one camera's day."""

    def __init__(
        self,
        workspace: Workspace,
        steps: DaySteps,
        planned: Sequence[Planned],
        due: Collection[date],
        decisions: Decisions,
        embedding: EmbeddingCauses,
    ) -> None:
        self._workspace, self._steps, self._due = workspace, steps, due
        self._decisions, self._embedding = decisions, embedding
        own = next(day for day, mine in planned if mine is steps)
        decided = decide(workspace, own, steps, origins_of(planned))
        self._now = {(item.step, item.scope): item for item in decided.decisions}
        products = [(day, product) for day, _ in planned for shard in day.shards for product in shard.products]
        self._foreseen = {product.key for _, product in products if product.foreseen}
        self._makers = {product.key: EMBED for day, product in products if product.foreseen and day is own}
        self._makers |= {step.key: step.name for step in steps.all if not step.exists}
        if not steps.unusual.exists:
            self._makers[steps.unusual.key] = steps.score.name
        self._days = {key: day for key, day in origins_of(planned).items() if day != steps.place.day}

    def why(self, step: Step) -> str:
        """Why a step is to be made."""
        name = step.name, self._steps.place, step.scope
        latest, row = latest_steps(self._workspace).get(name), counting_steps(self._workspace).get(name)
        if latest is not None and latest["status"] == "failed" and latest["key"] == step.key:
            return f"it failed in run {latest['run_id']}: {latest['message']}"
        if row is None:
            return self._first(step)
        if row["key"] == step.key:
            return "what was made of it is not there any more as it was"
        found = self._decisions.find(self._steps.place, step.name, row["key"])
        if found is None:
            return row["message"] or self._follows(step) or OTHERWISE
        words = list(dict.fromkeys(self._changes(step, found[0])))
        return "; ".join(words) or self._follows(step) or self._elsewhere(step, found[0]) or OTHERWISE

    def _changes(self, step: Step, before: Decision) -> Iterator[str]:
        now = self._now[step.name, step.scope]
        if before.version != VERSIONS[step.name]:
            yield f"step {step.name}: version {before.version} → {VERSIONS[step.name]}"
        yield from self._parameters(step, as_json(before.parameters), as_json(now.parameters))
        came = sorted(set(now.inputs) - set(before.inputs) - {OWN})
        went = sorted(set(before.inputs) - set(now.inputs) - {OWN})
        if came:
            yield (
                f"{_days(came)} counts as earlier footage now"
                if len(came) == 1
                else f"{_days(came)} count as earlier footage now"
            )
        if went:
            yield f"{_days(went)} {'counts' if len(went) == 1 else 'count'} as earlier footage no more"

    def _parameters(self, step: Step, before: dict[str, Any], now: dict[str, Any]) -> Iterator[str]:
        """The parameters that are others, as the settings call them."""
        if step.name == RETRIEVE:
            yield from self._of_head(step, before, now)
            return
        if step.name == CLASSIFY:
            yield from self._of_alarm(step, before, now)
            return
        for name in sorted({*before, *now}):
            yield from self._parameter(step, name, before.get(name), now.get(name))

    def _parameter(self, step: Step, name: str, before: Any, now: Any) -> Iterator[str]:
        if before == now or not (before or now):  # no threshold chosen is as none told of
            return
        match step.name, name:
            case _, "references":
                yield self._still(now)
            case "fit", "parameters":
                for key in sorted({*before, *now}):
                    yield from self._parameter(step, key, before.get(key), now.get(key))
            case "fit", "said":
                yield "what people said of earlier footage"
            case "fit", "regions":
                yield from self._judged(set(before[1]), set(now[1]))
            case (("fit" | "score"), "trained"):
                was, told = ("/".join(value[:2]) if value else None for value in (before, now))
                yield from differences(was, told, "novelty.projection")
            case "score", "chosen":
                yield "a threshold that a person chose"
            case "summarise", "weights":
                yield from self._weights(before, now)
            case "publish", "truth":
                yield "what people said of its events"
            case "publish", "time_zone":
                yield from differences(before, now, "site.time_zone")
            case "segment", "cuts":
                yield from differences(before, now, f"summary.cuts for {self._steps.place.camera}")
            case "segment", "anomaly":
                yield from differences(before, now, "heads of summary.anomaly")
            case _, "summary":
                yield from differences(before, now, "summary")
            case (("segment" | "summarise"), _) if name in SUMMARY:
                yield from differences(before, now, f"summary.{name}")
            case _:
                yield from differences(before, now, f"novelty.{name}")

    def _still(self, references: Sequence[Sequence[Any]]) -> str:
        """That the camera is held against another still; one that is to be made is no cause of its own."""
        if any(key in self._foreseen for key, _ in references):
            return f"{FOLLOWS} {EMBED}"
        return "another still tells whether the camera was moved"

    def _judged(self, before: set[str], now: set[str]) -> Iterator[str]:
        embedded = {scope.rsplit("/", 1)[-1] for scope in self._embedding.scopes}
        for name in sorted(now - before):
            yield f"{FOLLOWS} {EMBED}" if name in embedded else f"region {name} is judged now"
        if before - now:
            yield from self._embedding.taken_away() or [f"other regions than {', '.join(sorted(before))} are judged"]

    def _weights(self, before: Any, now: Any) -> Iterator[str]:
        if before[0] != now[0]:
            yield f"weights of the summary {before[0]} → {now[0]}"
        else:
            yield from differences(before[1], now[1], "summary.weights")

    def _of_head(self, step: Step, before: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
        if before["version"] != now["version"]:
            yield f"head {step.scope} {before['version']} → {now['version']}{self._by(RETRIEVAL, step.scope)}"
        yield from _suspension(f"head {step.scope}", before["suspended"], now["suspended"])
        yield from differences(before["reach_s"], now["reach_s"], "reach_s")
        if before["references"] != now["references"]:
            yield self._still(now["references"])

    def _of_alarm(self, step: Step, before: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
        alarm, (name, was, _), (now_name, version, _) = f"alarm {step.scope}", before["classifier"], now["classifier"]
        if name != now_name:
            yield f"{alarm}: classifier {name} → {now_name}"
        elif was != version:
            yield f"{alarm}: classifier {name} {was} → {version}{self._by(CLASSIFIER, name)}"
        yield from differences(before["classifier"][2], now["classifier"][2], f"{alarm}: class")
        yield from differences(before["rule"], now["rule"], alarm)
        if not (before["suspended"] or now["suspended"]):
            yield from differences(sorted(before["regions"]), sorted(now["regions"]), f"{alarm}: regions")
        yield from _suspension(alarm, before["suspended"], now["suspended"])
        if before["references"] != now["references"]:
            yield self._still(now["references"])

    def _first(self, step: Step) -> str:
        """Why a step is to be made that was never made of the day."""
        if step.name == RETRIEVE:
            version = next(head.version for head in self._steps.heads if head.step is step)
            return f"head {step.scope} {version} is in service{self._by(RETRIEVAL, step.scope)}"
        if step.name == CLASSIFY:
            return f"alarm {step.scope} is switched on"
        return self._follows(step) or "not made yet"

    def _follows(self, step: Step) -> str:
        """What a step follows from: steps of the day, and other days of the camera, that are to be made; empty where none is."""
        names = dict.fromkeys(self._makers[key] for key in step.inputs if key in self._makers)
        days = {self._days[key] for key in step.inputs if key in self._days} & set(self._due)
        told = [*names, *(["earlier days"] if days else [])]
        return f"{FOLLOWS} {', '.join(told)}" if told else ""

    def _elsewhere(self, step: Step, before: Decision) -> str:
        """What is different where neither parameters are others nor anything is to be made."""
        gone = [*self._embedding.taken_away(), *(f"{item.scope} is {item.remark}" for item in self._steps.retired)]
        if gone:
            return "; ".join(gone)
        now = self._now[step.name, step.scope].inputs
        days = sorted(day for day in now if day != OWN and now[day] != before.inputs.get(day))
        if days:
            return f"{_days(days)} {'was' if len(days) == 1 else 'were'} made anew since"
        return "made from other results of the day" if now.get(OWN) != before.inputs.get(OWN) else ""

    def _by(self, kind: str, name: str) -> str:
        """Who put a version into service, and when; empty where nobody did."""
        words = history(self._workspace.ledger, kind, name)
        if not words:
            return ""
        last = words[-1]
        moment = last.said_at.astimezone(self._workspace.settings.zone)
        return f", {last.action} by {last.author} on {moment:%Y-%m-%d %H:%M}"


def _suspension(what: str, before: str, now: str) -> Iterator[str]:
    if before != now:
        yield f"{what} is {now}" if now else f"{what} is not suspended any more"


def _days(days: Sequence[str]) -> str:
    return days[0] if len(days) == 1 else f"{len(days)} days ({days[0]} to {days[-1]})"
