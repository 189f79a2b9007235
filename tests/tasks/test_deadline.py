"""When a night has to stop, how this machine is shared, and that one night runs at a time."""

import os
import signal
import subprocess
import sys
from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.machine import decode_threads, worker_count
from infra.errors import ConfigurationError, NightError
from infra.lock import night_lock
from infra.settings import ClusterTable
from tasks.deadline import next_moment

ROOT = Path(__file__).resolve().parents[2]
BERLIN = ZoneInfo("Europe/Berlin")
HOLD = (
    "import sys, time\nfrom pathlib import Path\nfrom infra.lock import night_lock\n"
    "with night_lock(Path(sys.argv[1])):\n    print('held', flush=True)\n    time.sleep(120)\n"
)


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        ("2026-03-02T01:00:00+00:00", "2026-03-02T06:00:00+01:00"),
        ("2026-03-02T04:59:59+00:00", "2026-03-02T06:00:00+01:00"),
        ("2026-03-02T05:00:00+00:00", "2026-03-03T06:00:00+01:00"),
        ("2026-03-02T23:30:00+00:00", "2026-03-03T06:00:00+01:00"),
        ("2026-03-28T23:30:00+00:00", "2026-03-29T06:00:00+02:00"),
    ],
)
def test_the_next_six_in_the_morning_by_the_clock_of_the_site(now: str, expected: str) -> None:
    found = next_moment("06:00", BERLIN, datetime.fromisoformat(now))
    assert found == datetime.fromisoformat(expected)


@given(
    st.datetimes(datetime(2025, 1, 1), datetime(2028, 1, 1), timezones=st.just(UTC)),
    st.times(),
    st.sampled_from(["UTC", "Europe/Berlin", "America/New_York", "Asia/Kathmandu", "Australia/Lord_Howe"]),
)
def test_it_is_ahead_by_no_more_than_a_day_and_shows_that_time(now: datetime, wanted: time, zone: str) -> None:
    found = next_moment(wanted, ZoneInfo(zone), now)
    assert timedelta(0) < found.astimezone(UTC) - now <= timedelta(hours=25)
    if found.astimezone(UTC).astimezone(ZoneInfo(zone)).replace(fold=0) == found.replace(fold=0):
        assert found.time().replace(fold=0) == wanted


def test_in_the_hour_that_comes_twice_the_moment_is_still_ahead() -> None:
    second_time = datetime(2026, 10, 25, 1, 30, tzinfo=UTC)  # 02:30, for the second time that night
    assert second_time.astimezone(BERLIN).fold == 1
    found = next_moment("02:45", BERLIN, second_time)
    assert found.astimezone(UTC) == datetime(2026, 10, 25, 1, 45, tzinfo=UTC)


@pytest.mark.parametrize("text", ["25:00", "six", "", "06:00:99"])
def test_what_is_no_time_of_day_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError, match="is no time of day; write it as 06:00"):
        next_moment(text, BERLIN, datetime.now(UTC))


def test_workers_and_threads_use_the_cores_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    assert worker_count(ClusterTable()) == 8
    assert worker_count(ClusterTable(workers=2)) == 2
    assert decode_threads(ClusterTable(), 0) == 1
    assert decode_threads(ClusterTable(workers=2), 0) == 4
    assert decode_threads(ClusterTable(workers=100), 0) == 1
    assert decode_threads(ClusterTable(workers=2), 3) == 3
    assert decode_threads(ClusterTable(address="tcp://host:8786"), 0) == 1
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert worker_count(ClusterTable()) == 1


def test_a_second_night_is_refused_and_told_who_runs(tmp_path: Path) -> None:
    with (
        night_lock(tmp_path / "state"),
        pytest.raises(NightError, match=f"already running on this workspace \\(process {os.getpid()}\\)"),
        night_lock(tmp_path / "state"),
    ):
        pytest.fail("two nights at once")
    with night_lock(tmp_path / "state"), night_lock(tmp_path / "other"):
        pass


def test_the_lock_is_given_back_when_a_night_fails(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), night_lock(tmp_path):
        raise ZeroDivisionError
    with night_lock(tmp_path):
        assert (tmp_path / "night.lock").read_text() == str(os.getpid())


def test_a_killed_night_leaves_no_lock_behind(tmp_path: Path) -> None:
    holder = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(NightError, match=f"process {holder.pid}"), night_lock(tmp_path):
            pytest.fail("it is held")
    finally:
        holder.send_signal(signal.SIGKILL)
        holder.wait()
        if holder.stdout is not None:
            holder.stdout.close()
    with night_lock(tmp_path):
        assert (tmp_path / "night.lock").read_text() == str(os.getpid())
