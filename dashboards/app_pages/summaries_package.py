"""The package: ticked segments of any camera and day, cut from their recordings without re-encoding, as one file to take away."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from secrets import token_hex

import streamlit as st

from dashboards.app_pages.shared import Workspace, may
from dashboards.app_pages.summaries_cards import Ticked, ticked, untick_all
from dashboards.wording import clock_text, count_text, plain_text
from infra.errors import AfterwatchError
from infra.site import Site
from workspace.opened import Workspace as Opened
from workspace.summary_package import package_entry, write_package

MADE, PROBLEM = "summaries_package", "summaries_package_problem"
LISTED = 12
KEPT = 5
"""Packages that are kept to be downloaded; the oldest go first. They are made again when asked for."""


@dataclass(frozen=True)
class Made:
    """A package that was made: of what, and where it lies."""

    names: tuple[object, ...]
    path: Path
    told: str


def show_package(shown: Workspace, work: Opened) -> None:
    """What is ticked, and its package."""
    picked = ticked()
    st.markdown(
        f"### Package :small[:gray[{count_text(len(picked), 'segment')} ticked]]",
        help="A zip with, for each ticked segment, an untouched cut of its recording and its key frame; a manifest of "
        "recordings, times and scores; and checksums that sha256sum -c checks.",
    )
    problem = st.session_state.pop(PROBLEM, "")
    if problem:
        st.error(problem, icon=":material/error:")
    if not picked:
        st.caption("Tick segments above, of any camera and day, to take them away as they were recorded.")
        return
    _listed(shown, picked)
    names = tuple(one.name for one in picked)
    made: Made | None = st.session_state.get(MADE)
    there = made is not None and made.names == names and made.path.is_file()
    with st.container(horizontal=True, gap="small", vertical_alignment="center"):
        make = st.button(
            "Make the package",
            icon=":material/inventory_2:",
            key="summaries_make",
            type="secondary" if there else "primary",
            help="Cuts the clips from the recordings without decoding them",
            disabled=not may("take footage and results away"),
        )
        st.button("Untick all", icon=":material/check_box_outline_blank:", key="summaries_untick", on_click=untick_all)
        if there and made is not None:
            st.download_button(
                f"Download {made.told}",
                # Read when it is downloaded: a page is drawn anew with every tick.
                data=made.path.read_bytes,
                file_name=f"{made.path.name.split('-', 1)[1]}",
                mime="application/zip",
                icon=":material/download:",
                key="summaries_download",
                type="primary",
                on_click="ignore",
            )
    if make:
        _make(shown, work, picked, names)
        st.rerun()


def _listed(shown: Workspace, picked: Sequence[Ticked]) -> None:
    words = [
        f"{plain_text(one.place.camera)} {one.place.day.isoformat()} {clock_text(one.segment.taken_at, shown.zone)}"
        for one in picked[:LISTED]
    ]
    more = f" and {len(picked) - LISTED} more" if len(picked) > LISTED else ""
    st.caption(" · ".join(words) + more)


def _make(shown: Workspace, work: Opened, picked: Sequence[Ticked], names: tuple[object, ...]) -> None:
    folder = packages_folder(shown.site)
    folder.mkdir(parents=True, exist_ok=True)
    first = picked[0].place
    target = folder / f"{token_hex(4)}-{first.campaign}-{first.day.isoformat()}-{len(picked)}.zip"
    entries = [package_entry(one.place, one.segment.told, weights=one.label, versions=one.versions) for one in picked]
    bar = st.progress(0.0, "Cutting…")

    def told(done: int, of: int) -> None:
        bar.progress(done / of)

    try:
        write_package(work, entries, target, progress=told)
    except AfterwatchError as error:
        st.session_state[PROBLEM] = f"Not made: {error}"
        return
    st.session_state[MADE] = Made(names, target, f"{target.stat().st_size / 1e6:,.1f} MB")
    _forget_oldest(folder)


def packages_folder(site: Site) -> Path:
    """Where a site's packages lie until they are downloaded."""
    return site.state_folder / "packages"


def _forget_oldest(folder: Path) -> None:
    found = []
    for path in folder.glob("*.zip"):
        with suppress(FileNotFoundError):  # another session tidies up too
            found.append((path.stat().st_mtime_ns, path))
    for _, path in sorted(found)[:-KEPT]:
        path.unlink(missing_ok=True)
