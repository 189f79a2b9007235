"""Settings spoilt by chance are refused with words, or honoured; nothing in between."""

from pathlib import Path

import pytest

from benchmarks.fuzz import fuzz_settings
from benchmarks.fuzz_settings import MUTATIONS, WHOLE, mutated_settings
from footage.probe import probe
from footage.sampling import shards
from infra.errors import ConfigurationError, UnknownNameError
from infra.settings import SETTINGS_FILE, read_settings
from tests.chaos.sites import FIRST, small
from tests.tasks.nights import ingest


def test_no_spoilt_settings_crash_what_reads_them(tmp_path: Path) -> None:
    site = small(tmp_path / "site", 1)
    ingest(site)
    told = fuzz_settings(site.site.root, 300, 5)
    assert told.wrong == []
    assert told.files == 300
    assert told.ends["honoured"] and told.ends["refused (ConfigurationError)"]


def test_what_is_spoilt_was_whole_and_every_kind_is_met(tmp_path: Path) -> None:
    (tmp_path / SETTINGS_FILE).write_text(WHOLE, encoding="utf-8")
    assert read_settings(tmp_path / SETTINGS_FILE).skips("hall east")
    assert {mutated_settings(5, number).kind for number in range(100)} == set(MUTATIONS)
    first, again, other = ([mutated_settings(seed, at).content for at in range(20)] for seed in (5, 5, 6))
    assert first == again != other


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[footage]\nstart_time_zone = "Mars/Olympus"', 'unknown time zone "Mars/Olympus"'),
        ("[cameras.hall]\nclock_offset_s = 1e12", "cameras.hall.clock_offset_s: .*less than or equal to 3162240000"),
    ],
)
def test_what_only_a_night_would_have_found_out_is_refused_at_once(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / SETTINGS_FILE).write_text(text, encoding="utf-8")
    with pytest.raises(ConfigurationError, match=said):
        read_settings(tmp_path / SETTINGS_FILE)


def test_a_shard_of_no_length_at_all_still_holds_pictures(tmp_path: Path) -> None:
    file = small(tmp_path / "site", 1).site.footage_root / FIRST
    index = probe(file).index
    found = shards(index, 1e-308)
    assert [shard.first for shard in found] == index.keys.tolist() == [shard.first for shard in shards(index, 1e-6)]
    assert found[-1].last == len(index)


def test_a_message_repeats_no_page_of_what_was_wrong(tmp_path: Path) -> None:
    (tmp_path / SETTINGS_FILE).write_text(f'[site]\ntime_zone = "{"x" * 5000}"', encoding="utf-8")
    with pytest.raises(ConfigurationError) as caught:
        read_settings(tmp_path / SETTINGS_FILE)
    assert len(str(caught.value)) < 3000 and "in all" in str(caught.value)
    (tmp_path / SETTINGS_FILE).write_text(f'reach_s = "{"x" * 5000}"', encoding="utf-8")
    with pytest.raises(ConfigurationError, match="…") as caught:
        read_settings(tmp_path / SETTINGS_FILE)
    assert len(str(caught.value)) < 1000
    few = UnknownNameError("colour", "rde", ("red", "green"))
    assert str(few) == 'unknown colour "rde" — did you mean "red"? (known: green, red)'
