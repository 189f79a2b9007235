"""Why recordings of a camera's day have to be embedded, scope by scope, in words."""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from lake.keys import VERSIONS
from tasks.decisions import EMBED, Decided, Decision, Decisions, counting_steps, embedded_by, latest_steps
from tasks.differences import as_json, differences, told_sampling, told_weights
from tasks.plan import FRAMES_SCOPE, DayPlan, Product
from workspace.opened import Workspace
from workspace.regions import region_versions

NOT_EMBEDDED = "not embedded yet"
OTHERWISE = "made with other settings"
"""Where nothing tells which."""

Row = dict[str, Any]


class EmbeddingCauses:
    """What is different of the embedding of one camera's day.

    Args:
        workspace: the site.
        day: its embedding as it is.
        decisions: what decided earlier results.
    """

    def __init__(self, workspace: Workspace, day: DayPlan, decisions: Decisions) -> None:
        self._workspace, self._day, self._decisions = workspace, day, decisions
        rows, latest = counting_steps(workspace), latest_steps(workspace)
        self._rows = {scope: row for (step, place, scope), row in rows.items() if (step, place) == (EMBED, day.place)}
        self._latest = {s: row for (step, place, s), row in latest.items() if (step, place) == (EMBED, day.place)}
        self._shards = [shard for shard in day.shards if shard.todo]

    @property
    def scopes(self) -> list[str]:
        """Scopes of which something is to be made."""
        counted = Counter(product.scope for shard in self._shards for product in shard.todo)
        return [scope for scope in self._day.scopes if scope in counted]

    def why(self, scope: str) -> str:
        """Why something of a scope is to be made."""
        if not self._rows:
            return NOT_EMBEDDED
        row = self._rows.get(scope)
        if row is None:
            return self._new(scope)
        found = self._decisions.find(self._day.place, EMBED, row["key"])
        if found is None:
            return self._untold(scope)
        words = list(self._changes(scope, *found))
        return "; ".join(words) or self._left(scope)

    def taken_away(self) -> list[str]:
        """Regions and encoders that the day was embedded with and is not any more, in words."""
        known = {scope.split("/", 1)[1] for scope in self._day.scopes if scope != FRAMES_SCOPE}
        gone = {scope.split("/", 1)[1] for scope in self._rows if scope != FRAMES_SCOPE} - known
        return [f"region {name} {self._said_of(name) or 'is not embedded any more'}" for name in sorted(gone)]

    def _changes(self, scope: str, decision: Decision, decided: Decided) -> Iterator[str]:
        product = self._product(scope)
        now, before = as_json(embedded_by(self._workspace, self._day.place.camera, product)), dict(decision.parameters)
        if decision.version != VERSIONS[EMBED]:
            yield f"step embed: version {decision.version} → {VERSIONS[EMBED]}"
        if before.get("sampling") != now["sampling"]:
            yield self._sampled(product, before.get("sampling"), now["sampling"])
        if before.get("reach_s") != now.get("reach_s"):
            yield from differences(before.get("reach_s"), now.get("reach_s"), "reach_s")
        if before.get("region") != now.get("region"):
            name = product.region.name if product.region is not None else ""
            yield f"region {name} {self._said_of(name) or 'has another outline'}"
        yield from self._recordings(decided.recordings)

    def _sampled(self, product: Product, before: Any, now: Any) -> str:
        if isinstance(before, dict) and isinstance(now, dict):
            return f"sampling of {self._day.place.camera} {told_sampling(before)} → {told_sampling(now)}"
        name = product.encoder.table.name if product.encoder is not None else "an encoder"
        return next(differences(before, now, f"stride_s of {name}"))

    def _recordings(self, before: Mapping[str, tuple[str, int]]) -> Iterator[str]:
        """What is different of the recordings that are to be decoded."""
        shards = Counter(shard.recording.recording_id for shard in self._day.shards)
        todo = {shard.recording.recording_id: shard.recording for shard in self._shards}
        new = sum(content not in before for content in todo)
        if new:
            yield f"{new} new recording{'s' if new > 1 else ''}"
        known = [(before[content], recording) for content, recording in todo.items() if content in before]
        if any(was[0] != recording.started_at.isoformat() for was, recording in known):
            yield f"the clock of {self._day.place.camera}: its recordings begin at other times"
        if any(was[1] != shards[recording.recording_id] for was, recording in known):
            yield "footage.shard_s: recordings are cut into other shards"

    def _new(self, scope: str) -> str:
        """Why a scope is there that nothing was made of: another encoder, or another region."""
        product = self._product(scope)
        if product.encoder is None or product.region is None:
            return NOT_EMBEDDED
        name, region = product.encoder.table.name, product.region.name
        now = as_json(embedded_by(self._workspace, self._day.place.camera, product))["encoder"]
        for other, row in sorted(self._rows.items()):
            if other == FRAMES_SCOPE or other.split("/", 1)[1] != region or other in self._day.scopes:
                continue
            found = self._decisions.find(self._day.place, EMBED, row["key"])
            before = {} if found is None else found[0].parameters.get("encoder", {})
            if before.get("name") == now["name"]:
                return _of_encoder(name, before, now)
        regions = {other.split("/", 1)[1] for other in self._rows if other != FRAMES_SCOPE}
        spaces = {other.split("/", 1)[0] for other in self._rows}
        if region not in regions:
            return f"region {region} {self._said_of(region) or 'is new'}"
        if product.encoder.spec.space in spaces:
            return f"encoder {name} embeds region {region} now"
        return f"encoder {name} is new, or has other weights"

    def _said_of(self, name: str) -> str:
        """What was said of a region last, by whom and when; empty where nothing was."""
        versions = [
            said for said in region_versions(self._workspace.ledger, self._day.place.camera) if said.name == name
        ]
        if not versions:
            return ""
        said = max(versions, key=lambda said: said.said_at)
        earlier = [other for other in versions if other is not said and other.region is not None]
        how = "was taken back" if said.region is None else "was drawn anew" if earlier else "was drawn"
        return f"{how} by {said.author} on {said.said_at.astimezone(self._workspace.settings.zone):%Y-%m-%d %H:%M}"

    def _untold(self, scope: str) -> str:
        """Where no file of decisions tells: something of it that is there already was made with the same settings."""
        there = any(product.exists for product in self._day.products(scope))
        return self._left(scope) if there else OTHERWISE

    def _left(self, scope: str) -> str:
        """Why there is something to do although nothing is different."""
        row = self._latest[scope]
        if row["status"] == "failed" or (row["status"] == "partial" and row["message"]):
            return f"it failed in run {row['run_id']}: {row['message']}"
        if row["status"] == "partial":
            return f"left undone by run {row['run_id']}"
        files = set(row["outputs"])
        lost = [path for product in self._day.products(scope) if not product.exists for path in product.paths]
        return "its files are not in the lake any more" if files & set(lost) else "some of it is not embedded yet"

    def _product(self, scope: str) -> Product:
        return self._day.products(scope)[0]


def _of_encoder(name: str, before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """What is different of an encoder that embeds into another space."""
    if before["weights"] != now["weights"]:
        return f"encoder {name}: weights {told_weights(before['weights'])} → {told_weights(now['weights'])}"
    words = "; ".join(differences(dict(before), dict(now), ""))
    return f"encoder {name}: {words}"
