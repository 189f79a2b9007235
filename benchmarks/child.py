"""One workspace's ingest and embedding in a process of its own, which tells its peak memory: `scale` runs it."""

import json
import resource
import sys
from pathlib import Path

from benchmarks.workbench import embed_all, ingest_and_plan, shards_of


def main() -> None:
    root = Path(sys.argv[1])
    rows = embed_all(root, shards_of(ingest_and_plan(root)), 1)
    peak_kilobytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(json.dumps({"rows": rows, "peak_bytes": peak_kilobytes * 1024}))


if __name__ == "__main__":
    main()
