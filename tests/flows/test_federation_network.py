"""A federation over the network: processes that cannot read one another's footage, killed and started again on the way."""

import json
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from flwr.app import Message, RecordDict
from safetensors.numpy import load_file

from flows.flower_processes import free_ports
from flows.joining import join
from infra.errors import ConfigurationError
from models.federation.base import SiteError, Tensors
from models.federation.local_grid import LocalGrid, SiteClient
from models.federation.messages import TRAIN, read_request
from models.federation.plan import FederatedPlan
from models.federation.receipts import Receipt
from models.federation.rounds import run_rounds
from models.federation.sites import initial_shared
from tests.flows.federation_sites import (
    PLAN,
    Counter,
    Running,
    counted,
    have_walls,
    leftovers,
    make_site,
    poison,
    walled,
)
from workspace.federation.admitted import admit
from workspace.federation.folders import federation_folder
from workspace.federation.keys import make_certificate, make_key
from workspace.federation.material import Material, site_material
from workspace.federation.receipt_files import read_receipts
from workspace.opened import Workspace

pytestmark = [pytest.mark.serial, pytest.mark.timeout(600)]

ROUND_S = 30
POISONED = 2
PARTS = "tests.flows.federation_sites"
MESSAGE_BYTES = 70_000
"""Of the protocol to the server, for each message that a site sends: connections, polls, heartbeats, and for every tensor that
goes either way a call of its own with a signature (38 kB were measured)."""


@pytest.fixture
def one_thread() -> Any:
    """Sums in one order, as in the processes of the test."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.skipif(not have_walls(), reason="keeping processes out of folders needs root and setpriv")
def test_two_sites_and_a_server_that_are_killed_on_the_way(tmp_path: Path, one_thread: None) -> None:
    server, north, south = (make_site(tmp_path, number, ROUND_S) for number in range(3))
    certificate = make_certificate(Workspace(server).site, []).authority
    for name, site in (("north", north), ("south", south)):
        admit(Workspace(server).site, name, make_key(Workspace(site).site))
    _check_walls(north, south)
    port, trace = free_ports(1)[0], tmp_path / "trace"
    public = tmp_path / "authority.pem"
    public.write_bytes(certificate.read_bytes())

    with counted(port) as proxy:
        serve = ("-m", PARTS, "serve", trace, *PLAN, "--port", port, "--site", server)
        at_proxy = ("--server", f"127.0.0.1:{proxy.port}", "--certificate", public, "--once")
        first = Running(0, tmp_path / "server-1.log", *serve)
        of_north = (
            "-m",
            "afterwatch",
            "federate",
            "join",
            *at_proxy,
            "--site",
            north,
            "--data",
            north.parent / "footage",
        )
        of_south = ("-m", PARTS, "join", POISONED, *at_proxy, "--site", south, "--data", south.parent / "footage")
        northern = Running(1, tmp_path / "north-1.log", *of_north)
        southern = Running(2, tmp_path / "south.log", *of_south)
        running = [first, northern, southern]
        try:
            first.until("round 1 of 4")
            first.kill()
            second = Running(0, tmp_path / "server-2.log", *serve)
            running.append(second)
            second.until("round 2 of 4")
            northern.kill()
            _check_strangers(tmp_path, proxy, public, certificate)
            _until_sent(server, 3, "evaluate")
            back = Running(1, tmp_path / "north-2.log", *of_north)
            running.append(back)
            assert [second.end(), back.end(), southern.end()] == [0, 0, 0], second.said + back.said + southern.said
        finally:
            for one in running:
                one.kill()
        _check_story(second.said)
        card, tensors = _result(server)
        _check_receipts(proxy, server, north, south, card)
    assert not trace.exists(), "code that came over the network has run"
    assert leftovers(tmp_path) == []
    expected = _replayed(tmp_path, card)
    assert sorted(tensors) == sorted(expected)
    for name, value in expected.items():
        np.testing.assert_array_equal(tensors[name], value)
    for site in (north, south):
        kept = list((site / "models" / "autoencoder").glob("*.hall/*/card.json"))
        assert [json.loads(path.read_text())["federation"]["plan"] for path in kept] == [card["plan"]["digest"]]


def _check_walls(north: Path, south: Path) -> None:
    """A process of one site reads its own footage and not the other's."""
    for number, folder, can in ((1, north, True), (1, south, False), (2, north, False), (0, north, False)):
        picture = folder.parent / "footage" / "clip0" / "000.png"
        done = subprocess.run(
            walled(number, "-c", f"open({str(picture)!r}, 'rb').read()"), capture_output=True, check=False
        )
        assert (done.returncode == 0) == can, done.stderr.decode()


def _check_strangers(root: Path, proxy: Counter, public: Path, authority: Path) -> None:
    """A key that is not admitted is refused, and so is a server that another authority vouches for."""
    stranger = Workspace(make_site(root, 3, ROUND_S))
    make_key(stranger.site)
    other = make_certificate(stranger.site, []).authority
    server, nobody = f"127.0.0.1:{proxy.port}", Material(root)
    with pytest.raises(ConfigurationError, match="does not know this site's key"):
        join(stranger, server, public, nobody, author="a", once=True, told=lambda answered: None)
    with pytest.raises(ConfigurationError, match=r"is not the server that .* vouches for"):
        join(stranger, server, other, nobody, author="a", once=True, told=lambda answered: None)


def _until_sent(server: Path, round_number: int, stage: str) -> None:
    until = time.monotonic() + 240
    while not [one for one in _receipts(server) if (one.round, one.stage) == (round_number, stage)]:
        assert time.monotonic() < until, f"round {round_number} came to no {stage}"
        time.sleep(0.2)


def _check_story(said: str) -> None:
    """What the second server printed: it went on, and named who was left out and why."""
    assert "going on with round 2" in said
    lines = {line.split()[1]: line for line in said.splitlines() if line.startswith("round ")}
    assert "left out: south: tensor" in lines["2"] and "are not finite" in lines["2"]
    assert "left out: north: " in lines["3"]
    assert "2 of 2 clients" in lines["4"], "who was killed and came back takes part again"


def _check_receipts(proxy: Counter, server: Path, north: Path, south: Path, card: dict[str, Any]) -> None:
    """What went over the network is what the receipts say, but for a protocol that is smaller than any footage."""
    sent = [one for site in (north, south) for one in _receipts(site) if one.direction == "sent"]
    footage = min(_bytes(site.parent / "footage") for site in (north, south))
    told = sum(one.bytes for one in sent)
    protocol = MESSAGE_BYTES * len(sent)
    assert footage > 3 * protocol
    assert 0.9 * told <= proxy.to_server <= told + protocol, (told, proxy.to_server, protocol, footage)
    tensors = {tensor.name.removeprefix("arrays/") for one in sent for tensor in one.tensors}
    assert not any("mean" in name or "deviation" in name for name in tensors), "what is measured from footage stays"
    assert {value.name for one in sent for value in one.values} == {"metrics/num-examples", "metrics/loss"}
    arrived = {one.client for one in _receipts(server) if one.direction == "received" and not one.refused}
    assert arrived == {"north", "south"} == set(card["clients"])


def _replayed(root: Path, card: dict[str, Any]) -> Tensors:
    """The same federation in one place, undisturbed but for who took part in which round."""
    told = card["plan"]
    plan = FederatedPlan.from_json(_plan_json(root))
    assert plan.digest == told["digest"]
    took_part = {
        (report["number"], client["client"])
        for report in card["rounds"]
        for client in report["clients"]
        if client["loss"] is not None
    }

    def client(name: str, number: int) -> Any:
        workspace = Workspace(make_site(root, 10 + number, ROUND_S))
        site = site_material(workspace, plan, Material(root / f"room-{number}" / "footage")).site
        asked = SiteClient(poison(site, POISONED) if name == "south" else site)

        def answer(message: Message) -> RecordDict:
            round_number = read_request(message.content).round_number
            here = (round_number, name) in took_part or (name, round_number) == ("south", POISONED)
            if message.metadata.message_type == TRAIN and not here:
                raise SiteError("failed", "it was away")
            return asked(message)

        return answer

    with ThreadPoolExecutor(1) as pool:
        grid = LocalGrid({"north": client("north", 1), "south": client("south", 2)}, pool)
        return run_rounds(plan, initial_shared(plan), grid, round_s=300, wait_s=5).shared


def _plan_json(root: Path) -> str:
    from afterwatch.federate_plans import plan_of

    options = dict(zip(PLAN[::2], PLAN[1::2], strict=True))
    said = {
        "architecture": options["--architecture"],
        "width": float(options["--width"]),
        **{name: int(options[f"--{name}"]) for name in ("size", "cuboids", "batch")},
        "strides": options["--strides"],
    }
    workspace = Workspace(root / "room-0" / "site")
    rounds = int(options["--rounds"])
    return plan_of(workspace, "autoencoder", "hall", said, rounds=rounds, local_epochs=1, seed=0).to_json()


def _result(server: Path) -> tuple[dict[str, Any], Tensors]:
    """Card and last tensors of the server's result."""
    (folder,) = (server / "models" / "federation" / "autoencoder.hall").iterdir()
    card = json.loads((folder / "card.json").read_text())
    found = load_file(folder / "head.safetensors")
    prefix = "best." if card["best_round"] == len(card["rounds"]) else "last."
    return card, {name.removeprefix(prefix): value for name, value in found.items() if name.startswith(prefix)}


def _receipts(site: Path) -> tuple[Receipt, ...]:
    return read_receipts(federation_folder(Workspace(site), "hall")).receipts


def _bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
