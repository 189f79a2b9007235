"""Cards of models in words: what it was made from, what it looks at, how good it is, who made it and when."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo

from dashboards.model_queries import Model
from dashboards.wording import count_text, duration_text, moment_text, score_text
from workspace.card_parts import code_words

Lines = list[tuple[str, str]]
Card = Mapping[str, Any]


@dataclass(frozen=True)
class Section:
    """A part of a card: what it is about, and its lines, label and text."""

    title: str
    lines: tuple[tuple[str, str], ...]


KINDS: Mapping[str, tuple[str, str]] = {
    "classifier": ("Classifiers", "tell actions in short clips apart; what their classes find raises alarms"),
    "retrieval": ("Retrieval heads", "find moments like those that somebody labelled on the Review page"),
    "novelty": ("Novelty heads", "know a camera’s normal; fitted anew when its footage or verdicts change"),
    "projection": ("Projections", "make vectors shorter, so that like things lie closer together"),
    "autoencoder": ("Autoencoders", "reconstruct what is normal; what they cannot is unusual"),
}
"""What the kinds are called, and what they are for."""


def sections_of(model: Model, zone: ZoneInfo) -> list[Section]:
    """The card of a version in words; what a card does not tell is left out."""
    card = model.card
    match model.kind:
        case "classifier":
            parts = [("Made from", _clips(card)), ("Looks at", _inputs(card)), ("Learnt by", _training(card))]
        case "retrieval":
            parts = [("Made from", _labels(card)), ("Looks at", _retrieval(card)), ("Measured", _numbers(card))]
        case "novelty":
            parts = [("Made from", _reference(card)), ("Judges by", _novelty(card))]
        case "projection":
            parts = [("Made from", _clips(card)), ("Learnt by", _training(card)), ("Measured", _silhouette(card))]
        case "autoencoder":
            parts = [("Made from", _footage(card)), ("Learnt by", _training(card)), ("Measured", _errors(card))]
        case _:
            parts = []
    parts.append(("Made by", _maker(model, zone)))
    return [Section(title, tuple(lines)) for title, lines in parts if lines]


def _clips(card: Card) -> Lines:
    data: Card = card.get("data") or {}
    lines: Lines = []
    for label, name in (("folder", "folder"), ("layout", "layout"), ("camera", "camera"), ("campaign", "campaign")):
        if data.get(name):
            lines.append((label, str(data[name])))
    counts = data.get("clips") or data.get("classes")
    if isinstance(counts, Mapping):
        lines.append(("clips", ", ".join(f"{number} {name}" for name, number in counts.items())))
    sources = data.get("sources")
    if isinstance(sources, Mapping):
        lines.append(
            ("sources", ", ".join(f"{_length(names)} {part.replace('_', ' ')}" for part, names in sources.items()))
        )
    elif sources is not None:
        lines.append(("source videos", str(_length(sources))))
    left_out = data.get("left_out")
    if left_out:
        lines.append(("left out", count_text(_length(left_out), "file")))
    if data.get("content"):
        lines.append(("content", str(data["content"])))
    return lines


def _inputs(card: Card) -> Lines:
    lines: Lines = [
        (str(one.get("encoder", "")), f"{one.get('kind', '')}s, {_pooling(str(one.get('pooling', '')))}")
        for one in card.get("inputs") or ()
    ]
    if card.get("window_s"):
        stride = f", one every {card['stride_s']:g} s" if card.get("stride_s") else ""
        lines.append(("windows", f"{card['window_s']:g} s long{stride}"))
    if card.get("frame_rate_hz"):
        lines.append(("pictures", f"{card['frame_rate_hz']:g} a second"))
    if card.get("classes"):
        lines.append(("finds", ", ".join(map(str, card["classes"]))))
    if card.get("normal"):
        lines.append(("beside", f"{card['normal']} (normal)"))
    return lines


def _pooling(name: str) -> str:
    return {
        "window": "as they are",
        "mean": "their mean over a window",
        "moments": "mean, spread and change over a window",
    }.get(name, name)


def _training(card: Card) -> Lines:
    lines: Lines = [(_words(name), _value(value)) for name, value in (card.get("settings") or {}).items()]
    epochs = card.get("epochs")
    if epochs is not None:
        best = f", the best was number {card['best_epoch']}" if card.get("best_epoch") is not None else ""
        lines.append(("epochs run", f"{_length(epochs)}{best}"))
    if card.get("architecture"):
        size = "the size of the paper" if card.get("is_the_papers_size") else "smaller than the paper’s"
        lines.insert(0, ("architecture", f"{card['architecture']}, {size}"))
    if card.get("encoder"):
        lines.insert(0, ("encoder", str(card["encoder"])))
    return lines


def _labels(card: Card) -> Lines:
    labels: Card = card.get("labels") or {}
    lines: Lines = []
    if labels:
        lines.append(("slices", f"{labels.get('relevant', 0)} relevant, {labels.get('irrelevant', 0)} irrelevant"))
        lines.append(("labels said", str(labels.get("said", 0))))
        lines.append(("campaigns", ", ".join(map(str, labels.get("campaigns") or ()))))
    return lines


def _retrieval(card: Card) -> Lines:
    case: Card = card.get("use_case") or {}
    lines: Lines = [(name, str(case[name])) for name in ("camera", "region", "name") if case.get(name)]
    lines = [("looks for" if name == "name" else name, text) for name, text in lines]
    if card.get("encoder"):
        lines.append(("encoder", str(card["encoder"])))
    return lines


def _reference(card: Card) -> Lines:
    reference: Card = card.get("reference") or {}
    verdicts: Card = card.get("verdicts") or {}
    lines: Lines = [(name, str(card[name])) for name in ("camera", "region") if card.get(name)]
    if reference:
        lines.append(
            (
                "normal",
                f"{reference.get('snippets', 0):,} snippets of {count_text(int(reference.get('nights', 0)), 'night')}",
            )
        )
    if verdicts:
        lines.append(
            ("verdicts", f"{verdicts.get('confirmed', 0)} confirmed, {verdicts.get('dismissed', 0)} dismissed")
        )
    return lines


def _novelty(card: Card) -> Lines:
    if not card.get("usable", True):
        return [("usable", "no")]
    lines: Lines = [(name, str(card[name])) for name in ("detector", "projection", "space") if card.get(name)]
    if card.get("expected_alarms_per_night") is not None:
        lines.append(("alarms expected", f"{card['expected_alarms_per_night']:.1f} a night"))
    if card.get("median") is not None:
        lines.append(("median score", score_text(float(card["median"]))))
    return lines


def _footage(card: Card) -> Lines:
    footage: Card = card.get("footage") or {}
    lines: Lines = []
    if footage.get("seconds") is not None:
        lines.append(("footage", duration_text(float(footage["seconds"]))))
    if footage.get("sources") is not None:
        lines.append(("sources", str(_length(footage["sources"]))))
    for label, name in (("cuboids", "cuboids"), ("held out", "held_out_cuboids"), ("region", "region")):
        if footage.get(name) is not None:
            lines.append((label, _value(footage[name])))
    return lines


def _silhouette(card: Card) -> Lines:
    lines: Lines = []
    for alike, told in ((card.get("metrics") or {}).get("silhouette") or {}).items():
        known = [f"{name} {value:.3f}" for name, value in told.items() if value is not None]
        if known:
            lines.append((f"silhouette by {alike}", ", ".join(known)))
    return lines


def _errors(card: Card) -> Lines:
    scores: Card = card.get("held_out_scores") or {}
    return [(f"error, quantile {at}", score_text(float(value))) for at, value in scores.items()]


def _numbers(card: Card) -> Lines:
    """The metrics of a card that are single numbers."""
    metrics: Card = card.get("metrics") or {}
    return [(_words(name), _value(value)) for name, value in metrics.items() if isinstance(value, (int, float, str))]


def _maker(model: Model, zone: ZoneInfo) -> Lines:
    card = model.card
    lines: Lines = [("when", moment_text(model.made_at, zone))]
    if card.get("author"):
        lines.insert(0, ("who", str(card["author"])))
    for label, version in (("Afterwatch", code_words(card)), ("torch", str(card.get("torch") or ""))):
        if version:
            lines.append((label, version))
    if card.get("seeds") is not None:
        lines.append(("seeds", _value(card["seeds"])))
    if card.get("remark"):
        lines.append(("remark", str(card["remark"])))
    return lines


def _words(name: str) -> str:
    return name.replace("_", " ")


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4g}"
    if value is None:
        return "–"
    if isinstance(value, Mapping):
        return ", ".join(f"{_words(str(key))} {_value(one)}" for key, one in value.items())
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ", ".join(_value(one) for one in value) or "–"
    return str(value)


def _length(told: Any) -> int:
    return told if isinstance(told, int) else len(told)
