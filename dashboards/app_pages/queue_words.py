"""The Queue page in words: what is asked, why, what an answer does, and when the next ones come."""

import re
from collections.abc import Sequence
from html import escape

from dashboards.wording import count_text, plain_text, score_text
from infra.settings import Settings
from workspace.queue_items import Answered, HeadCount, Kind, QueueItem

SPREADS = 3.0
"""Distance from the threshold, in the head's usual spread, at which the bar ends."""
REASONS = {
    "uncertain": ":material/balance: **In doubt.** Its score is near the threshold, where an answer teaches most.",
    "diverse": ":material/explore: **New ground.** It is unlike all that was judged for this head in the newest days.",
}
WORDS = {"relevant": "yes", "irrelevant": "no", "skipped": "skipped"}
BADGES = {"relevant": ":orange-badge[yes]", "irrelevant": ":blue-badge[no]", "skipped": ":gray-badge[skipped]"}
SCORES = {"novelty": "Score", "alarm": "Probability", "retrieval": "Margin"}
UNITS = {"novelty": "usual spreads", "alarm": "logits", "retrieval": "usual spreads"}
REFIT_KINDS = {"alarm": "classifier", "retrieval": "retrieval"}
DAYS = ("Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_PLAIN_CRON = re.compile(r"(\d{1,2}) (\d{1,2}) \* \* (\*|[0-7])")


def question(item: QueueItem) -> str:
    """What is asked of a snippet, as Markdown."""
    return "Is this unusual for this camera?" if item.kind == "novelty" else f"Is this *{plain_text(item.head)}*?"


def where_text(item: QueueItem) -> str:
    """Camera and region of a snippet; the whole picture is not named."""
    return item.camera if item.region == "frame" else f"{item.camera} · {item.region}"


def sides(item: QueueItem) -> tuple[str, str]:
    """What the head says of a score below its threshold, and of one above."""
    return ("usual", "unusual") if item.kind == "novelty" else (f"not {item.head}", item.head)


def doubt_bar(item: QueueItem) -> str:
    """The score beside the threshold, as HTML; empty where there is no threshold.

    The threshold is the middle; the bar reaches `SPREADS` of the head's usual spread to each side.
    """
    if item.distance is None or item.threshold is None:
        return ""
    at = 50 + 50 * min(max(item.distance / SPREADS, -1.0), 1.0)
    below, above = (escape(side) for side in sides(item))
    track = "position:absolute;top:5px;height:10px;width:50%;opacity:.55"
    return (
        '<div role="img" aria-label="' + escape(distance_text(item)) + '" style="max-width:26rem;font-size:.85rem">'
        '<div style="position:relative;height:20px">'
        f'<div style="{track};left:0;border-radius:5px 0 0 5px;background:#56B4E9"></div>'
        f'<div style="{track};left:50%;border-radius:0 5px 5px 0;background:#E69F00"></div>'
        '<div style="position:absolute;top:0;left:calc(50% - 1px);width:2px;height:20px;background:currentColor"></div>'
        f'<div style="position:absolute;top:2px;left:calc({at:.1f}% - 8px);width:16px;height:16px;border-radius:8px;'
        'box-sizing:border-box;border:3px solid currentColor;background:#8A929C"></div>'
        "</div>"
        '<div style="display:grid;grid-template-columns:1fr auto 1fr;gap:.5rem;opacity:.8"><span>'
        f'{below}</span><span>threshold</span><span style="text-align:right">{above}</span></div></div>'
    )


def distance_text(item: QueueItem) -> str:
    """The score against the threshold in words: `Probability 0.48, 0.1 logits below the threshold 0.50`."""
    told = f"{SCORES[item.kind]} {_number(item.kind, item.score)}"
    if item.threshold is None or item.distance is None:
        return f"{told}; the head has no threshold yet"
    side = "below" if item.distance < 0 else "above"
    return (
        f"{told}, {abs(item.distance):.1f} {UNITS[item.kind]} {side} the threshold {_number(item.kind, item.threshold)}"
    )


def _number(kind: Kind, value: float) -> str:
    return score_text(value) if kind == "novelty" else f"{value:.2f}"


def counts_text(counts: Sequence[HeadCount]) -> str:
    """How far each head has come: `fight 2 of 6 · novelty 1 of 8`, as Markdown."""
    return " &nbsp;·&nbsp; ".join(f"{plain_text(one.head)} **{one.done}** of {one.asked}" for one in counts)


def done_text(counts: Sequence[HeadCount]) -> str:
    """`7 of 20 done: 3 yes, 2 no, 2 skipped`."""
    asked, done = sum(one.asked for one in counts), sum(one.done for one in counts)
    parts = [
        f"{sum(getattr(one, word) for one in counts)} {WORDS[word]}" for word in ("relevant", "irrelevant", "skipped")
    ]
    return f"{done} of {asked} done" + (f": {', '.join(parts)}" if done else "")


def answered_text(answered: Answered) -> str:
    """What stands of a snippet, as Markdown: `yes by ada`."""
    return f"{BADGES[answered.word]} by {plain_text(answered.author)}"


def learning_text(counts: Sequence[HeadCount], settings: Settings, refit_command: str) -> str:
    """What the answers will do, a line for each head, as Markdown.

    Args:
        counts: of the heads that were answered about.
        settings: of the site.
        refit_command: the command that trains anew at once.
    """
    classifiers = {alarm.name: alarm.classifier for alarm in settings.alarms}
    lines = []
    for one in counts:
        said = f"**{plain_text(one.head)}**, {count_text(one.relevant + one.irrelevant, 'answer')}"
        if one.kind == "novelty":
            lines.append(
                f"{said}: from the next fit on, what is unusual is left out of the camera’s normal, and the rest belongs to it"
            )
        elif REFIT_KINDS[one.kind] not in settings.refit.kinds:
            lines.append(f"{said}: kept; `kinds` of `[refit]` leaves its kind out, so no model is trained with them")
        elif one.kind == "alarm":
            name = plain_text(classifiers.get(one.head, one.head))
            lines.append(f"{said}: the next refit trains a candidate of classifier *{name}* with them")
        else:
            lines.append(f"{said}: the next refit trains a candidate of its head with them")
    told = "\n".join(f"- {line}" for line in lines)
    if any("the next refit" in line for line in lines):
        when = f"runs {cron_text(settings.refit.cron)}" if settings.refit.cron else "runs by hand"
        told += (
            f"\n\nThe refit {when} (`{refit_command}`), and takes up a head with "
            f"{count_text(settings.refit.least_new_labels, 'new label')} or more. A candidate serves once somebody promotes it "
            "on the *Models* page."
        )
    return told


def next_text(settings: Settings) -> str:
    """When the next night asks, as a sentence."""
    when, zone = cron_text(settings.schedule.cron), settings.site.time_zone
    return f"The next night asks anew ({when}, {zone}, where the schedule is served)."


def cron_text(cron: str) -> str:
    """`every day at 01:00`, `every Sunday at 12:00`; any other rule as it is written."""
    plain = _PLAIN_CRON.fullmatch(cron.strip())
    if plain is None:
        return f"at “{cron}”"
    minute, hour, day = plain.groups()
    return f"every {'day' if day == '*' else DAYS[int(day)]} at {int(hour):02d}:{int(minute):02d}"
