"""What a version would change: the flip report between two versions, as the Models page makes it, shows it and has it signed."""

from collections.abc import Sequence

import pandas as pd
import streamlit as st

from dashboards import jobs
from dashboards.app_pages.address import chosen
from dashboards.app_pages.background_job import JobWords, show_job
from dashboards.app_pages.models_flip_events import show_events
from dashboards.app_pages.review_parts import NO_AUTHOR, attempt
from dashboards.app_pages.shared import Workspace, facts, may, opened, session_actor, workspace
from dashboards.flip_queries import FoundReport, campaigns_of, compare_command, reports_of
from dashboards.model_queries import Model
from dashboards.wording import moment_text, plain_text
from infra.access import Action
from workspace.flip_signing import COMPARED, sign, signature_of
from workspace.flips import FlipReport, difference_words, judged_words, p_text
from workspace.opened import Workspace as Opened
from workspace.serving import model_named

PAGE = "models"
WORDS = JobWords("comparison", "Comparing {}", "{} was compared")
SIGN: Action = "sign flip reports"
START: Action = "compare models"
HINT = (
    "Both versions are applied to a campaign by the rules of the night, and their events are matched one to one. Nothing that "
    "counts changes. Heads and classifiers are applied to what is embedded; with a version of an autoencoder the footage is "
    "decoded and embedded apart first, which takes as long as in a night."
)
COUNTS = {
    "gained": "Events that only the candidate finds",
    "lost": "Events that only the version in service finds",
    "moved": "Events of both that overlap by less than half of what they cover together",
    "kept": "Events of both",
}


def show_flips(model: Model) -> None:
    """Reports of the model's name: pick two versions and a campaign, make a report in the background, read it, sign it.

    Nothing is shown of a kind whose versions cannot be compared before they serve, nor of a name with one version.
    """
    shown = workspace()
    work = opened(shown)
    campaigns = campaigns_of(work)
    named = model_named(work, model.name, model.kind) if model.kind in COMPARED else None
    if named is None or len(named.versions) < 2 or not campaigns:
        return
    found, problems = reports_of(work, model.kind, model.name)
    with st.container(border=True):
        st.markdown("#### What an update changes", help=HINT)
        with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
            current, candidate = _two(named.versions, named.serving, model.version)
            campaign = chosen(PAGE, "Campaign", campaigns, "campaign", forget=())
            about = f"{model.name} {current[:12]} → {candidate[:12]} over {campaign}"
            st.button(
                "Compare",
                icon=":material/compare_arrows:",
                key="models_compare",
                on_click=_compare,
                args=(shown, about, model, current, candidate, campaign),
                disabled=current == candidate or not may(START),
                help="Choose two versions" if current == candidate else "Makes the report again where there is one",
            )
        show_job(shown, WORDS, about)
        for problem in problems:
            st.warning(plain_text(problem), icon=":material/report:")
        wanted = (current, candidate, campaign)
        mine = [one for one in found if (one.report.current, one.report.candidate, one.report.campaign) == wanted]
        if mine:
            _show(shown, work, mine[0])
        elif current != candidate:
            st.caption("No report of these two versions over this campaign yet.")


def _two(versions: Sequence[str], serving: str | None, version: str) -> tuple[str, str]:
    """Which two versions are compared: as a rule the one in service, and the one that is looked at."""
    newest = list(reversed(versions))
    told = {one: f"{one[:12]}{', in service' if one == serving else ''}" for one in versions}
    first = serving or next(one for one in newest if one != version)
    currents = [first, *(one for one in newest if one != first)]
    current = chosen(PAGE, "From", currents, "from", told=told, forget=(), width=230)
    second = version if version != current else next(one for one in newest if one != current)
    candidates = [second, *(one for one in newest if one not in (second, current))]
    return current, chosen(PAGE, "To", candidates, "to", told=told, forget=(), width=230)


def _compare(shown: Workspace, about: str, model: Model, current: str, candidate: str, campaign: str) -> None:
    with attempt("Not compared"):
        command = compare_command(shown.site, model.kind, model.name, current, candidate, campaign)
        jobs.start_job(jobs.jobs_folder(shown.site), WORDS.name, about, command, shown.guard)


def _show(shown: Workspace, work: Opened, found: FoundReport) -> None:
    report = found.report
    facts(
        *((name.capitalize(), f"{report.total(name):,}", hint) for name, hint in COUNTS.items()),
        ("p", p_text(report.difference.p), f"Of as large a difference of counts by chance. {difference_words(report)}"),
    )
    for words in (difference_words(report), judged_words(report)):
        st.markdown(plain_text(f"{words[0].upper()}{words[1:]}."))
    _signature(shown, work, found)
    if report.remarks:
        st.warning("\n".join(f"- {plain_text(remark)}" for remark in report.remarks), icon=":material/info:")
    if len(report.cameras) > 1:
        st.dataframe(_by_camera(report), hide_index=True, width="stretch")
    show_events(shown, work, found.report_id, report)
    with st.expander("How they were compared", icon=":material/rule:"):
        st.markdown("\n".join(f"- {plain_text(line)}" for line in report.applied))
        st.caption(f"Report `{found.report_id}`, made {moment_text(found.made_at, shown.zone)}.")


def _by_camera(report: FlipReport) -> pd.DataFrame:
    return pd.DataFrame(
        [
            {
                "camera": one.camera,
                "days": one.days,
                "in service": one.current,
                "candidate": one.candidate,
                **{name: getattr(one, name) for name in COUNTS},
            }
            for one in report.cameras
        ]
    )


def _signature(shown: Workspace, work: Opened, found: FoundReport) -> None:
    """Who signed the report; where nobody did, the button that does."""
    signed = signature_of(work, found.report_id)
    if signed is not None:
        st.success(
            f"Signed by {plain_text(signed.author)}, {moment_text(signed.said_at, shown.zone)}: the candidate may be put into "
            "service in place of the other.",
            icon=":material/verified:",
        )
        return
    who = session_actor().name
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.button(
            "I have read it: sign",
            icon=":material/draw:",
            key="models_sign",
            on_click=_sign,
            args=(work, found.report_id, who),
            disabled=not who or not may(SIGN),
            help=NO_AUTHOR if not who else "Before the candidate is put into service, somebody reads what it changes",
        )
        st.caption("Nobody has signed it yet; a promotion asks for that.", width="content")


def _sign(work: Opened, report_id: str, who: str) -> None:
    with attempt("Not signed"):
        sign(work, report_id, who)
        st.toast("Signed", icon=":material/verified:")
