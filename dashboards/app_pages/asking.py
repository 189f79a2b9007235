"""Asks a server of the dashboards for its pages, as a browser does and without one: each page's script runs there."""

import re
from collections.abc import Iterator
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from urllib.parse import urlsplit

from streamlit.proto.Alert_pb2 import Alert
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.Element_pb2 import Element
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from websockets.exceptions import WebSocketException
from websockets.sync.client import connect

from dashboards.app_pages import shared
from infra.errors import AfterwatchError

PAGES = tuple(
    Path(file).stem
    for file in (
        shared.NIGHT_PAGE,
        shared.DAY_PAGE,
        shared.SUMMARIES_PAGE,
        shared.ALARMS_PAGE,
        shared.ANOMALIES_PAGE,
        shared.REVIEW_PAGE,
        shared.QUEUE_PAGE,
        shared.SEARCH_PAGE,
        shared.REGIONS_PAGE,
        shared.MODELS_PAGE,
        shared.RUNS_PAGE,
    )
)
"""As the dashboards' menu has them, by their addresses."""
PATIENCE_S = 120
_REFERENCE = re.compile(r"""(?:src|href)\s*=\s*["']([^"']+)["']""")


def run_page(address: str, page: str) -> int:
    """Have a page's script run to its end in a session of its own.

    Args:
        address: host and port of the server.
        page: as in the page's address, such as `night`; empty: the first page.

    Returns:
        How many messages drew it.

    Raises:
        AfterwatchError: the page shows an error, or the server does not finish it.
    """
    asked = BackMsg()
    asked.rerun_script.page_name = page
    messages = 0
    shown: list[str] = []
    try:
        with connect(
            f"ws://{address}/_stcore/stream",
            origin=f"http://{address}",  # type: ignore[arg-type]  # a str with a name of its own
            subprotocols=["streamlit"],  # type: ignore[list-item]  # likewise
            max_size=None,
            proxy=None,
        ) as session:
            session.send(asked.SerializeToString())
            for message in _until_finished(session):
                messages += 1
                if message.WhichOneof("type") == "delta":
                    shown += _errors(message.delta.new_element)
    except (OSError, WebSocketException, TimeoutError) as error:
        raise AfterwatchError(f'the page "{page}" was not finished by the dashboards at {address}: {error}') from None
    if shown:
        raise AfterwatchError(f'the page "{page}" shows an error: {shown[0]}')
    return messages


def _errors(element: Element) -> list[str]:
    if element.HasField("exception"):
        return [element.exception.message]
    if element.HasField("alert") and element.alert.format == Alert.ERROR:
        return [element.alert.body]
    return []


def _until_finished(session: object) -> Iterator[ForwardMsg]:
    while True:
        message = ForwardMsg()
        message.ParseFromString(session.recv(timeout=PATIENCE_S))  # type: ignore[attr-defined]  # a connection
        yield message
        if message.WhichOneof("type") == "script_finished":
            return


def served_files(address: str) -> tuple[int, list[str]]:
    """(how many files the first page's HTML asks for, the addresses among them that are not the server's own).

    The files are fetched. What their scripts ask for later is for a browser to tell.

    Raises:
        AfterwatchError: one is not there.
    """
    page = _fetched(address, "/").decode("utf-8", "replace")
    found = sorted(set(_REFERENCE.findall(page)))
    foreign = [reference for reference in found if urlsplit(reference).netloc not in ("", address)]
    own = [reference for reference in found if reference not in foreign and not reference.startswith("data:")]
    for reference in own:
        _fetched(address, "/" + urlsplit(reference).path.removeprefix(".").removeprefix("/"))
    return len(own), foreign


def _fetched(address: str, path: str) -> bytes:
    connection = HTTPConnection(address, timeout=PATIENCE_S)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        content = answer.read()
    except (OSError, HTTPException) as error:
        raise AfterwatchError(f"the dashboards at {address} do not serve {path}: {error}") from None
    finally:
        connection.close()
    if answer.status != 200:
        raise AfterwatchError(f"the dashboards at {address} answer {path} with {answer.status}")
    return content
