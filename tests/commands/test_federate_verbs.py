"""The verbs of a federation, but for the network: keys, who is admitted, plans, what is refused before anything starts."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from afterwatch.__main__ import main
from afterwatch.federate_plans import OF_KIND, plan_of
from afterwatch.federate_serve import _begun_told, _served_told
from afterwatch.workspace_files import make_workspace
from flows.federation import Begun, Served
from flows.flower_processes import FlowerProcessError, free_ports, one_at_a_time
from flows.joining import parse_server, written
from infra.errors import ConfigurationError
from models.federation.plan import FederatedPlan
from models.federation.receipts import receipt_of
from models.federation.sites import check_plan
from workspace.federation.folders import all_federations_folder, federation_folder
from workspace.federation.memories import Memories
from workspace.federation.receipt_files import append_receipt
from workspace.opened import Workspace


@pytest.fixture
def site(tmp_path: Path) -> Path:
    return make_workspace(tmp_path / "site")


def call(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    """Exit code and what was printed."""
    capsys.readouterr()
    with pytest.raises(SystemExit) as leaving:
        main([*map(str, arguments)])
    told = capsys.readouterr()
    return int(leaving.value.code or 0), told.out, told.err


def test_a_server_and_a_client_get_to_know_each_other(
    site: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    client = make_workspace(tmp_path / "client")
    code, out, _ = call(capsys, "federate", "certificate", "--host", "federation.example", "--site", site, "--json")
    told = json.loads(out)
    assert code == 0
    assert told["hosts"] == ["federation.example", "localhost", "127.0.0.1", "::1"]
    assert Path(told["authority"]).is_file()
    code, out, _ = call(capsys, "federate", "key", "--site", client, "--json")
    public = json.loads(out)["public_key"]
    code, out, _ = call(capsys, "federate", "admit", "north", public, "--site", site)
    assert code == 0
    assert "north may take part" in out
    code, out, _ = call(capsys, "federate", "clients", "--site", site, "--json")
    assert [one["client"] for one in json.loads(out)["clients"]] == ["north"]
    assert "north" in call(capsys, "federate", "clients", "--site", site)[1]
    assert call(capsys, "federate", "expel", "north", "--site", site)[0] == 0
    assert json.loads(call(capsys, "federate", "clients", "--site", site, "--json")[1]) == {"clients": []}
    assert call(capsys, "federate", "expel", "north", "--site", site)[0] == 2


def test_what_cannot_be_served_is_told_before_anything_starts(
    site: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    serve = (
        *(
            "federate",
            "serve",
            "--kind",
            "autoencoder",
            "--name",
            "hall",
            "--architecture",
            "hasan",
            "--width",
            "0.125",
        ),
        *("--size", "48", "--site", site),
    )
    code, _, err = call(capsys, *serve)
    assert (code, "federate certificate" in err) == (2, True)
    call(capsys, "federate", "certificate", "--site", site)
    code, _, err = call(capsys, *serve)
    assert (code, "0 clients are admitted" in err) == (2, True)
    code, _, err = call(capsys, *serve, "--clients", 1, "--at-least", 2)
    assert (code, "--at-least 2" in err) == (2, True)
    code, _, err = call(capsys, *serve, "--rounds", 200, "--local-epochs", 10)
    assert (code, "are 2000, the most is 1000" in err) == (2, True), "no site would accept it"
    code, _, err = call(capsys, *serve, "--classes", "a,b")
    assert (code, "--classes says nothing of a federated autoencoder" in err) == (2, True)
    assert not (site / ".afterwatch" / "flower").exists()


def test_what_cannot_be_joined_is_told_before_anything_starts(
    site: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    certificate = tmp_path / "authority.pem"
    join = ("federate", "join", "--site", site, "--certificate", certificate, "--server")
    assert "no host and port" in call(capsys, *join, "nowhere")[2]
    code, _, err = call(capsys, *join, "127.0.0.1:1")
    assert (code, "cannot be read as a certificate" in err) == (2, True)
    call(capsys, "federate", "certificate", "--site", site)
    certificate.write_bytes((site / "federation" / "authority.pem").read_bytes())
    code, _, err = call(capsys, *join, "127.0.0.1:1")
    assert (code, "federate key" in err) == (2, True)
    call(capsys, "federate", "key", "--site", site)
    code, _, err = call(capsys, *join, "127.0.0.1:1", "--data", tmp_path, "--camera", "east")
    assert (code, "has no campaign, camera or region" in err) == (2, True)
    code, _, err = call(capsys, *join, "127.0.0.1:1", "--data", tmp_path / "nowhere")
    assert (code, "is no folder" in err) == (2, True)
    (site / "afterwatch.toml").write_text(
        (site / "afterwatch.toml").read_text(encoding="utf-8") + "\n[federation]\nwait_s = 0.1\n", encoding="utf-8"
    )
    code, _, err = call(capsys, *join, f"127.0.0.1:{free_ports(1)[0]}")
    assert (code, "did not answer for 0.1 s" in err) == (1, True)


@pytest.mark.parametrize(
    ("text", "server"),
    [("a.example:9092", ("a.example", 9092)), ("10.0.0.1:1", ("10.0.0.1", 1)), ("[::1]:65535", ("::1", 65535))],
)
def test_a_server_is_a_host_and_a_port(text: str, server: tuple[str, int]) -> None:
    assert parse_server(text) == server
    assert written(*server) == text


@pytest.mark.parametrize("text", ["", ":9092", "a.example", "a.example:", "a:0", "a:65536", "::1:9092", "a:b", "a:-1"])
def test_anything_else_is_none(text: str) -> None:
    with pytest.raises(ConfigurationError, match="no host and port"):
        parse_server(text)


PLANS: dict[str, dict[str, Any]] = {
    "autoencoder": {"architecture": "hasan", "width": 0.125, "size": 48, "cuboids": 8, "batch": 4, "strides": "1"},
    "classifier": {"encoder": ["handcrafted/motion"], "classes": "fight,fall", "hidden": "16", "members": 2},
    "projection": {"encoder": ["handcrafted/motion"], "dimension": 8, "views": 2, "temperature": 0.2},
}


@pytest.mark.parametrize("kind", OF_KIND)
def test_options_become_a_plan_that_a_site_can_read(site: Path, kind: str) -> None:
    plan = plan_of(Workspace(site), kind, "hall", PLANS[kind], rounds=3, local_epochs=2, seed=7)
    assert (plan.kind, plan.name, plan.rounds, plan.local_epochs, plan.seed) == (kind, "hall", 3, 2, 7)
    again = FederatedPlan.from_json(plan.to_json())
    assert again == plan
    check_plan(again)
    defaults = {"classes": "fight,fall"} if kind == "classifier" else {}
    assert plan_of(Workspace(site), kind, "hall", defaults, rounds=3, local_epochs=2, seed=7) != plan


def test_options_reach_the_plan(site: Path) -> None:
    workspace, length = Workspace(site), {"rounds": 3, "local_epochs": 2, "seed": 7}
    autoencoder = plan_of(workspace, "autoencoder", "hall", PLANS["autoencoder"] | {"rate": 5.0}, **length)
    assert autoencoder.model["size_px"] == 48 and autoencoder.model["inputs"] == {"rate_hz": 5.0}
    assert (autoencoder.training["cuboids_per_epoch"], autoencoder.training["batch_size"]) == (8, 4)
    assert autoencoder.training["strides"] == [1]
    classifier = plan_of(workspace, "classifier", "hall", PLANS["classifier"] | {"learning_rate": 0.5}, **length)
    assert classifier.model["classes"] == ["fight", "fall"] and classifier.training["learning_rate"] == 0.5
    assert (classifier.model["hidden"], classifier.model["members"]) == ([16], 2)
    projection = plan_of(workspace, "projection", "hall", PLANS["projection"], **length)
    assert projection.model["loss"] == "self_supervised" and projection.training["temperature"] == 0.2
    told = plan_of(workspace, "projection", "hall", PLANS["projection"] | {"classes": "a,b"}, **length)
    assert told.model["loss"] == "supervised_contrastive"


@pytest.mark.parametrize(
    ("kind", "said", "words"),
    [
        ("segments", {}, "unknown --kind"),
        ("classifier", {}, "--classes names"),
        ("classifier", {"classes": "a,,b"}, "name each class once"),
        ("classifier", {"classes": "a", "width": 1.0}, "--width says nothing of a federated classifier"),
        ("projection", {"encoder": ["handcrafted/motion", "handcrafted/action"]}, "of one encoder"),
        ("projection", {"loss": "triplet"}, "tells classes apart"),
        ("autoencoder", {"size": 8}, "at least"),
        ("autoencoder", {"strides": "one"}, "--strides"),
    ],
)
def test_options_that_make_no_plan_are_told(site: Path, kind: str, said: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        plan_of(Workspace(site), kind, "hall", said, rounds=3, local_epochs=2, seed=7)


def test_receipts_and_status_are_read_back(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "nothing has crossed yet" in call(capsys, "federate", "receipts", "--site", site)[1]
    assert "no federation yet" in call(capsys, "federate", "status", "--site", site)[1]
    workspace = Workspace(site)
    plan = plan_of(workspace, "autoencoder", "hall", PLANS["autoencoder"], rounds=3, local_epochs=2, seed=7)
    for number in (1, 2):
        receipt = receipt_of(
            None, plan, round_number=number, stage="train", direction="sent", client="north", refused="no-footage"
        )
        append_receipt(federation_folder(workspace, "hall"), receipt)
    code, out, _ = call(capsys, "federate", "receipts", "hall", "--round", 2, "--site", site, "--json")
    (told,) = json.loads(out)["federations"]
    assert code == 0
    assert [one["round"] for one in told["receipts"]] == [2]
    assert "no-footage" in call(capsys, "federate", "receipts", "--direction", "sent", "--site", site)[1]
    assert call(capsys, "federate", "receipts", "--direction", "away", "--site", site)[0] == 2
    assert call(capsys, "federate", "receipts", "other", "--site", site)[0] == 2
    append_receipt(all_federations_folder(workspace), receipt)
    (status,) = json.loads(call(capsys, "federate", "status", "--site", site, "--json")[1])["federations"]
    assert (status["role"], status["last_round"]) == ("client", 2)
    Memories(federation_folder(workspace, "hall"), plan.digest).keep(1, b"\x02\x00\x00\x00\x00\x00\x00\x00{}")
    assert call(capsys, "federate", "forget", "hall", "--site", site)[0] == 0
    assert [path.name for path in federation_folder(workspace, "hall").iterdir()] == ["receipts.jsonl"]
    assert call(capsys, "federate", "forget", "hal", "--site", site)[0] == 2


def test_who_has_a_model_at_the_end_and_who_has_none_is_told() -> None:
    card = {"rounds": [1, 2], "best_round": 2}
    told = _served_told(Served("autoencoder.hall", "abc", card, {"south": "late", "north": ""}))
    assert "has: north; not: south: late" in told and "same command again" in told
    begun = Begun("127.0.0.1:1", 3, ("north",))
    assert "handed to the sites that come" in _begun_told(begun, 2, 10)
    assert "going on with round 2" in _begun_told(replace(begun, first_round=2), 2, 10)


def test_a_workspace_serves_or_joins_once_at_a_time(tmp_path: Path) -> None:
    with one_at_a_time(tmp_path, "join"):
        with pytest.raises(FlowerProcessError, match="already runs"), one_at_a_time(tmp_path, "join"):
            pass
        with one_at_a_time(tmp_path, "serve"):
            pass
    with one_at_a_time(tmp_path, "join"):
        pass


def test_help_needs_neither_flower_nor_torch() -> None:
    code = (
        "import sys; from afterwatch.__main__ import main\n"
        "try: main(['federate', 'serve', '--help'])\n"
        "except SystemExit: print('loaded', sorted({'flwr', 'grpc', 'torch'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.rstrip().endswith("loaded []")
