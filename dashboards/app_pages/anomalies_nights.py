"""Recent nights of a camera as the Thresholds view holds them against a line: read once, drawn at every move of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime

import numpy as np
import pandas as pd
import streamlit as st

from dashboards.anomaly_charts import NightsData, highest_of_bins
from dashboards.anomaly_queries import night_scores, ranked_events, standards
from dashboards.app_pages.shared import Workspace, settings_changed_ns
from dashboards.snapshot import records
from dashboards.wording import clock_text
from models.events import ScoredSpans
from workspace.anomalies import (
    BUDGET,
    NightOutcome,
    ScoredNight,
    Standard,
    budget_threshold,
    event_rule,
    outcomes,
)
from workspace.opened import Workspace as Opened
from workspace.verdicts import verdicts_now

NIGHTS = 14
BINS = 300
"""Points of a night's curve; of more, the highest of each bin stands for it."""
FRESH_S = 30
"""Seconds for which scores once read are believed; a night may be writing."""

Outcomes = Sequence[NightOutcome]


@dataclass(frozen=True, eq=False)
class RegionNights:
    """The newest nights of a camera, and the region of it whose line is moved.

    Attributes:
        shown, work: the workspace.
        campaign, camera, region: what it is about.
        nights: scored nights of all regions of the camera; those of the region are at least one.
        versions: by day, the version of the region's head.
    """

    shown: Workspace
    work: Opened
    campaign: str
    camera: str
    region: str
    nights: Sequence[ScoredNight]
    versions: Mapping[date, str]

    @property
    def head(self) -> str:
        return self.shown.site.settings.novelty.name

    @property
    def mine(self) -> list[ScoredNight]:
        """The region's nights, in order of day."""
        return [night for night in self.nights if night.region == self.region]

    @property
    def line_now(self) -> float:
        """Where the newest night's line is, in deviations."""
        standard = self.mine[-1].standard
        return standard.deviations(standard.rule.threshold)

    def at(self, deviations: float | None) -> list[NightOutcome]:
        """What the camera raises with the region's line put there; None: as the nights were judged."""
        others = [night for night in self.nights if night.region != self.region]
        mine = self.mine if deviations is None else [night.at(deviations) for night in self.mine]
        return outcomes([*others, *mine], self.shown.site.settings.novelty.alarms_per_night)

    def is_at(self, deviations: float) -> bool:
        """Whether every night was judged with that very line."""
        lines = (night.standard.deviations(night.standard.rule.threshold) for night in self.mine)
        return all(abs(line - deviations) <= 0.005 for line in lines)


def read_nights(shown: Workspace, work: Opened, campaign: str, camera: str, region: str) -> RegionNights | None:
    """The newest nights of a camera; None where the region's nights kept nothing to hold their scores against."""
    head, root = shown.site.settings.novelty.name, str(work.site.root)
    held = standards(shown.lake, head, campaign, camera, NIGHTS)
    # Without a line there is nothing to move, and without a spread no scale to move it on.
    known = np.isfinite(held["threshold"]) & ((held["spread"] > 0) | (held["region"] != region))
    held = held[known]
    told = tuple((row.day, row.region, row.version, row.threshold, row.source) for row in records(held))
    nights = _read_nights(shown, held, root, settings_changed_ns(root), campaign, camera, told)
    versions = {row.day: str(row.version) for row in records(held) if row.region == region}
    found = RegionNights(shown, work, campaign, camera, region, nights, versions)
    return found if found.mine else None


@st.cache_resource(max_entries=4, ttl=FRESH_S, show_spinner="Reading the scores…")
def _read_nights(
    _shown: Workspace,
    _held: pd.DataFrame,
    root: str,  # noqa: ARG001 — the cache's key, as the next
    changed_ns: int,  # noqa: ARG001
    campaign: str,
    camera: str,
    told: tuple[tuple[date, str, str, float, str], ...],  # noqa: ARG001
) -> list[ScoredNight]:
    settings = _shown.site.settings.novelty
    scores = night_scores(_shown.lake, settings.name, campaign, camera, sorted(set(_held["day"])))
    grouped = dict(iter(scores.groupby(["day", "region", "version"])))
    nights = []
    for row in records(_held):
        mine = grouped.get((row.day, row.region, row.version))
        if mine is None:
            continue  # a camera's day without a snippet
        rule = event_rule(settings, row.threshold, row.hysteresis)
        from_us, to_us = (mine[name].to_numpy(dtype=np.int64) for name in ("from_us", "to_us"))
        spans = ScoredSpans(from_us, to_us, mine["score"].to_numpy())
        standard = Standard(rule, row.median, row.spread, row.source)
        nights.append(ScoredNight.of(row.day, row.region, standard, spans))
    return nights


def still_above(data: RegionNights, after: Outcomes) -> tuple[str, str]:
    """How many of the region's confirmed events a line still finds, and how many of the dismissed ones."""
    verdicts, days = verdicts_now(data.work, data.camera), {night.day for night in after}
    counted = {True: [0, 0], False: [0, 0]}
    for one in ranked_events(data.shown.lake, data.head, data.campaign):
        if (one.camera, one.region) != (data.camera, data.region) or one.day not in days:
            continue
        verdict = verdicts.of(one.event)
        if verdict is not None:
            from_us, to_us = (round(moment.timestamp() * 1e6) for moment in (one.event.started_at, one.event.ended_at))
            counted[verdict.confirmed][0] += any(night.raises(data.region, from_us, to_us) for night in after)
            counted[verdict.confirmed][1] += 1
    confirmed, dismissed = (f"{found} of {every}" if every else "–" for found, every in counted.values())
    return confirmed, dismissed


def drawn_nights(data: RegionNights, before: Outcomes, after: Outcomes, line: float | None) -> NightsData:
    """The region's nights as the chart shows them; `line` where one is tried or was put."""
    was = {night.day: night.alarms for night in before}
    will = {night.day: night for night in after}
    labels, curves, found, budget = [], [], [], []
    for number, night in enumerate(data.mine):
        before_alarms, after_alarms = was[night.day], will[night.day].alarms
        day = f"{night.day:%a} {night.day.day} {night.day:%b}"
        labels.append(
            f"{day}: {before_alarms} → {after_alarms}" if before_alarms != after_alarms else f"{day}: {before_alarms}"
        )
        middles = (night.series.from_us + night.series.to_us) // 2
        first, span = int(middles[0]), max(1, int(middles[-1] - middles[0]))
        pieces, heights = np.cumsum(night.series.opens), night.deviations
        for place in highest_of_bins(heights, BINS):
            middle = int(middles[place])
            when = _clock(data.shown, middle)
            curves.append((number, f"{number}.{pieces[place]}", (middle - first) / span, when, float(heights[place])))
        for one in will[night.day].events:
            if one.region == data.region:
                peak_us, kind = one.event.peak_us, "alarm" if one.alarm else "event"
                found.append((number, (peak_us - first) / span, _clock(data.shown, peak_us), one.excess, kind))
        budget += _budget_mark(data, number, night)
    return NightsData(
        tuple(labels),
        pd.DataFrame(curves, columns=["night", "piece", "at", "when", "deviations"]),
        pd.DataFrame(found, columns=["night", "at", "when", "deviations", "kind"]),
        pd.DataFrame(budget, columns=["night", "deviations", "told"]),
        line,
    )


def _budget_mark(data: RegionNights, number: int, night: ScoredNight) -> list[tuple[int, float, str]]:
    """Where the budget puts the night's line; none where another line was used and no head tells."""
    standard = night.standard
    score = (
        standard.rule.threshold
        if standard.source == BUDGET
        else budget_threshold(data.work.registry, data.camera, data.versions[night.day])
    )
    if score is None:
        return []
    line = standard.deviations(score)
    return [(number, line, f"the budget’s line: {line:.1f}")]


def _clock(shown: Workspace, moment_us: int) -> str:
    return clock_text(datetime.fromtimestamp(moment_us / 1e6, UTC), shown.zone)
