"""One workspace's ingest and embedding in a process of its own, which tells its peak memory: `scale` runs it."""

import json
import re
import sys
from pathlib import Path

from benchmarks.workbench import embed_all, ingest_and_plan, shards_of


def main() -> None:
    root = Path(sys.argv[1])
    rows = embed_all(root, shards_of(ingest_and_plan(root)), 1)
    print(json.dumps({"rows": rows, "peak_bytes": peak_bytes()}))


def peak_bytes() -> int:
    """Largest resident memory of this process so far; `ru_maxrss` would count the process that started it too."""
    told = re.search(r"^VmHWM:\s+(\d+) kB$", Path("/proc/self/status").read_text(encoding="ascii"), re.MULTILINE)
    if told is None:
        raise RuntimeError("the system does not tell a process's peak memory; this benchmark runs on Linux")
    return int(told[1]) * 1024


if __name__ == "__main__":
    main()
