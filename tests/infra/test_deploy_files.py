"""The files to deploy with: taken by the validators of what reads them, shut tight, and agreeing with the code."""

import importlib.util
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]  # it ships no types
import kubernetes_validate  # type: ignore[import-untyped]  # likewise
import pytest
import typer
import yaml

from afterwatch.__main__ import app

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "infra" / "deploy"
COMPOSE = (DEPLOY / "compose" / "compose.yaml", DEPLOY / "compose" / "compose.gpu.yaml")
MANIFESTS = sorted(path for path in (DEPLOY / "kubernetes").glob("*.yaml") if path.name != "kustomization.yaml")
UNITS = sorted((DEPLOY / "systemd").glob("*.service"))
TIMERS = sorted((DEPLOY / "systemd").glob("*.timer"))
KUBERNETES = "1.33"
DASK = "kubernetes.dask.org/v1"
OWN_IMAGE = f"afterwatch:{version('afterwatch')}"
IMAGES = {OWN_IMAGE, "postgres:15.14-bookworm"}
LOOPBACK = re.compile(r"127\.0\.0\.1:\d+:\d+")


def documents() -> Iterator[tuple[Path, dict[str, Any]]]:
    for path in MANIFESTS:
        yield from ((path, one) for one in yaml.safe_load_all(path.read_text(encoding="utf-8")))


def services() -> dict[str, dict[str, Any]]:
    told: dict[str, dict[str, Any]] = yaml.safe_load(COMPOSE[0].read_text(encoding="utf-8"))["services"]
    return told


def pods() -> Iterator[tuple[str, dict[str, Any]]]:
    """(Name, specification) of every pod that the manifests make."""
    for _, one in documents():
        name, spec = f"{one['kind']} {one['metadata']['name']}", one.get("spec", {})
        if one["kind"] == "DaskCluster":
            yield from ((f"{name} {part}", spec[part]["spec"]) for part in ("scheduler", "worker"))
        elif "template" in spec:
            yield name, spec["template"]["spec"]


def test_compose_takes_the_files(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec"]
    good = subprocess.run([*command, *COMPOSE], capture_output=True, text=True, check=False, timeout=60)
    assert good.returncode == 0, good.stdout
    wrong = tmp_path / "compose.yaml"
    wrong.write_text(
        COMPOSE[0].read_text(encoding="utf-8").replace("read_only: true\n  cap_drop", "readonly: 1\n  cap_drop")
    )
    bad = subprocess.run([*command, wrong], capture_output=True, text=True, check=False, timeout=60)
    assert bad.returncode == 1, "the validator tells what is wrong"


@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: path.stem)
def test_kubernetes_takes_the_manifests(path: Path) -> None:
    for _, one in (pair for pair in documents() if pair[0] == path):
        if one["apiVersion"] != DASK:
            kubernetes_validate.validate(one, KUBERNETES, strict=True)


def test_the_dask_operator_takes_the_cluster() -> None:
    found = importlib.util.find_spec("dask_kubernetes")  # importing it takes long, and needs a cluster
    assert found is not None and found.origin is not None
    chart = Path(found.origin).parent / "operator" / "deployment" / "helm" / "dask-kubernetes-operator"
    (told,) = yaml.safe_load_all((chart / "crds" / "daskcluster.yaml").read_text(encoding="utf-8"))
    (schema,) = [one["schema"]["openAPIV3Schema"] for one in told["spec"]["versions"] if one["name"] == "v1"]
    (cluster,) = [one for _, one in documents() if one["apiVersion"] == DASK]
    jsonschema.validate(cluster, schema)
    spec = cluster["spec"]["worker"]["spec"]
    (worker,) = spec["containers"]
    assert worker["resources"]["limits"]["nvidia.com/gpu"] == "1"
    assert worker["args"][-2:] == ["--resources", "GPU=1"], "the label that [cluster] gpu_resource names"
    # The operator adds nothing to a pod but this: everything else is the pod's own.
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "worker"}, "spec": spec}
    kubernetes_validate.validate(pod, KUBERNETES, strict=True)
    del cluster["spec"]["worker"]["spec"]
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(cluster, schema)


def test_everything_is_in_the_kustomization() -> None:
    told = yaml.safe_load((DEPLOY / "kubernetes" / "kustomization.yaml").read_text(encoding="utf-8"))
    assert sorted(told["resources"]) == [path.name for path in MANIFESTS]


def test_images_have_fixed_tags_and_come_from_no_named_host() -> None:
    named = {one["image"] for one in services().values()} | {
        container["image"] for _, spec in pods() for container in spec["containers"]
    }
    assert named == IMAGES
    bases = re.findall(r"^FROM (\S+)", (DEPLOY / "Dockerfile").read_text(encoding="utf-8"), re.MULTILINE)
    assert bases and all(re.fullmatch(r"python:3\.11\.\d+-slim-bookworm", base) for base in bases)


def test_pods_have_no_rights_that_they_do_not_need() -> None:
    seen = list(pods())
    assert len(seen) == 7
    for name, spec in seen:
        assert spec["automountServiceAccountToken"] is False, name
        assert spec["securityContext"]["runAsNonRoot"] is True, name
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, name
        for container in spec["containers"]:
            confined = container["securityContext"]
            assert confined["allowPrivilegeEscalation"] is False, name
            assert confined["readOnlyRootFilesystem"] is True, name
            assert confined["capabilities"] == {"drop": ["ALL"]}, name
            assert "memory" in container["resources"]["limits"], name


def test_footage_is_read_only_everywhere() -> None:
    mounts = [
        mount
        for _, spec in pods()
        for container in spec["containers"]
        for mount in container["volumeMounts"]
        if mount["name"] == "footage"
    ]
    assert len(mounts) == 3 and all(mount["readOnly"] for mount in mounts)
    binds = [
        volume
        for service in services().values()
        for volume in service.get("volumes", ())
        if isinstance(volume, dict) and volume["target"].endswith("/footage")
    ]
    assert len(binds) == 3 and all(volume["read_only"] for volume in binds)
    for unit in UNITS:
        assert "\nReadOnlyPaths=-/srv/afterwatch/site/footage\n" in unit.read_text(encoding="utf-8")


def test_compose_publishes_on_this_machine_only_and_shuts_the_rest_in() -> None:
    told = yaml.safe_load(COMPOSE[0].read_text(encoding="utf-8"))
    assert told["networks"]["inside"] == {"internal": True}
    published = {name: one["ports"] for name, one in told["services"].items() if "ports" in one}
    assert set(published) == {"prefect-server", "dashboard"}
    assert all(LOOPBACK.fullmatch(port) for ports in published.values() for port in ports)
    outside = {name for name, one in told["services"].items() if "outside" in one["networks"]}
    assert outside == {"prefect-server", "dashboard", "worker"}, "neither the database nor Dask, which ask for little"
    for name, one in told["services"].items():
        assert "healthcheck" in one or one["restart"] == "no", name
        assert "no-new-privileges:true" in one["security_opt"], name
        if one["image"] == OWN_IMAGE:
            assert one["read_only"] and one["cap_drop"] == ["ALL"] and one["user"] == "10001:10001", name


def test_kubernetes_lets_in_only_what_is_said() -> None:
    policies = {one["metadata"]["name"]: one["spec"] for _, one in documents() if one["kind"] == "NetworkPolicy"}
    assert policies["nothing"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    (rule,) = policies["postgres"]["ingress"]
    assert rule["from"] == [{"podSelector": {"matchLabels": {"app.kubernetes.io/name": "prefect-server"}}}]
    selected = {json.dumps(one["podSelector"], sort_keys=True) for one in policies.values()}
    assert json.dumps({"matchLabels": {"dask.org/cluster-name": "afterwatch"}}) in selected
    assert not [one for _, one in documents() if one["kind"] == "Secret"], "no secret stands in the sources"
    kinds = {one["spec"].get("type", "ClusterIP") for _, one in documents() if one["kind"] == "Service"}
    assert kinds == {"ClusterIP"}


def test_no_password_stands_in_any_file() -> None:
    example = (DEPLOY / "compose" / "secrets.env.example").read_text(encoding="utf-8")
    names = dict(line.split("=", 1) for line in example.splitlines() if line and not line.startswith("#"))
    assert names["POSTGRES_PASSWORD"] == ""
    wanted = re.findall(r"\$\{(\w+):\?", COMPOSE[0].read_text(encoding="utf-8"))
    assert set(wanted) <= set(names), "what Compose insists on is in the example"
    assert services()["postgres"]["environment"]["POSTGRES_PASSWORD"].startswith("${")


def test_every_health_path_and_flag_is_one_that_its_program_knows() -> None:
    commands = [" ".join(map(str, one["command"])) for one in services().values() if "command" in one]
    commands += [
        " ".join((*one.get("command", ()), *one.get("args", ()))) for _, spec in pods() for one in spec["containers"]
    ]
    from distributed.cli.dask_scheduler import main as scheduler
    from distributed.cli.dask_worker import main as worker

    known = {"dask scheduler": scheduler, "dask worker": worker}
    checked = 0
    for name, program in known.items():
        flags = {flag for parameter in program.params for flag in (*parameter.opts, *parameter.secondary_opts)}
        for command in (one for one in commands if one.startswith(name)):
            said = {word.split("=", 1)[0] for word in command.split() if word.startswith("--")}
            assert said and said <= flags, command
            checked += 1
    assert checked == 4


@pytest.mark.parametrize("unit", UNITS, ids=lambda path: path.stem)
def test_systemd_takes_the_units(unit: Path, tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not on this machine")
    # A program that is there, so that everything but the place of ours is checked.
    text = re.sub(r"^ExecStart=\S+", "ExecStart=/bin/true", unit.read_text(encoding="utf-8"), flags=re.MULTILINE)
    copy = tmp_path / unit.name
    copy.write_text(text, encoding="utf-8")

    def analyze(*arguments: str) -> "subprocess.CompletedProcess[str]":
        command = ["systemd-analyze", *arguments, str(copy)]
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)

    done = analyze("verify", "--man=no")
    assert done.returncode == 0 and unit.name not in done.stderr, done.stderr
    assert analyze("security", "--offline=true", "--threshold=20").returncode == 0, "exposure of at most 2.0 of 10"
    copy.write_text(text.replace("NoNewPrivileges=yes", "NoNewPrivilege=yes"), encoding="utf-8")
    assert "NoNewPrivilege" in analyze("verify", "--man=no").stderr, "the validator tells what is wrong"


@pytest.mark.parametrize("timer", TIMERS, ids=lambda path: path.stem)
def test_systemd_takes_the_timers_and_what_they_start(timer: Path, tmp_path: Path) -> None:
    service = timer.with_suffix(".service")
    assert service in UNITS and "Type=oneshot" in service.read_text(encoding="utf-8")
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not on this machine")
    text = timer.read_text(encoding="utf-8")
    copy = tmp_path / timer.name
    started = re.sub(r"^ExecStart=\S+", "ExecStart=/bin/true", service.read_text(encoding="utf-8"), flags=re.MULTILINE)
    (tmp_path / service.name).write_text(started, encoding="utf-8")

    def verified(content: str) -> str:
        copy.write_text(content, encoding="utf-8")
        command = ["systemd-analyze", "verify", "--man=no", str(copy)]
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60).stderr

    assert timer.name not in verified(text) and timer.stem not in verified(text)
    assert "parse calendar" in verified(re.sub(r"OnCalendar=.+", "OnCalendar=sometimes", text)), (
        "it tells what is wrong"
    )


@pytest.mark.parametrize("unit", UNITS, ids=lambda path: path.stem)
def test_units_call_verbs_that_there_are(unit: Path) -> None:
    (command,) = re.findall(r"^ExecStart=\S+/afterwatch (.+)$", unit.read_text(encoding="utf-8"), re.MULTILINE)
    words, known = command.split(), typer.main.get_command(app)
    while isinstance(known, typer.core.TyperGroup):
        known = known.commands[words.pop(0)]
    options = {option for option in words if option.startswith("--")}
    assert options
    flags = {flag for parameter in known.params for flag in parameter.opts}
    assert options <= flags


def test_the_image_holds_every_room() -> None:
    text = (DEPLOY / "Dockerfile").read_text(encoding="utf-8")
    copied = set(re.findall(r"^COPY (\w+) \1$", text, re.MULTILINE))
    settings = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    (packages,) = re.findall(r"^packages = \[(.+)\]$", settings, re.MULTILINE)
    assert copied == set(re.findall(r'"(\w+)"', packages))
    assert "USER 10001:10001" in text


def test_whoever_deploys_says_all_that_the_deployments_ask_for() -> None:
    used = set(re.findall(r"\{\{ \$(\w+) \}\}", (DEPLOY / "prefect.yaml").read_text(encoding="utf-8")))
    (times,) = [one["data"] for _, one in documents() if one["metadata"]["name"] == "afterwatch-times"]
    assert used and used <= set(times)
    assert used <= set(services()["deployments"]["environment"])
