"""The page that tells what sites of several sizes need; `benchmarks.scaling_plan` prints it."""

from collections.abc import Iterable, Sequence

from benchmarks.scaling_lake import ASKED
from benchmarks.scaling_plan import (
    CAMERA_TASKS,
    GB,
    GIGA_MULTIPLY_ADDS,
    GPUS,
    HOURS,
    MBIT_PER_S,
    NIGHT_HOURS,
    USE,
    Needs,
)
from benchmarks.scaling_rates import NETWORKS, Rates
from tasks.camera import MOST_TASKS


def page(rates: Rates, needs: Sequence[Needs]) -> str:
    """The whole page, as Markdown."""
    sizes = " ".join(str(one.cameras) for one in needs)
    parts = [
        _head(sizes),
        _needs(rates, needs),
        _networks(rates, needs),
        _lake(rates, needs),
        _duckdb(rates),
        _prefect(rates, needs),
        _dask(rates, needs),
        WORKERS,
    ]
    return "\n".join(parts)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def _said(value: float) -> str:
    """Two digits that count, and a comma between thousands."""
    if value >= 100:
        digits = len(str(int(value))) - 2
        return f"{round(value, -digits):,.0f}" if value >= 1000 else f"{value:.0f}"
    return f"{value:.2g}" if value < 10 else f"{value:.0f}"


def _bytes(value: float) -> str:
    for unit, size in (("PB", 1e15), ("TB", 1e12), ("GB", GB), ("MB", 1e6)):
        if value >= size:
            return f"{_said(value / size)} {unit}"
    return f"{_said(value / 1e3)} kB"


def _head(sizes: str) -> str:
    return f"""# Scaling

What a site of one camera, of ten and of a thousand needs, and where the limits are. Printed by

```
python -m benchmarks.scaling_plan --cameras {sizes} --rates docs/results/scaling-rates.json --page docs/scaling.md
```

from a checkout; without that file it measures first, on your machine. Figures marked **m** were measured on 2 cores without a GPU, which others
used as well (the kept file: at a load of 12 to 18, so its waiting is several times that of an idle machine): work as CPU time of one thread,
waiting as wall time. Those marked **c** are computed from them, or from published figures
where it says so. No GPU and no machine but this one was measured.

A camera records {HOURS:.0f} hours a day in recordings of an hour, H.264, {" or ".join(f"{rate:g} Mbit/s at {size}" for size, rate in MBIT_PER_S.items())},
a key frame every 2 s; one picture a second is analysed. A night has {NIGHT_HOURS:.0f} hours.
"""


def _needs(rates: Rates, needs: Sequence[Needs]) -> str:
    rows: list[Sequence[str]] = [("hours of footage", *(_said(one.footage_hours) for one in needs))]
    for size in rates.pass_core_s:
        rows += [
            (f"{size}: core-hours of the decode pass **c**", *(_said(one.decode_core_hours[size]) for one in needs)),
            (f"{size}: cores for a night **c**", *(f"{one.cores[size]:,}" for one in needs)),
            (f"{size}: footage **c**", *(_bytes(one.footage_bytes[size]) for one in needs)),
            (f"{size}: Mbit/s read all night **c**", *(_said(one.footage_mbit_per_s[size]) for one in needs)),
        ]
    rows += [
        ("lake, new each day **c**", *(f"{_bytes(one.lake_bytes)}, {one.lake_files:,} files" for one in needs)),
        ("published each day **c**", *(f"{_bytes(one.shown_bytes)}, {_said(one.shown_files)} files" for one in needs)),
        ("runs of Prefect tasks **c**", *(f"{one.tasks:,}" for one in needs)),
    ]
    passes = ", ".join(f"{rate:.3f} at {size}" for size, rate in rates.pass_core_s.items())
    return f"""## A day's footage

{_table(["", *(f"{one.cameras:,} cameras" if one.cameras > 1 else "1 camera" for one in needs)], rows)}
The decode pass (decoding, statistics, digests, both default encoders) takes core-seconds per second of footage: {passes} **m**. Key frames alone
(`[sampling] policy = "key_frames"`) cost about a tenth of the decoding ([performance](performance.md#what-bounds-it)). What follows embedding
is little beside it: summaries and digests below 5 %.

Read the rows of footage as: a thousand cameras want their recordings on many disks, and workers near them. What goes between machines
otherwise is the lake: vectors, once written, once read.
"""


def _networks(rates: Rates, needs: Sequence[Needs]) -> str:
    rows = []
    for name in rates.item_core_s:
        plain = name.rsplit("/", 1)[0]
        row = [
            f"`{plain}`",
            _said(rates.item_core_s[name]),
            f"{rates.items_per_s[name]:.2g}",
            f"{GIGA_MULTIPLY_ADDS[plain]:g}",
        ]
        row += [_said(one.network_core_hours[name]) for one in needs]
        row += [" / ".join(_said(one.network_gpu_hours[name, gpu]) for one in needs) for gpu in GPUS]
        rows.append(row)
    head = ["encoder", "core-s each **m**", "each s of footage", "10⁹ multiply-adds, published"]
    head += [f"core-hours, {one.cameras:,} **c**" for one in needs]
    counts = " / ".join(f"{one.cameras:,}" for one in needs)
    head += [f"{gpu}, hours, {counts} **c**" for gpu in GPUS]
    peaks = ", ".join(f"{gpu} {peak / 1e12:.0f}" for gpu, peak in GPUS.items())
    return f"""## Networks

On top of the decode pass, for one region (the whole picture); `n` regions cost `n` times as much.

{_table(head, rows)}
Core-seconds are those of one picture or snippet in 32 bits with random weights, {min(NETWORKS.values())} to {max(NETWORKS.values())} of them each.
**GPU-hours are not measured.** They are two operations for each published multiply-add, at {USE:.0%} of the 10¹² dense 16-bit operations a second
that the makers name ({peaks}): an assumption that batch size, input pipeline and network move by a factor of three either way. At these
figures a GPU waits for decoding: a second of 1080p footage costs a core more time than any of these networks costs an H100, so a GPU worker wants
many cores, or footage decoded by the GPU, which Afterwatch does not do.
"""


def _lake(rates: Rates, needs: Sequence[Needs]) -> str:
    whole = sum(rates.lake_bytes.values())
    largest = sorted(rates.lake_bytes.items(), key=lambda item: -item[1])
    rows = [(f"`{name}`", _bytes(size), f"{size / whole:.1%}") for name, size in largest if size / whole >= 0.001]
    kept = _table(
        ["cameras", "14 days", "a year", "files of a year"],
        [
            (f"{one.cameras:,}", _bytes(14 * one.lake_bytes), _bytes(365 * one.lake_bytes), f"{365 * one.lake_files:,}")
            for one in needs
        ],
    )
    return f"""## The lake

One camera's day with both default encoders is {_bytes(whole)} in {rates.lake_files} files **m**, of rows with drawn values, which compress worse than real ones:

{_table(["table", "bytes", "share"], rows)}
{kept}
Vectors decide: without them a year would be small. [`retention.results_days`](retention.md) says how long days are kept. Beside each space
that is searched stands a matrix of the same size. Files are one to a recording and table: recordings of ten minutes make six times as
many. On an object store each is one `PUT`; on a file system a thousand cameras want one that takes millions of small files.

A published camera's day is {_bytes(rates.shown["bytes"])} in {_said(rates.shown["files"])} files **m** (of the small demonstration, whose summaries last {_said(rates.shown["seconds"])} s;
one of a minute is larger in proportion).
"""


def _duckdb(rates: Rates) -> str:
    rows = [
        (
            f"{lake.camera_days:,}",
            f"{lake.files:,}",
            f"{lake.rows:,}",
            _said(lake.connect_s),
            *(_said(seconds) for seconds in lake.answers_s),
            _bytes(lake.peak_bytes),
        )
        for lake in rates.lakes
    ]
    head = [
        "camera-days",
        "files",
        "rows of `frames`",
        "to connect, s",
        *(f"{question}, s" for question in ASKED),
        "memory",
    ]
    last = rates.lakes[-1]
    first = last.answers_s[0] / last.camera_days
    opened, memory = last.connect_s / last.camera_days, last.peak_bytes / last.camera_days
    return f"""## DuckDB

A connection is a snapshot: it names every file that counts to DuckDB, which reads a footer for each at the first query of a table. Measured **m**, a process
for each row, files in the machine's cache:

{_table(head, rows)}
The first question reads the footers of `frames`: {first * 1000:.0f} ms for each camera-day of 24 recordings at the largest, on a local disk; on an object store each
footer is a request or two (not measured). Opening grows with **files**, not with rows: {opened * 1000:.0f} ms and {_bytes(memory)} for each camera-day. So:

- Some hundred camera-days that count (ten cameras for a month) are one comfortable lake. This, not decoding, is what limits a workspace.
- A thousand cameras in one workspace would take {_said(1000 * opened)} s to open for a single day of theirs, and {_said(14 * 1000 * opened / 60)} minutes and {_bytes(14 * 1000 * memory)} for 14 days:
  it is not to be done. Give each building or some tens of cameras a workspace; workspaces share schedulers and Prefect servers, not lakes.
- Fewer, longer recordings and shards (`footage.shard_s`), and retention, keep the number of files down.
- Dashboards keep a connection until something new counts, and then pay for the next one what is told here, once for all who look.
"""


def _prefect(rates: Rates, needs: Sequence[Needs]) -> str:
    tasks = rates.prefect["task_run"]
    rows = [
        (
            f"{one.cameras:,}",
            f"{one.tasks:,}",
            f"{_said(one.tasks * rates.prefect['events'] / tasks)}",
            _bytes(one.prefect_bytes),
        )
        for one in needs
    ]
    return f"""## Prefect

Of a small night the server kept {tasks:.0f} runs of tasks, {rates.prefect["events"]:.0f} events and {rates.prefect["log"]:.0f} lines of log: {rates.prefect["events"] / tasks:.1f} events and
{_bytes(rates.prefect["bytes_per_task"])} a run of a task, without indexes **m**. A night in which all is new has one task for each group of shards, {CAMERA_TASKS} for each camera, one for
each 32 files:

{_table(["cameras", "runs of tasks **c**", "events **c**", "database, a night **c**"], rows)}
Embedding is kept near {MOST_TASKS} tasks by larger groups, but a group is never of two days, so above {MOST_TASKS} cameras there is at least one for each.

SQLite is enough for one workspace at a time up to some hundred runs of tasks a night; in a trial it gave way ("database is locked") at 500 tasks with two
more flows a minute. **Take PostgreSQL from ten cameras of hourly recordings on, or as soon as two machines share a server** ([deployment](deployment.md#a-work-pool)).
Schedules of many workspaces on one server begin some minutes apart.
"""


def _dask(rates: Rates, needs: Sequence[Needs]) -> str:
    most = max(one.tasks for one in needs)
    return f"""## Dask

A scheduler and one worker thread get through {_said(rates.dask_tasks_per_s)} empty tasks a second **m**; handing one to it through Prefect took about 0.1 s in a trial. A night of {most:,} tasks
so spends {_said(most * 0.1 / 60)} minutes in handing over, beside the work, and {_said(most / rates.dask_tasks_per_s)} s of the scheduler's time: neither is a limit, one flow's
process is the first to be felt. Tasks carry plans and receipts, never pictures or vectors: some kilobytes each.
"""


WORKERS = """## Workers on several machines

[`cluster.address`](settings.md#cluster) names a scheduler. Its workers see the workspace **under the same path** (a shared file system whose locks hold
between machines), footage and weights included, or the lake is an [object store](tables.md#immutable-and-written-whole).

A run looks at every worker, when it begins and again whenever one joins: the same code of Afterwatch, the same Python and libraries, a file that
the run has just written into the workspace, the same settings. Whoever fits is given a label, without which no task comes to it; the others are
left alone, named in the report with the reason, and looked at again every half minute. So a worker of another version writes no row, and one
that joins in the middle of a night takes part as soon as it was looked at. Where nobody fits the run ends at once, exit code 2, and nothing was
done; where the last one leaves during a run it waits ten minutes for another, then reports what is left.

With `cluster.gpu_resource = "GPU"` embedding goes to workers that were started with `--resources GPU=1`, one task at a time for each, and to nobody
else; a run whose workers offer none ends at once. Everything else goes to whoever is free: give GPU machines workers without the resource as well.

Tested on one machine with processes: a night on four workers of which one leaves, one is killed and one joins has the rows of a local night; so has one
whose lake is an object store. Not tested: several machines, a network that loses packets, a real GPU.
"""
