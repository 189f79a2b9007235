"""Certificates and keys of a federation: usable, only their owner's, and who is on the list."""

import shutil
import socket
import ssl
import stat
import threading
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path
from typing import Self

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st

from afterwatch.workspace_files import make_workspace
from infra.errors import ConfigurationError, UnknownNameError
from infra.site import Site
from workspace.federation import admitted, keys
from workspace.federation.admitted import admit, clients, expel, known_keys
from workspace.federation.private_files import write_private


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site.open(make_workspace(tmp_path / "site"))


def another(root: Path, name: str) -> Path:
    """Public key of another site."""
    return keys.make_key(Site.open(make_workspace(root / name)))


def handshake(made: keys.ServerCertificate, authority: Path, host: str) -> None:
    """A TLS connection to a server with that certificate, as by a client that knows it as `host`."""
    ours, theirs = socket.socketpair()
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(made.certificate, made.key)

    def answer() -> None:
        try:
            server.wrap_socket(theirs, server_side=True).close()
        except (ssl.SSLError, OSError):
            theirs.close()

    thread = threading.Thread(target=answer)
    thread.start()
    try:
        ssl.create_default_context(cafile=str(authority)).wrap_socket(ours, server_hostname=host).close()
    finally:
        ours.close()
        thread.join()


@pytest.mark.parametrize("host", ["federation.example", "10.1.2.3", "localhost", "127.0.0.1"])
def test_a_client_with_the_authority_takes_the_server_under_its_names(site: Site, host: str) -> None:
    made = keys.make_certificate(site, ["federation.example", "10.1.2.3"])
    handshake(made, made.authority, host)


def test_another_name_and_another_authority_are_refused(site: Site, tmp_path: Path) -> None:
    made = keys.make_certificate(site, ["federation.example"])
    other = keys.make_certificate(Site.open(make_workspace(tmp_path / "other")), ["federation.example"])
    with pytest.raises(ssl.SSLCertVerificationError, match="ostname mismatch"):
        handshake(made, made.authority, "elsewhere.example")
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(made, other.authority, "federation.example")


def test_a_certificate_made_anew_is_of_the_same_authority(site: Site) -> None:
    first = keys.make_certificate(site, ["a.example"])
    held = first.authority.read_bytes()
    second = keys.make_certificate(site, ["b.example"])
    assert (second.authority.read_bytes(), second.fingerprint) == (held, first.fingerprint)
    handshake(second, second.authority, "b.example")
    assert second.hosts == ("b.example", "localhost", "127.0.0.1", "::1")


def test_what_is_secret_is_its_owners_only(site: Site) -> None:
    keys.make_certificate(site, [])
    keys.make_key(site)
    folder = keys.keys_folder(site)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o600}
    assert not list(folder.glob(".*")), "nothing unfinished stays"
    for secret, use in (("server.key", keys.server_certificate), ("client.key", keys.client_key)):
        (folder / secret).chmod(0o640)
        with pytest.raises(ConfigurationError, match="chmod 600"):
            use(site)
    (folder / "authority.key").chmod(0o604)
    with pytest.raises(ConfigurationError, match="chmod 600"):
        keys.make_certificate(site, [])


@pytest.mark.parametrize("host", ["", "two words", "-a.example", "a..example", "https://a.example", "a/b", "ä.example"])
def test_a_host_that_is_none_is_refused(site: Site, host: str) -> None:
    with pytest.raises(ConfigurationError, match="neither a name nor an address"):
        keys.make_certificate(site, [host])


def test_a_certificate_that_cannot_be_used_is_told(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigurationError, match="without TLS is not served"):
        keys.server_certificate(site)
    made = keys.make_certificate(site, [])
    other = keys.make_certificate(Site.open(make_workspace(tmp_path / "other")), [])
    mine = made.certificate.read_bytes()
    made.certificate.write_bytes(other.certificate.read_bytes())
    with pytest.raises(ConfigurationError, match="no certificate signed by"):
        keys.server_certificate(site)
    made.certificate.write_bytes(b"nothing")
    with pytest.raises(ConfigurationError, match="no certificate signed by"):
        keys.server_certificate(site)
    made.certificate.write_bytes(mine)
    monkeypatch.setattr(keys, "SERVER_DAYS", 0)
    with pytest.raises(ConfigurationError, match="ended on"):
        keys.make_certificate(site, [])


def test_a_certificate_and_a_key_that_do_not_belong_together_are_told(site: Site) -> None:
    """One file of two restored, or a crash between the two."""
    made = keys.make_certificate(site, [])
    older, authority_key = made.key.read_bytes(), made.authority.with_suffix(".key").read_bytes()
    keys.make_certificate(site, [])
    made.key.write_bytes(older)
    with pytest.raises(ConfigurationError, match=r"server\.key is not the key of .*server\.pem.*makes one"):
        keys.server_certificate(site)
    assert keys.make_certificate(site, []).key.read_bytes() != older, "made anew, it fits again"
    made.key.write_bytes(b"nothing")
    with pytest.raises(ConfigurationError, match=r"or server\.key no key"):
        keys.server_certificate(site)
    made.authority.with_suffix(".key").write_bytes(keys.make_certificate(site, []).key.read_bytes())
    with pytest.raises(ConfigurationError, match=r"authority\.key is not the key of"):
        keys.make_certificate(site, [])
    made.authority.with_suffix(".key").write_bytes(authority_key)
    keys.make_certificate(site, [])


def test_no_certificate_outlives_its_authority(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keys, "AUTHORITY_YEARS", 1)
    made = keys.make_certificate(site, [])
    assert made.until - datetime.now(UTC) < timedelta(days=366)

    class Later(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> Self:
            return super().now(tz) + timedelta(days=400)

    monkeypatch.setattr(keys, "datetime", Later)
    with pytest.raises(ConfigurationError, match=r"authority\.pem ended on .* handed it anew"):
        keys.server_certificate(site)
    with pytest.raises(ConfigurationError, match=r"authority\.pem ended on"):
        keys.make_certificate(site, [])


def test_the_public_key_that_is_handed_out_is_that_of_the_private_one(site: Site) -> None:
    public = keys.make_key(site)
    older = public.read_text()
    (keys.keys_folder(site) / "client.key").unlink()
    line = keys.make_key(site).read_text()
    private = serialization.load_ssh_private_key(keys.client_key(site).read_bytes(), None)
    assert isinstance(private, ec.EllipticCurvePrivateKey) and line != older
    assert private.public_key().public_numbers() == keys.public_key_of(line).public_numbers()
    public.write_text(older)
    assert keys.make_key(site).read_text() == line


def test_a_folder_of_keys_that_is_open_is_closed(site: Site) -> None:
    keys.keys_folder(site).mkdir(mode=0o755)
    keys.keys_folder(site).chmod(0o755)
    keys.make_key(site)
    assert stat.S_IMODE(keys.keys_folder(site).stat().st_mode) == 0o700


def test_of_two_that_are_let_in_or_expelled_at_once_none_is_lost(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first is held up between reading the list and writing it, until the second is done or is made to wait."""
    admit(site, "north", another(tmp_path, "north"))
    south = another(tmp_path, "south")
    write, reached, second_done = write_private, threading.Event(), threading.Event()

    def slow(path: Path, content: bytes) -> None:
        if not reached.is_set():
            reached.set()
            second_done.wait(0.3)
        write(path, content)

    monkeypatch.setattr(admitted, "write_private", slow)
    first = threading.Thread(target=lambda: admit(site, "south", south))
    first.start()
    assert reached.wait(10)
    expel(site, "north")
    second_done.set()
    first.join()
    assert [client.name for client in clients(site)] == ["south"]


def test_a_key_is_made_once_and_both_halves_belong_together(site: Site) -> None:
    with pytest.raises(ConfigurationError, match="federate key"):
        keys.client_key(site)
    public = keys.make_key(site)
    line = public.read_text()
    public.unlink()
    assert keys.make_key(site).read_text() == line
    private = serialization.load_ssh_private_key(keys.client_key(site).read_bytes(), None)
    assert isinstance(private, ec.EllipticCurvePrivateKey)
    assert private.public_key().public_numbers() == keys.public_key_of(line).public_numbers()
    keys.client_key(site).write_bytes(b"nothing")
    with pytest.raises(ConfigurationError, match="no private key"):
        keys.client_key(site)


def test_who_is_admitted_and_expelled(site: Site, tmp_path: Path) -> None:
    north, south = (another(tmp_path, name) for name in ("north", "south"))
    assert clients(site) == ()
    admit(site, "south", south)
    admit(site, "north", north)
    assert [client.name for client in clients(site)] == ["north", "south"]
    assert admit(site, "north", north) == clients(site)[0], "said twice changes nothing"
    with pytest.raises(ConfigurationError, match="admitted with another key"):
        admit(site, "north", another(tmp_path, "west"))
    with pytest.raises(ConfigurationError, match='admitted with the name "north"'):
        admit(site, "nord", north)
    expel(site, "north")
    assert [client.name for client in clients(site)] == ["south"]
    assert [client.name for client in known_keys(site).expelled] == ["north"]
    with pytest.raises(ConfigurationError, match="does not come back"):
        admit(site, "north", north)
    with pytest.raises(UnknownNameError):
        expel(site, "north")
    shutil.rmtree(tmp_path / "north")
    admit(site, "north", another(tmp_path, "north"))
    assert [client.name for client in clients(site)] == ["north", "south"]


@pytest.mark.parametrize("name", ["", "-a", "two words", "a/b", "../a", "a" * 65])
def test_a_client_has_a_plain_name(site: Site, tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigurationError, match="cannot name a client"):
        admit(site, name, another(tmp_path, "other"))


def test_a_comment_behind_a_key_does_not_make_it_another(site: Site, tmp_path: Path) -> None:
    public = another(tmp_path, "north")
    commented = tmp_path / "commented.pub"
    commented.write_text(f"{public.read_text().strip()} somebody@somewhere\n")
    assert admit(site, "north", public) == admit(site, "north", commented)


@given(st.binary(max_size=200))
def test_what_is_no_key_is_refused(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    folder = tmp_path_factory.mktemp("keys")
    site = Site.open(make_workspace(folder / "site"))
    file = folder / "client.pub"
    file.write_bytes(content)
    with pytest.raises(ConfigurationError):
        admit(site, "north", file)
    assert clients(site) == ()


def test_keys_of_other_curves_are_refused(site: Site, tmp_path: Path) -> None:
    for curve in (ec.SECP256R1(), ec.SECP521R1()):
        file = tmp_path / "client.pub"
        key = ec.generate_private_key(curve).public_key()
        file.write_bytes(key.public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH))
        with pytest.raises(ConfigurationError, match="no public key of a client"):
            admit(site, "north", file)


@pytest.mark.parametrize("line", ["{}", "nothing", '{"said": "admit"}', "[]", '{"said": "let in", "name": "a"}'])
def test_a_damaged_list_lets_nobody_in(site: Site, tmp_path: Path, line: str) -> None:
    admit(site, "north", another(tmp_path, "north"))
    file = keys.keys_folder(site) / "clients.jsonl"
    file.write_text(file.read_text() + line + "\n")
    with pytest.raises(ConfigurationError, match="line 2"):
        clients(site)
