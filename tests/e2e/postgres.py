"""A PostgreSQL of a test's own, on this machine only; it takes no more care of its data than a test needs."""

import os
import pwd
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.workspace.listeners import HERE, free_port

PLACES = ("/usr/lib/postgresql", "/usr/pgsql")
PROGRAMS = ("initdb", "postgres", "pg_isready", "createdb", "psql")
OPTIONS = {"fsync": "off", "full_page_writes": "off", "synchronous_commit": "off", "shared_buffers": "32MB"}


def why_not() -> str | None:
    """What keeps PostgreSQL from being started here; None where nothing does."""
    programs = _programs()
    if programs is None:
        return "PostgreSQL is not on this machine"
    if os.geteuid() == 0 and (_user() is None or shutil.which("setpriv") is None):
        return "PostgreSQL does not run as root, and there is no user postgres, or no setpriv, on this machine"
    return None if _has(programs, "extension/pg_trgm.control") else "PostgreSQL's pg_trgm is not on this machine"


@contextmanager
def postgresql(database: str) -> Iterator[str]:
    """A server with an empty database that has `pg_trgm`; gives its address, `user@host:port/database`."""
    programs = _programs()
    assert programs is not None
    folder, port = Path(tempfile.mkdtemp(prefix="afterwatch-postgres-")), free_port()
    options = [f"-c{name}={value}" for name, value in OPTIONS.items()]
    try:
        user = _user() if os.geteuid() == 0 else None
        if user is not None:
            os.chown(folder, user.pw_uid, user.pw_gid)
        data = str(folder / "data")
        _run(programs / "initdb", "--auth=trust", "--username=prefect", "--no-sync", "--encoding=UTF8", "-D", data)
        started = _as_user(
            [str(programs / "postgres"), "-D", data, "-p", str(port), "-h", HERE, "-k", str(folder), *options]
        )
        with (folder / "log").open("wb") as log:
            server = subprocess.Popen(started, stdout=log, stderr=log, cwd=folder)
        try:
            where = ("-h", HERE, "-p", str(port), "-U", "prefect")
            ready = f"until {programs}/pg_isready -q {' '.join(where)} -d postgres; do sleep 0.1; done"
            subprocess.run(["timeout", "60", "sh", "-c", ready], check=True)
            _run(programs / "createdb", *where, database)
            _run(programs / "psql", "-q", *where, "-d", database, "-c", "CREATE EXTENSION pg_trgm")
            yield f"prefect@{HERE}:{port}/{database}"
        finally:
            server.terminate()
            server.wait(30)
    finally:
        shutil.rmtree(folder)


def ask(address: str, statement: str) -> list[str]:
    """The rows that a statement gives, as psql writes them."""
    programs = _programs()
    assert programs is not None
    command = [str(programs / "psql"), "-At", f"postgresql://{address}", "-c", statement]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    return done.stdout.splitlines()


def _programs() -> Path | None:
    """The folder of the newest PostgreSQL."""
    folders = sorted((path for place in PLACES for path in Path(place).glob("*/bin")), reverse=True)
    found = shutil.which("initdb")
    folders += [Path(found).resolve().parent] if found else []
    return next((folder for folder in folders if all((folder / name).is_file() for name in PROGRAMS)), None)


def _has(programs: Path, name: str) -> bool:
    """Whether a file is in its shared folder."""
    command = _as_user([str(programs / "initdb"), "--show", "-D", "/nonexistent"])
    told = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60, cwd="/")
    found = re.search(r"^share_path=(.+)$", told.stdout + told.stderr, re.MULTILINE)
    return found is not None and (Path(found[1]) / name).is_file()


def _user() -> pwd.struct_passwd | None:
    try:
        return pwd.getpwnam("postgres")
    except KeyError:
        return None


def _as_user(command: list[str]) -> list[str]:
    if os.geteuid() != 0:
        return command
    return ["setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups", *command]


def _run(program: Path, *arguments: str) -> None:
    command = _as_user([str(program), *arguments])
    subprocess.run(command, check=True, capture_output=True, timeout=120, cwd="/")
