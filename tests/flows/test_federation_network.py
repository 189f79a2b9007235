"""A federation over the network: processes that cannot read one another's footage, killed and started again on the way."""

import json
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from flwr.app import Message, RecordDict
from safetensors.numpy import load_file

from flows.flower_processes import MOST_SUPERNODE_BYTES, free_ports
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
    can_read,
    counted,
    have_walls,
    join_poisoned,
    left_of,
    make_site,
    memory_limit,
    poison,
    serve_with_code,
)
from tests.flows.federation_sites import join as join_as_anybody
from workspace.federation.admitted import admit
from workspace.federation.folders import federation_folder
from workspace.federation.keys import make_certificate, make_key
from workspace.federation.material import Material, site_material
from workspace.federation.receipt_files import read_receipts
from workspace.opened import Workspace

pytestmark = [pytest.mark.serial, pytest.mark.timeout(600)]

ROUND_S = 30
POISONED = 1
MESSAGE_BYTES = 70_000
"""Of the protocol to the server, for each message that a site sends: connections, polls, heartbeats, and for every tensor that
goes either way a call of its own with a signature (38 kB were measured)."""


@pytest.fixture
def one_thread(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Sums in one order, as in the processes of the test."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    yield
    torch.set_num_threads(before)


@pytest.mark.skipif(not have_walls(), reason="keeping processes out of folders needs root on Linux")
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
        serve = [*PLAN, "--port", str(port), "--site", str(server)]
        at_proxy = ["--server", f"127.0.0.1:{proxy.port}", "--certificate", str(public), "--once"]
        of_north, of_south = (
            [*at_proxy, "--site", str(site), "--data", str(site.parent / "footage")] for site in (north, south)
        )
        first = Running(0, tmp_path / "server-1.log", serve_with_code, trace, serve)
        northern = Running(1, tmp_path / "north-1.log", join_as_anybody, of_north)
        southern = Running(2, tmp_path / "south.log", join_poisoned, POISONED, of_south)
        running = [first, northern, southern]
        try:
            first.until("round 1 of 3")
            first.kill()
            _check_limits(north, south)
            before = len(_receipts(server))  # the first may have begun the second round
            second = Running(0, tmp_path / "server-2.log", serve_with_code, trace, serve)
            running.append(second)
            _until_sent(server, 2, "train", before)
            northern.kill()
            _check_strangers(tmp_path, proxy, public, certificate)
            second.until("round 2 of 3")  # by then the server has given up who was killed, and lets it in again
            back = Running(1, tmp_path / "north-2.log", join_as_anybody, of_north)
            running.append(back)
            assert [second.end(), back.end(), southern.end()] == [0, 0, 0], second.said + back.said + southern.said
        finally:
            for one in running:
                one.kill()
        _check_story(first.said, second.said)
        card, tensors = _result(server)
        _check_receipts(proxy, server, north, south, card)
    assert not trace.exists(), "code that came over the network has run"
    assert left_of(tmp_path) == {}
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
        assert can_read(number, folder.parent / "footage" / "clip0" / "000.png") == can


def _check_limits(*sites: Path) -> None:
    """What a server sends is held by a SuperNode before anybody looks at it; it may use so much memory and no more."""
    found = [number for site in sites for number, line in left_of(site).items() if " supernode " in line]
    assert [memory_limit(number) for number in found] == [MOST_SUPERNODE_BYTES] * len(sites)


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


def _until_sent(server: Path, round_number: int, stage: str, before: int) -> None:
    """Wait for a request that has its receipt behind so many others."""
    until = time.monotonic() + 240
    while not [one for one in _receipts(server)[before:] if (one.round, one.stage) == (round_number, stage)]:
        assert time.monotonic() < until, f"round {round_number} came to no {stage}"
        time.sleep(0.05)


def _check_story(first: str, second: str) -> None:
    """What the servers printed: the second went on, and each named who was left out and why."""
    assert "going on with round 2" in second
    lines = {line.split()[1]: line for line in (first + second).splitlines() if line.startswith("round ")}
    assert "left out: south: tensor" in lines["1"] and "are not finite" in lines["1"]
    assert "left out: north: " in lines["2"]
    assert "2 of 2 clients" in lines["3"], "who was killed and came back takes part again"
    assert "has: north, south" in second, "both were handed the best round's tensors"


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
