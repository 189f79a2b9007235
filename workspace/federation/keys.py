"""What server and clients know each other by: a certificate under an authority of its own, and a key for each client.

Everything lies in `federation/` of a workspace, the folder with mode 0700 and the secrets with 0600:

- `authority.pem`, `authority.key`: an authority that signs this server and nothing else; clients are handed the former;
- `server.pem`, `server.key`: what the server shows (TLS);
- `client.key`, `client.pub`: what this site shows as a client, in OpenSSH's form (ECDSA on P-384, which Flower asks for).
"""

import ipaddress
import re
import stat
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from infra.errors import ConfigurationError
from infra.site import Site
from workspace.federation.private_files import OTHERS, OWNERS_FOLDER, make_private, write_private

AUTHORITY, SERVER, CLIENT = "authority", "server", "client"
AUTHORITY_YEARS = 10
SERVER_DAYS = 825
"""Longest life of a server's certificate that common TLS libraries take."""
LOOPBACK = ("localhost", "127.0.0.1", "::1")
HOST = re.compile(
    r"(?=.{1,253}$)([A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?)(\.[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?)*"
)


@dataclass(frozen=True)
class ServerCertificate:
    """What a server shows its clients.

    Attributes:
        authority: certificate of the authority, which clients are handed.
        certificate: the server's own, signed by it.
        key: the server's private key.
        hosts: names and addresses under which clients may reach it.
        fingerprint: SHA-256 of the authority's certificate, to compare by telephone.
        until: when the server's certificate ends.
    """

    authority: Path
    certificate: Path
    key: Path
    hosts: tuple[str, ...]
    fingerprint: str
    until: datetime


_PKCS8 = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
_OPENSSH = (serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption())


def keys_folder(site: Site) -> Path:
    """Folder of everything that this module keeps."""
    return site.root / "federation"


def make_certificate(site: Site, hosts: Iterable[str]) -> ServerCertificate:
    """Make the server's certificate anew, for these names and for this machine's own.

    The authority is made once and kept: clients that hold it go on. No certificate outlives it.

    Args:
        site: the server's workspace.
        hosts: names and addresses under which clients reach the server.

    Raises:
        ConfigurationError: a host is neither a name nor an address, or the authority that is kept cannot sign any more.
    """
    named = tuple(dict.fromkeys((*(_host(host) for host in hosts), *LOOPBACK)))
    folder, now = make_folder(site), datetime.now(UTC)
    authority, authority_key = _authority(site, now)
    key = ec.generate_private_key(ec.SECP256R1())
    until = min(now + timedelta(days=SERVER_DAYS), authority.not_valid_after_utc)
    certificate = (
        _builder(f"Afterwatch server {site.settings.site.name}", key, now, until)
        .issuer_name(authority.subject)
        .add_extension(x509.SubjectAlternativeName([_general_name(host) for host in named]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(authority_key, hashes.SHA256())
    )
    write_private(folder / f"{SERVER}.key", key.private_bytes(*_PKCS8))
    write_private(folder / f"{SERVER}.pem", certificate.public_bytes(serialization.Encoding.PEM))
    return server_certificate(site)


def server_certificate(site: Site) -> ServerCertificate:
    """The server's certificate, checked: there, of the authority and the key that lie beside it, not ended, the key for no one else.

    Raises:
        ConfigurationError: it cannot be used; the message says what makes it usable.
    """
    folder, remedy = keys_folder(site), '"afterwatch federate certificate --host NAME" makes one'
    paths = (folder / f"{AUTHORITY}.pem", folder / f"{SERVER}.pem", folder / f"{SERVER}.key")
    for path in paths:
        if not path.is_file():
            raise ConfigurationError(f"{path} is not there, and a federation without TLS is not served; {remedy}")
    _check_secret(paths[2])
    try:
        authority, certificate = (x509.load_pem_x509_certificate(path.read_bytes()) for path in paths[:2])
        certificate.verify_directly_issued_by(authority)
        fits = serialization.load_pem_private_key(paths[2].read_bytes(), None).public_key() == certificate.public_key()
    except Exception as error:  # noqa: BLE001 — of bad files this library raises whatever its parsers raise
        raise ConfigurationError(
            f"{paths[1]} is no certificate signed by {paths[0]}, or {paths[2].name} no key ({error}); {remedy}"
        ) from None
    if not fits:
        raise ConfigurationError(f"{paths[2]} is not the key of {paths[1]}: one of them is older; {remedy}")
    _check_authority(paths[0], authority)
    until = certificate.not_valid_after_utc
    if until <= datetime.now(UTC):
        raise ConfigurationError(f"{paths[1]} ended on {until:%Y-%m-%d}; {remedy}, clients keep what they have")
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    hosts = (*names.get_values_for_type(x509.DNSName), *map(str, names.get_values_for_type(x509.IPAddress)))
    return ServerCertificate(*paths, hosts, authority.fingerprint(hashes.SHA256()).hex(), until)


def make_key(site: Site) -> Path:
    """This site's key as a client, made once and kept; the path of its public half, which the server's people are given."""
    folder = make_folder(site)
    public = folder / f"{CLIENT}.pub"
    if (folder / f"{CLIENT}.key").is_file():
        key = serialization.load_ssh_private_key(client_key(site).read_bytes(), None)
    else:
        key = ec.generate_private_key(ec.SECP384R1())
        write_private(folder / f"{CLIENT}.key", key.private_bytes(*_OPENSSH))
    line = key.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH) + b"\n"
    if (
        not public.is_file() or public.read_bytes() != line
    ):  # that of an earlier key would be admitted, and this one not
        write_private(public, line)
    return public


def client_key(site: Site) -> Path:
    """This site's private key as a client.

    Raises:
        ConfigurationError: there is none, it is no such key, or others may read it.
    """
    path = keys_folder(site) / f"{CLIENT}.key"
    if not path.is_file():
        raise ConfigurationError(
            f'{path} is not there; "afterwatch federate key" makes it, and "afterwatch federate admit" lets the server know'
        )
    _check_secret(path)
    try:
        key = serialization.load_ssh_private_key(path.read_bytes(), None)
    except (ValueError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise ConfigurationError(
            f'{path} is no private key of a client; delete it, and "afterwatch federate key" makes one'
        )
    return path


def public_key_of(line: str) -> ec.EllipticCurvePublicKey:
    """A client's public key from its line in OpenSSH's form.

    Raises:
        ConfigurationError: it is none, or not on the curve P-384.
    """
    try:
        key = serialization.load_ssh_public_key(line.encode())
    except (ValueError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP384R1):
        raise ConfigurationError(
            f'"{line[:40].strip()}…" is no public key of a client (one line, "ecdsa-sha2-nistp384 AAAA…"); '
            'name the file federation/client.pub that "afterwatch federate key" made at the client'
        )
    return key


def _authority(site: Site, now: datetime) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    """The authority of this workspace, made at the first call.

    Raises:
        ConfigurationError: it has ended, or its key does not fit or is open to others.
    """
    folder = make_folder(site)
    path, key_path = folder / f"{AUTHORITY}.pem", folder / f"{AUTHORITY}.key"
    if path.is_file() and key_path.is_file():
        _check_secret(key_path)
        key = serialization.load_pem_private_key(key_path.read_bytes(), None)
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise ConfigurationError(f"{key_path} is no key that was made here; move both {AUTHORITY}.* away")
        kept = x509.load_pem_x509_certificate(path.read_bytes())
        if kept.public_key() != key.public_key():
            raise ConfigurationError(
                f"{key_path} is not the key of {path}: one of them is older; put back the two that belong together"
            )
        _check_authority(path, kept)
        return kept, key
    key = ec.generate_private_key(ec.SECP256R1())
    until = now + timedelta(days=365 * AUTHORITY_YEARS)
    builder = _builder(f"Afterwatch authority {site.settings.site.name}", key, now, until)
    certificate = (
        builder.issuer_name(_subject(f"Afterwatch authority {site.settings.site.name}"))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_may_sign(), critical=True)
        .sign(key, hashes.SHA256())
    )
    write_private(key_path, key.private_bytes(*_PKCS8))
    write_private(path, certificate.public_bytes(serialization.Encoding.PEM))
    return certificate, key


def _check_authority(path: Path, authority: x509.Certificate) -> None:
    """Raise ConfigurationError where an authority has ended: nothing that it signed is taken any more."""
    until = authority.not_valid_after_utc
    if until <= datetime.now(UTC):
        raise ConfigurationError(
            f'{path} ended on {until:%Y-%m-%d}; move {AUTHORITY}.* away, "afterwatch federate certificate --host NAME" makes '
            "another, and every client is handed it anew"
        )


def _builder(name: str, key: ec.EllipticCurvePrivateKey, now: datetime, until: datetime) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(_subject(name))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))  # clocks of clients are not always right
        .not_valid_after(until)
    )


def _subject(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name[:64])])


def _may_sign() -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=False,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=True,
        crl_sign=True,
        encipher_only=False,
        decipher_only=False,
    )


def _host(host: str) -> str:
    try:
        return str(ipaddress.ip_address(host))
    except ValueError:
        if HOST.fullmatch(host):
            return host.lower()
    raise ConfigurationError(
        f'--host "{host}" is neither a name nor an address; write it as server.example or 10.0.0.5'
    )


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def make_folder(site: Site) -> Path:
    """The folder of the keys, made where it is not there, and closed where others could enter it.

    Raises:
        ConfigurationError: it is somebody else's, and open to others.
    """
    folder = keys_folder(site)
    try:
        make_private(folder)
    except OSError as error:
        raise ConfigurationError(
            f"{folder} cannot be made its owner's only ({error.strerror or error}); its owner has to: chmod "
            f"{OWNERS_FOLDER:o} {folder}"
        ) from None
    return folder


def _check_secret(path: Path) -> None:
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & OTHERS:
        raise ConfigurationError(f"{path} has mode {mode:04o}, and a secret is its owner's only; chmod 600 {path}")
