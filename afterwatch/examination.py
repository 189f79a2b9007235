"""What `doctor` looks at."""

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from infra.errors import AfterwatchError
from infra.weights import file_sha256

LEAST_DISK = 5e9


@dataclass(frozen=True)
class Check:
    """One thing looked at; `found` says how it is and, where it is not good, how to mend it."""

    what: str
    good: bool
    found: str

    @property
    def mark(self) -> str:
        return "ok" if self.good else "!!"


def examine_machine(site: Path) -> list[Check]:
    """Look at machine and workspace; never raises for what it finds."""
    checks = [_checked("machine", _machine), _checked("video", _video), _checked("network models", _torch)]
    if not (site / "afterwatch.toml").exists():
        return [*checks, Check("workspace", False, f'{site.resolve()} is none; make one with "afterwatch init PATH"')]
    return [*checks, *_workspace(site)]


def _checked(what: str, look: Callable[[], str]) -> Check:
    try:
        return Check(what, True, look())
    except Exception as error:  # noqa: BLE001 — a doctor reports whatever is wrong
        return Check(what, False, f"{type(error).__name__}: {error}")


def _machine() -> str:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return f"{os.cpu_count()} cores, {memory / 1e9:.0f} GB of memory"


def _video() -> str:
    import av

    av.codec.Codec("h264", "r")
    av.codec.Codec("libx264", "w")
    return f"FFmpeg {av.ffmpeg_version_info}, reads and writes H.264"


def _torch() -> str:
    import torch

    devices = [torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count())]
    return f"torch {torch.__version__}, {', '.join(devices) or 'no GPU: networks run on the CPU'}"


def _workspace(site: Path) -> Iterator[Check]:
    from workspace.notifications.channels import examine_channels
    from workspace.opened import Workspace

    try:
        workspace = Workspace(site)
        encoders = workspace.encoders
    except AfterwatchError as error:
        yield Check("settings", False, str(error))
        return
    yield Check("settings", True, f"{workspace.site.root / 'afterwatch.toml'}, {len(encoders)} encoders")
    there = workspace.site.footage_root.is_dir()
    yield Check(
        "footage", there, str(workspace.site.footage_root) + ("" if there else " is not there; make or link it")
    )
    for encoder in encoders:
        yield _weights(encoder.table.name, encoder.spec.weights, encoder.weights.path if encoder.weights else None)
    yield _checked("lake", lambda: _lake(workspace))
    free = shutil.disk_usage(workspace.site.root).free
    yield Check("disk", free > LEAST_DISK, f"{free / 1e9:.0f} GB free" + ("" if free > LEAST_DISK else "; make room"))
    if workspace.settings.cluster.address is not None:
        yield _checked("cluster", lambda: _cluster(workspace.settings.cluster.address or ""))
    yield from (Check(*found) for found in examine_channels(workspace.settings.notifications))


def _weights(name: str, identity: str, path: Path | None) -> Check:
    if path is None:
        where = {"none": "needs no weights", "hub": "from the library's hub at first use", "random": "random, by name"}
        return Check(name, True, where.get(identity.split(":", 1)[0], identity))
    if not path.is_file():
        return Check(name, False, f"{path} is not there; add it again with: afterwatch weights add {name} FILE")
    good = f"sha256:{file_sha256(path)}" == identity
    return Check(name, good, str(path) + ("" if good else " is not the file that was added; add it again"))


def _lake(workspace: object) -> str:
    from workspace.opened import Workspace

    assert isinstance(workspace, Workspace)
    workspace.store.write_bytes("doctor.tmp-check", b"")
    workspace.store.delete("doctor.tmp-check")
    return f"{workspace.store.location} can be written"


def _cluster(address: str) -> str:
    from distributed import Client

    with Client(address, timeout=5) as client:
        return f"{address}: {len(client.scheduler_info()['workers'])} workers"
