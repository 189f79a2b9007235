"""A night whose lake is an object store: any S3 API, here one on this machine."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import s3fs
from moto.server import ThreadedMotoServer

from tests.e2e.command import afterwatch

pytestmark = [pytest.mark.serial, pytest.mark.usefixtures("server")]


@contextmanager
def s3_api(patch: pytest.MonkeyPatch) -> Iterator[str]:
    """Address of an S3 API with one bucket."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        patch.setenv(name, "testing")
    patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    store = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    store.start()
    address = "http://{}:{}".format(*store.get_host_and_port())
    files = s3fs.S3FileSystem(endpoint_url=address, skip_instance_cache=True)
    files.mkdir("bucket")
    yield address
    files.rm("bucket", recursive=True)  # the next such store of this process knows what this one held
    store.stop()


def put_lake(address: str, prefix: str) -> dict[str, Any]:
    """Settings of a site whose lake is there."""
    return {"lake": f"s3://bucket/{prefix}", "lake_options": {"endpoint_url": address}}


@pytest.fixture
def endpoint(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    with s3_api(monkeypatch) as address:
        yield address


@pytest.mark.timeout(600)
def test_a_night_on_an_object_store_is_complete_and_done_once(endpoint: str, one_camera_site: Path) -> None:
    settings = one_camera_site / "afterwatch.toml"
    lake = f'lake = "s3://bucket/lake"\nlake_options = {{ endpoint_url = "{endpoint}" }}\n'
    settings.write_text(lake + settings.read_text())
    first = afterwatch("run", "--site", one_camera_site, "--json")
    assert first.code == 0, first.err
    assert first.json["decoded_s"] > 0
    second = afterwatch("run", "--site", one_camera_site, "--json")
    assert second.code == 0, second.err
    assert second.json["decoded_s"] == 0
    assert second.json["coverage"] == first.json["coverage"]
    rows = afterwatch("query", "SELECT count(*) AS n FROM scores", "--site", one_camera_site, "--json")
    assert rows.json["rows"][0]["n"] > 0
    assert not (one_camera_site / "lake").exists()
