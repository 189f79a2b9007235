"""Camera days that a run could not finish embedding, and what they are shown as until the next one does."""

from collections.abc import Sequence

from tasks.decisions import EMBED, counting_steps
from tasks.plan import FRAMES_SCOPE, DayPlan
from tasks.receipts import ShardOutcome
from workspace.opened import Workspace

COVERAGE = "coverage/"


def keeps_its_results(workspace: Workspace, day: DayPlan, outcomes: Sequence[ShardOutcome]) -> bool:
    """Whether a camera's day is better left as it is: of a recording that was analysed before, something is left undone.

    It would be published with less than was known of it. What counts of it goes on counting until all of it is made anew; what
    was embedded is there for the next run. A day with new recordings only is published as far as it is done.

    Args:
        workspace: the site.
        day: its embedding as it is now.
        outcomes: of the camera's shards that were run.
    """
    late = {(outcome.path, outcome.number) for outcome in outcomes if outcome.status == "late"}
    undone = {
        shard.recording.recording_id
        for shard in day.shards
        if (shard.recording.path, shard.shard.number) in late and shard.todo
    }
    return bool(undone) and not undone.isdisjoint(_analysed(workspace, day))


def _analysed(workspace: Workspace, day: DayPlan) -> set[str]:
    """Contents of the recordings that were published of the day."""
    rows = counting_steps(workspace)
    row = rows.get((EMBED, day.place, FRAMES_SCOPE))
    if row is None or ("publish", day.place, "") not in rows:
        return set()
    paths = [path for path in row["outputs"] if path.startswith(COVERAGE) and workspace.store.exists(path)]
    found: set[str] = set()
    for path in paths:
        found |= set(workspace.store.read_table(path, ["recording_id"])["recording_id"].to_pylist())
    return found
