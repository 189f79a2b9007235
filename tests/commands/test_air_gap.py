"""`doctor --air-gap`: what calls out is refused and named, and nothing is proved where a step fails."""

import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from afterwatch import air_gap, air_gap_telling
from afterwatch.__main__ import main
from afterwatch.air_gap import Proof, Ran, Step, prove
from infra.closed_network import is_inside
from infra.environment import TELEMETRY
from infra.namespace import namespace_command

HERE = """
import socket, threading
with socket.create_server(("127.0.0.1", 0)) as listening:
    with socket.create_connection(listening.getsockname()):
        print("reached this machine")
"""
NAMES = """
import subprocess, sys, urllib.request
program = "import urllib.request; urllib.request.urlopen('http://telemetry.example.com/v1', timeout=3)"
for _ in range(2):  # in a process of its own, which swallows what went wrong as such programs do
    subprocess.run([sys.executable, "-c", program], stderr=subprocess.DEVNULL)
print("went on as if nothing were amiss")
"""
ADDRESSES = """
import asyncio, socket
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as telling:
    try:
        telling.sendto(b"x", ("192.0.2.7", 8125))
    except OSError:
        pass
async def call():
    try:
        await asyncio.open_connection("192.0.2.8", 443)
    except OSError:
        pass
asyncio.run(call())
print("done")
"""
NATIVE = """
import ctypes, socket, struct
libc = ctypes.CDLL(None)
opened = libc.socket(socket.AF_INET, socket.SOCK_STREAM, 0)
address = struct.pack("=H", socket.AF_INET) + struct.pack("!H4s8x", 443, socket.inet_aton("192.0.2.9"))
print("refused" if libc.connect(opened, address, len(address)) != 0 else "connected")
"""


FOUND = """
import os, pathlib
names = [name for name in os.environ if "proxy" in name.lower() or name in ("HF_HOME", "PREFECT_API_URL")]
print(names, list(pathlib.Path.home().iterdir()))
"""


def planted(*programs: str) -> Callable[[Path], Sequence[Step]]:
    return lambda _folder: [Step(f"program {n}", (sys.executable, "-c", program)) for n, program in enumerate(programs)]


@pytest.fixture(scope="module")
def called_out() -> Proof:
    return prove(planted(HERE, NAMES, ADDRESSES))


def test_what_reaches_this_machine_alone_is_proved_and_reads_nothing_of_the_persons(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("HTTPS_PROXY", "http_proxy", "HF_HOME", "PREFECT_API_URL"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    proof = prove(planted(HERE, FOUND))
    assert proof.good and proof.attempts == () and proof.unnamed == 0
    assert [step.found for step in proof.steps] == ["reached this machine", "[] []"]
    assert proof.loopback == 1
    assert proof.processes == 3, "the programs, and what runs them"


def test_a_program_that_calls_out_is_named_though_it_ends_well(called_out: Proof) -> None:
    assert all(step.good for step in called_out.steps) and not called_out.good
    (named,) = [attempt for attempt in called_out.attempts if attempt.host == "telemetry.example.com"]
    assert named.port == "80" and named.times == 2
    assert "import urllib.request; urllib.request.urlopen('http://telemetry.example.com" in named.process
    assert "<string>:1" in named.by


def test_datagrams_and_addresses_are_named_with_their_ports(called_out: Proof) -> None:
    reached = {(attempt.host, attempt.port) for attempt in called_out.attempts}
    assert {("192.0.2.7", "8125"), ("192.0.2.8", "443")} < reached
    assert called_out.unnamed == 0, "what the hook refuses does not come as far as the kernel"


@pytest.mark.skipif(namespace_command() is None, reason="this machine allows no network namespace (unshare --net)")
def test_code_that_is_not_pythons_is_refused_and_counted() -> None:
    proof = prove(planted(NATIVE))
    assert proof.namespace and proof.steps[0].found == "refused"
    assert proof.attempts == () and proof.unnamed >= 1 and not proof.good


def test_without_a_namespace_it_says_what_is_not_proved(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(air_gap, "namespace_command", lambda: None)
    proof = prove(planted(NAMES))
    assert not proof.namespace and {attempt.host for attempt in proof.attempts} == {"telemetry.example.com"}
    air_gap_telling.print_proof(proof, [])
    told = " ".join(capsys.readouterr().out.split())
    assert "was neither refused nor seen" in told
    assert "tried to reach telemetry.example.com:80, 2 times: python" in told


def test_a_step_that_fails_proves_nothing_and_ends_the_rest() -> None:
    proof = prove(planted("raise SystemExit('no night today')", HERE))
    assert [step.what for step in proof.steps] == ["program 0"] and not proof.good
    assert "exit code 1" in proof.steps[0].found and "no night today" in proof.steps[0].found


def test_where_nothing_was_watched_nothing_is_proved() -> None:
    ran = (Ran("night", True, 1.0, ""),)
    assert Proof(False, ran, 1, 0, (), 0).good
    assert not Proof(False, ran, 0, 0, (), 0).good


@pytest.mark.parametrize(("good", "code"), [(True, 0), (False, 1)])
def test_the_verb_ends_with_what_was_found(
    good: bool, code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    proof = Proof(True, (Ran("night", good, 1.0, ""),), 3, 7, (), 0)
    monkeypatch.setattr(air_gap_telling, "prove", lambda: proof)
    (tmp_path / "afterwatch.toml").write_text(
        'lake = "s3://bucket/lake"\n[cluster]\naddress = "tcp://gpu-box:8786"\n', encoding="utf-8"
    )
    with pytest.raises(SystemExit) as left:
        main(["doctor", "--air-gap", "--json", "--site", str(tmp_path)])
    assert left.value.code == code
    told = json.loads(capsys.readouterr().out)
    assert told["good"] is good and told["loopback"] == 7
    assert told["named_in_settings"] == ["cluster.address tcp://gpu-box:8786", "lake s3://bucket/lake"]
    assert {item["library"] for item in told["telemetry"]} >= {"Prefect", "Streamlit", "Flower", "Hugging Face"}


def test_a_setting_of_the_person_stays_and_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    for setting in TELEMETRY:
        monkeypatch.delenv(setting.variable, raising=False)
    monkeypatch.setenv("PREFECT_SERVER_ANALYTICS_ENABLED", "true")
    told = {item.library: item.off for item in air_gap.telemetry_now()}
    assert told.pop("Prefect") is False
    assert all(told.values())


@pytest.mark.parametrize(
    ("host", "inside"),
    [
        ("127.0.0.1", True),
        ("127.8.9.10", True),
        ("::1", True),
        ("::ffff:127.0.0.1", True),
        ("0.0.0.0", True),
        ("localhost", True),
        ("localhost.", True),
        ("", True),
        ("::ffff:192.0.2.1", False),
        ("10.0.0.1", False),
        ("fe80::1%eth0", False),
        ("169.254.169.254", False),
        ("localhost.example.com", False),
        ("127.0.0.1.example.com", False),
    ],
)
def test_this_machine_is_told_from_others_by_name(host: str, inside: bool) -> None:
    assert is_inside(host) is inside
