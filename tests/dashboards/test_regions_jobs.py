"""Jobs that outlive the page: one at a time, told as they stand, found again by whoever looks."""

import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from dashboards.jobs import Job, backfill_command, find_job, jobs_folder, start_job
from infra.errors import ConfigurationError
from tests.dashboards.small_site import Workspace

NAME = "backfill"


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """Where jobs are kept; what still runs there is ended."""
    folder = tmp_path / "jobs"
    yield folder
    job = find_job(folder, NAME)
    if job is not None and job.state == "running":
        _kill(job)


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def waiting(folder: Path) -> list[str]:
    """A job that goes on until `go` is there."""
    return python(f"import os, time\nwhile not os.path.exists({str(folder / 'go')!r}): time.sleep(0.01)")


def ended(folder: Path) -> Job:
    for _ in range(1000):
        job = find_job(folder, NAME)
        if job is not None and job.state != "running":
            return job
        time.sleep(0.02)
    raise AssertionError("the job did not end")


def _kill(job: Job) -> None:
    with suppress(ProcessLookupError):
        os.killpg(job.pid, signal.SIGKILL)


def test_there_is_none_before_one_was_started(folder: Path) -> None:
    assert find_job(folder, NAME) is None


def test_a_job_runs_and_tells_how_it_ended(folder: Path) -> None:
    code = "import sys; print('embed 40 %', file=sys.stderr); print('{\"status\": \"complete\"}')"
    started = start_job(folder, NAME, "gate", python(code))
    assert started.about == "gate" and started.pid > 0
    job = ended(folder)
    assert (job.state, job.exit_code, job.result) == ("finished", 0, {"status": "complete"})
    assert (job.last_line, job.progress) == ("embed 40 %", 0.4)
    assert job.ended_at is not None and abs((job.ended_at - job.started_at).total_seconds()) < 600
    assert job.started_at == started.started_at


def test_only_one_of_a_name_runs(folder: Path) -> None:
    first = start_job(folder, NAME, "gate", waiting(folder))
    assert first.state == "running" and first.exit_code is None
    with pytest.raises(ConfigurationError, match="a backfill for gate is running already; wait"):
        start_job(folder, NAME, "hall", python("pass"))
    assert find_job(folder, NAME) == first, "looking changes nothing, and the second left no trace"
    (folder / "go").touch()
    assert ended(folder).exit_code == 0
    assert start_job(folder, NAME, "hall", python("pass")).about == "hall"
    assert ended(folder).about == "hall"


def test_a_failure_is_told_with_its_last_line(folder: Path) -> None:
    start_job(folder, NAME, "gate", python("import sys; sys.exit('no such camera; see afterwatch plan')"))
    job = ended(folder)
    assert (job.state, job.exit_code, job.result) == ("failed", 1, None)
    assert job.last_line == "no such camera; see afterwatch plan"


def test_a_job_that_was_killed_has_failed(folder: Path) -> None:
    _kill(start_job(folder, NAME, "gate", waiting(folder)))
    job = ended(folder)
    assert (job.state, job.exit_code, job.ended_at) == ("failed", None, None)


def test_a_process_that_has_the_number_of_a_dead_job_is_not_taken_for_it(folder: Path) -> None:
    _kill(start_job(folder, NAME, "gate", waiting(folder)))
    ended(folder)
    told = folder / f"{NAME}.json"
    told.write_text(told.read_text(encoding="utf-8").replace('"pid": ', f'"pid": {os.getpid()}, "was": '))
    job = find_job(folder, NAME)
    assert job is not None and job.pid == os.getpid() and job.state == "failed"


def test_the_end_of_a_log_is_told_without_what_moves_a_terminal(folder: Path) -> None:
    code = (
        r"import sys; sys.stderr.write('x' * 50000 + '\n\x1b[2Kembed 20 %\r\x1b[32membed 120 %\x1b[0m 35.5 % \xe9\n\n')"
    )
    start_job(folder, NAME, "gate", python(code))
    job = ended(folder)
    assert (job.last_line, job.progress) == ("embed 120 % 35.5 % é", 0.355)


def test_a_command_that_does_not_exist_fails_with_its_reason(folder: Path) -> None:
    start_job(folder, NAME, "gate", ["/nowhere/afterwatch", "backfill"])
    job = ended(folder)
    assert job.state == "failed" and "/nowhere/afterwatch" in job.last_line


def test_a_state_that_cannot_be_read_is_none(folder: Path) -> None:
    folder.mkdir()
    (folder / f"{NAME}.json").write_text('{"about": ', encoding="utf-8")
    assert find_job(folder, NAME) is None


def test_what_embeds_a_camera(empty_site: Workspace) -> None:
    command = backfill_command(empty_site.site, "gate")
    assert command[:3] == [sys.executable, "-m", "afterwatch"]
    assert command[3:] == ["backfill", "--site", str(empty_site.site.root), "--camera", "gate", "--json"]
    assert jobs_folder(empty_site.site).is_relative_to(empty_site.site.state_folder)
