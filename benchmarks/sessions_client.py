"""A person's tab of the dashboards, without a browser: it speaks Streamlit's own protocol over a WebSocket.

What a browser would fetch for a page (pictures, films, charts' data) it fetches too; what a page asks to be run again at
intervals (`st.fragment(run_every=...)`) it runs again. It draws nothing, so that twenty of them fit beside a night.
"""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass
from random import Random
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlencode

import httpx
from streamlit.proto.Alert_pb2 import Alert
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

PATIENCE_S = 120.0
FIRST_PAGE = "night"
"""The page without a name in the address."""
LARGEST_MESSAGE = 200 * 2**20
OPENED, AGAIN, CHOSEN, BY_ITSELF = "opened", "run again", "another choice", "by itself"


@dataclass(frozen=True)
class PageRun:
    """One run of a page.

    Attributes:
        tab: whose.
        page: its name in the address.
        kind: `OPENED`, `AGAIN`, `CHOSEN`, or `BY_ITSELF` (a part of a page that runs at intervals).
        began_s: when it was asked for, on the monotonic clock.
        seconds: until the server said that the run has ended.
        elements: that the page then showed.
        errors: exceptions, errors told in words, and requests that failed; none where all is well.
    """

    tab: int
    page: str
    kind: str
    began_s: float
    seconds: float
    elements: int
    errors: tuple[str, ...]


class Tab:
    """A tab that goes from page to page; use it as a context.

    Args:
        number: names it in what it reports.
        address: of the dashboards, as `http://127.0.0.1:8501`.
        seed: decides what it chooses.
    """

    def __init__(self, number: int, address: str, seed: int) -> None:
        self.number = number
        self._address = address
        self._random = Random(f"{seed}/{number}")
        self._page, self._query = "", ""
        self._elements: dict[tuple[int, ...], Any] = {}
        self._chosen: dict[str, str] = {}
        self._intervals: dict[str, tuple[float, float]] = {}
        self._socket: ClientConnection
        self._http: httpx.AsyncClient

    async def __aenter__(self) -> Self:
        self._http = httpx.AsyncClient(base_url=self._address, timeout=PATIENCE_S, trust_env=False)
        await self._connect()
        return self

    async def _connect(self) -> None:
        self._socket = await connect(
            f"{self._address.replace('http', 'ws', 1)}/_stcore/stream",
            subprotocols=[Subprotocol("streamlit")],
            max_size=LARGEST_MESSAGE,
            open_timeout=PATIENCE_S,
            ping_timeout=PATIENCE_S,
            proxy=None,
        )

    async def __aexit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        await self._socket.close()
        await self._http.aclose()

    async def open(self, page: str, query: Mapping[str, str]) -> PageRun:
        """Go to a page, under an address of its own."""
        self._page, self._query = page, urlencode(query)
        self._chosen.clear()
        self._intervals.clear()
        self._elements.clear()
        return await self._run(OPENED)

    async def again(self) -> PageRun:
        """Run the page again, as any click does."""
        return await self._run(AGAIN)

    async def choose(self) -> PageRun | None:
        """Choose something else in one of the page's fields; none where it has no field with a choice."""
        fields = [element.selectbox for element in self._of("selectbox")]
        open_fields = [field for field in fields if len(field.options) > 1 and not field.disabled and not field.form_id]
        if not open_fields:
            return None
        field = self._random.choice(open_fields)
        self._chosen[field.id] = self._random.choice(list(field.options))
        return await self._run(CHOSEN)

    async def wait(self, seconds: float) -> list[PageRun]:
        """Look at the page for a while; what it asks to run by itself meanwhile is run."""
        runs: list[PageRun] = []
        until = time.monotonic() + seconds
        while True:
            due = {fragment: at for fragment, (_, at) in self._intervals.items() if at < until}
            if not due:
                await asyncio.sleep(max(0.0, until - time.monotonic()))
                return runs
            fragment = min(due, key=lambda name: due[name])
            await asyncio.sleep(max(0.0, due[fragment] - time.monotonic()))
            interval = self._intervals[fragment][0]
            runs.append(await self._run(BY_ITSELF, fragment))
            if fragment in self._intervals:
                self._intervals[fragment] = interval, time.monotonic() + interval

    def _of(self, kind: str) -> list[Any]:
        return [element for element in self._elements.values() if element.WhichOneof("type") == kind]

    async def _run(self, kind: str, fragment: str = "") -> PageRun:
        message = BackMsg()
        state = message.rerun_script
        state.page_name = "" if self._page == FIRST_PAGE else self._page
        state.query_string = self._query
        state.fragment_id, state.is_auto_rerun = fragment, bool(fragment)
        for name, value in self._chosen.items():
            state.widget_states.widgets.add(id=name, string_value=value)
        began = time.monotonic()
        try:
            await self._socket.send(message.SerializeToString())
            errors = await self._follow(whole=not fragment)
        except ConnectionClosed as closed:  # a browser would connect again, and so does this
            errors = [f"the connection was closed: {closed}"]
            await self._connect()
        seconds = time.monotonic() - began
        errors += [*self._told_errors(), *await self._fetch()]
        return PageRun(self.number, self._page, kind, began, seconds, len(self._elements), tuple(errors))

    async def _follow(self, *, whole: bool) -> list[str]:
        """Take in what the server says until the run has ended; a run that gives way to another is not the end."""
        errors: list[str] = []
        seen: set[tuple[int, ...]] = set()
        while True:
            try:
                content = await asyncio.wait_for(self._socket.recv(), PATIENCE_S)
            except TimeoutError:
                return [*errors, f"the run had not ended after {PATIENCE_S:.0f} s"]
            assert isinstance(content, bytes)
            message = ForwardMsg.FromString(content)
            match message.WhichOneof("type"):
                case "new_session":
                    seen.clear()
                    if not message.metadata.run.fragment_ids:
                        whole = True
                        self._intervals.clear()  # what still runs at intervals says so again
                case "delta":
                    seen |= self._take(message)
                case "page_info_changed":
                    self._query = message.page_info_changed.query_string
                case "page_not_found":
                    errors.append(f"there is no page {self._page}")
                case "auto_rerun":
                    interval = message.auto_rerun.interval
                    self._intervals[message.auto_rerun.fragment_id] = interval, time.monotonic() + interval
                case "stop_auto_rerun":
                    self._intervals.pop(message.stop_auto_rerun.fragment_id, None)
                case "session_event":
                    if message.session_event.WhichOneof("type") == "script_compilation_exception":
                        errors.append(message.session_event.script_compilation_exception.message)
                case "script_finished":
                    if message.script_finished == ForwardMsg.FINISHED_EARLY_FOR_RERUN:
                        continue
                    if whole:  # what the run did not draw is of the page before
                        self._elements = {path: self._elements[path] for path in seen if path in self._elements}
                    return errors

    def _take(self, message: ForwardMsg) -> set[tuple[int, ...]]:
        path = tuple(message.metadata.delta_path)
        if message.delta.WhichOneof("type") == "new_element":
            self._elements[path] = message.delta.new_element
        return {path}

    def _told_errors(self) -> list[str]:
        """Exceptions on the page, and errors that it tells in words."""
        exceptions = [f"{told.exception.type}: {told.exception.message}" for told in self._of("exception")]
        alerts = [told.alert.body for told in self._of("alert") if told.alert.format == Alert.ERROR]
        return exceptions + alerts

    async def _fetch(self) -> list[str]:
        """Ask for the pictures and films of the page, as a browser does."""
        urls = [image.url for element in self._of("imgs") for image in element.imgs.imgs]
        urls += [element.video.url for element in self._of("video")]
        mine = list(dict.fromkeys(url for url in urls if url.startswith("/")))
        return [error for error in await asyncio.gather(*map(self._get, mine)) if error]

    async def _get(self, url: str) -> str:
        headers = {"Range": "bytes=0-65535"} if url.endswith(".mp4") else None
        try:
            try:
                answer = await self._http.get(url, headers=headers)
            except (httpx.ReadError, httpx.RemoteProtocolError):
                # A server closes what was idle for seconds, maybe just as it is used again; browsers ask once more then.
                answer = await self._http.get(url, headers=headers)
        except httpx.HTTPError as error:
            return f"{url} cannot be fetched: {type(error).__name__} {error}"
        return "" if answer.status_code < 400 else f"{url} was answered with {answer.status_code}"
