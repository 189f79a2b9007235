"""Classifiers trained anew on the windows of their clips and on what people said of their alarms, and held against the one in
service. The folder of the clips is not needed: a classifier keeps the windows that it was trained on."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from infra.errors import LakeError
from lake.keys import short_hash
from lake.labels import Label
from models.arrays import Arrays
from models.drift import score_drift
from models.heads.classifier import ClassifierHead, ClassifierSettings
from models.heads.classifier_samples import ClassifierSamples
from models.sweep import Criterion
from workspace.classifier_fitting import WINDOWS, fit_samples, keep_classifier
from workspace.classifiers import KIND, FoundClassifier, find_classifier, load_head, threshold_of
from workspace.clip_vectors import Inputs
from workspace.comparisons import Comparison, HeldOut, MetricPair, compare_scores
from workspace.known_recordings import KnownRecordings
from workspace.labelled_windows import CONTENT, LabelledSpan, LakeWindows, labelled_spans, targets_of
from workspace.opened import Workspace
from workspace.refitting import (
    NOT_MEASURABLE,
    Division,
    NotDueError,
    Progress,
    Refitted,
    Subject,
    chosen_by_scores,
    compared_anew,
    divide_labels,
    known_versions,
    refitted,
    waiting_candidate,
)
from workspace.segment_scores import fold_part
from workspace.serving import versions_in_service

AUTHOR = "refit"
LEAST_PROBABILITY = 1e-6
"""Probabilities are compared as logits, from here to as far below 1."""


def subjects(workspace: Workspace) -> list[Subject]:
    """The classifiers in service, in order of name, with the cameras that their alarms are switched on for."""
    found = []
    for name, version in sorted(versions_in_service(workspace, KIND).items()):
        mine = [alarm for alarm in workspace.settings.alarms if alarm.classifier_version[0] == name]
        named = [() if alarm.cameras == "all" else alarm.cameras for alarm in mine]
        everywhere = any(alarm.cameras == "all" for alarm in mine)
        cameras = None if everywhere else tuple(sorted({camera for some in named for camera in some}))
        found.append(Subject(KIND, name, version, cameras))
    return found


@dataclass(frozen=True, eq=False)
class _Spans:
    """Labelled spans of the lake in windows; those without any are left out.

    Attributes:
        spans: in order of place and time.
        windows: float32 (m, D) of each.
        targets: bool (S, K).
    """

    spans: tuple[LabelledSpan, ...]
    windows: tuple[NDArray[np.float32], ...]
    targets: NDArray[np.bool_]

    def of(self, labels: Sequence[Label]) -> "_Spans":
        """Those of some labels."""
        wanted = set(labels)
        at = [number for number, span in enumerate(self.spans) if span.label in wanted]
        return _Spans(
            tuple(self.spans[one] for one in at),
            tuple(self.windows[one] for one in at),
            self.targets[np.array(at, int)],
        )


def refit(workspace: Workspace, subject: Subject, progress: Progress) -> Refitted:
    """Train a candidate in place of a classifier in service.

    Raises:
        NotDueError: it is left as it is.
        ConfigurationError: what it is to learn from does not do (see `fit_samples`).
        LakeError: its card or arrays are damaged.
    """
    found = find_classifier(workspace, subject.name, subject.version)
    _, arrays = workspace.registry.load(KIND, subject.name, subject.version)
    base, settings, folds, criterion = _kept(found, arrays)
    spans = labelled_spans(workspace, subject.name, found.classes)
    learnt = {content: number for number, content in enumerate(base.contents)}
    whose = {span.label: span for span in spans}

    def knows(label: Label) -> bool:
        span = whose[label]
        row = learnt.get(span.content)
        return row is not None and bool(base.targets[row, found.classes.index(span.class_name)]) == label.relevant

    table = workspace.settings.refit
    division = divide_labels(
        [span.label for span in spans],
        knows,
        KnownRecordings(workspace.ledger),
        table.held_out,
        table.least_new_labels,
    )
    key = short_hash(
        [
            subject.version,
            asdict(settings),
            [[whose[one].content, one.relevant] for one in division.training],
            [[whose[one].content, one.relevant] for one in division.held_out],
        ]
    )
    waiting = waiting_candidate(workspace, subject, key)
    if waiting is not None:
        return waiting
    windows = LakeWindows(workspace, Inputs.from_card(found.card))
    embedded = _embedded(windows, spans, found.classes)
    clips = base.of(np.flatnonzero([not one.startswith(CONTENT) for one in base.contents]).astype(np.int64))
    learning = embedded.of(division.training)
    samples = _joined(clips, learning)
    told = {
        **{name: found.card[name] for name in ("inputs", "window_s", "stride_s", "frame_rate_hz", "normal")},
        "data": _data_told(found.card, samples, learning),
        "refit": {"from": subject.version, "key": key, "new_labels": len(division.new)},
    }
    card, made, seconds = fit_samples(samples, settings, told, folds=folds, criterion=criterion, progress=progress)
    heads = load_head(workspace, found), ClassifierHead.from_arrays(_head_of(made))
    held = embedded.of(division.held_out)
    card["comparison"] = _compared(workspace, found, card, heads, held, division).to_card()
    card["drift"] = _drifted(windows, spans, division, arrays, base, heads[0])
    known = known_versions(workspace, subject)
    fitted = keep_classifier(workspace, subject.name, card, made, AUTHOR, seconds)
    if fitted.version == subject.version:
        raise NotDueError("what is new to it changes nothing: trained again it is the same classifier")
    if fitted.version in known:
        about = {name: card[name] for name in ("refit", "comparison", "drift")}
        return compared_anew(workspace, subject, fitted.version, about)
    return refitted(subject, "candidate", fitted.version, fitted.card)


def _kept(found: FoundClassifier, arrays: Arrays) -> tuple[ClassifierSamples, ClassifierSettings, int, Criterion]:
    """The windows that a classifier was trained on, how, folds of its cross-validation, and what its threshold is chosen by.

    Raises:
        NotDueError: its version does not keep them.
        LakeError: they are damaged.
    """
    card = found.card
    if fold_part(card) is not None:
        raise NotDueError(
            'it tells segments of annotated videos apart; fit it again with "afterwatch fit segments --data"'
        )
    if WINDOWS not in arrays or "clip_sources" not in card:
        raise NotDueError(
            "this version does not keep the windows that it was trained on; fit it again with "
            f'"afterwatch fit classifier --name {found.name} --data" on its folder of clips, and later ones do'
        )
    try:
        samples = ClassifierSamples(
            found.classes,
            arrays[WINDOWS].astype(np.float32),
            arrays["fold.clip"].astype(np.int64),
            arrays["fold.truth"].astype(np.bool_),
            tuple(card["clip_sources"]),
            tuple(card["contents"]),
            tuple(card["clips"]),
        )
        told = card["settings"]
        settings = ClassifierSettings(**{**told, "hidden": tuple(told["hidden"])})
        criterion = Criterion.parse(str(card["thresholds"][found.classes[0]]["criterion"]))
        return samples, settings, int(card["folds"]["count"]), criterion
    except (KeyError, ValueError, TypeError) as error:
        raise LakeError(f"what it keeps of its training is damaged ({error!r}); fit it again") from None


def _embedded(windows: LakeWindows, spans: Sequence[LabelledSpan], classes: Sequence[str]) -> _Spans:
    """Spans with the windows that the lake has of them."""
    found = [windows.of_span(span) for span in spans]
    at = [number for number, one in enumerate(found) if len(one)]
    return _Spans(
        tuple(spans[one] for one in at),
        tuple(found[one] for one in at),
        targets_of(spans, classes)[np.array(at, dtype=np.int64)],
    )


def _joined(clips: ClassifierSamples, spans: _Spans) -> ClassifierSamples:
    """Clips, and spans after them; all spans of a recording are of one source."""
    if not spans.spans:
        raise NotDueError(
            "nothing that is new to it is embedded as it looks at pictures; name its encoders among [[encoders]], and run "
            '"afterwatch backfill"'
        )
    width = spans.windows[0].shape[1]
    if width != clips.vectors.shape[1]:
        raise NotDueError(
            f"its windows have {clips.vectors.shape[1]} values, and those of the lake {width}; fit it again on the encoders "
            "as they are"
        )
    numbers = np.repeat(np.arange(len(spans.spans)), [len(one) for one in spans.windows]) + len(clips)
    return ClassifierSamples(
        clips.classes,
        np.concatenate([clips.vectors, *spans.windows]),
        np.concatenate([clips.clip, numbers]),
        np.concatenate([clips.targets, spans.targets]),
        (*clips.sources, *(f"{CONTENT}{span.recording.recording_id}" for span in spans.spans)),
        (*clips.contents, *(span.content for span in spans.spans)),
        (*clips.names, *(span.name for span in spans.spans)),
    )


def _data_told(card: Mapping[str, Any], samples: ClassifierSamples, spans: _Spans) -> dict[str, Any]:
    confirmed = sum(span.label.relevant for span in spans.spans)
    return {
        **card["data"],
        "sources": len(set(samples.sources)),
        "windows": len(samples.vectors),
        "labels": {"confirmed": confirmed, "dismissed": len(spans.spans) - confirmed},
        "content": short_hash(
            sorted([content, *shown] for content, shown in zip(samples.contents, samples.targets.tolist(), strict=True))
        ),
    }


def _head_of(arrays: Arrays) -> Arrays:
    return {name.removeprefix("head."): value for name, value in arrays.items() if name.startswith("head.")}


def _compared(
    workspace: Workspace,
    current: FoundClassifier,
    candidate: Mapping[str, Any],
    heads: tuple[ClassifierHead, ClassifierHead],
    held: _Spans,
    division: Division,
) -> Comparison:
    """Both heads on the spans held out, class by class, on what was said of that class; a span scores the mean of its windows."""
    left_out = frozenset(division.recordings.values())
    if not held.spans:
        return Comparison(current.version, None, (), division.remark or NOT_MEASURABLE, left_out)
    names = sorted({span.recording.recording_id for span in held.spans})
    recordings = np.array([names.index(span.recording.recording_id) for span in held.spans], np.int64)
    scores = [_span_scores(head, held) for head in heads]
    metrics: list[MetricPair] = []
    above: dict[str, tuple[float, float]] = {}
    for column, class_name in enumerate(current.classes):
        mine = np.array([span.class_name == class_name for span in held.spans])
        if not mine.any():
            continue
        thresholds = thresholds_of(workspace, current, candidate, class_name)
        numbers = np.unique(recordings[mine], return_inverse=True)[1].reshape(-1).astype(np.int64)
        metrics += compare_scores(
            held.targets[mine, column],
            (scores[0][mine, column], scores[1][mine, column]),
            thresholds,
            numbers,
            of=class_name if len(current.classes) > 1 else "",
        )
        above[class_name if len(current.classes) > 1 else ""] = thresholds
    paths = {span.recording.path: span.recording.recording_id for span in held.spans}
    positives = sum(span.label.relevant for span in held.spans)
    one_kind = positives in (0, len(held.spans))
    remark = "all held-out labels are of one kind, so neither AUC nor a fair choice can be told" if one_kind else ""
    chosen = chosen_by_scores(
        workspace, {span.label for span in held.spans}, {span.label.use_case.name for span in held.spans}
    )
    count = sum(span.label in chosen for span in held.spans)
    held_out = HeldOut(paths, len(held.spans), positives, count)
    return Comparison(current.version, held_out, tuple(metrics), remark, left_out, above)


def thresholds_of(
    workspace: Workspace, current: FoundClassifier, candidate: Mapping[str, Any], class_name: str
) -> tuple[float, float]:
    """What the night holds the class of either against: that of its alarm where settings name one, whatever the version."""
    alarms = [
        alarm
        for alarm in workspace.settings.alarms
        if alarm.classifier_version[0] == current.name
        and (alarm.class_name or (current.classes[0] if len(current.classes) == 1 else "")) == class_name
    ]
    named = {alarm.threshold for alarm in alarms}
    if len(named) == 1 and None not in named:
        (threshold,) = (one for one in named if one is not None)
        return threshold, threshold
    own = threshold_of(workspace, current, class_name).threshold
    return own, float(candidate["thresholds"][class_name]["threshold"])


def _span_scores(head: ClassifierHead, spans: _Spans) -> NDArray[np.float32]:
    """float32 (S, K): mean probability of each span's windows."""
    vectors = np.concatenate(spans.windows)
    counts = np.array([len(one) for one in spans.windows])
    begins = np.concatenate([[0], np.cumsum(counts)[:-1]])
    sums = np.add.reduceat(head.probabilities(vectors).astype(np.float64), begins, axis=0)
    return np.asarray(sums / counts[:, None], np.float32)


def _drifted(
    windows: LakeWindows,
    spans: Sequence[LabelledSpan],
    division: Division,
    arrays: Arrays,
    base: ClassifierSamples,
    head: ClassifierHead,
) -> dict[str, Any] | None:
    """Logits of normal windows: those of training by heads that had not seen them, and those of the recordings with labels that
    are new, but for what was confirmed in them. Of several classes the highest counts."""
    normal = base.targets.sum(axis=1)[base.clip] == 0
    before = arrays["fold.windows"][normal]
    fresh = {label.recording_id for label in division.new} - division.trained_on
    looked_at = {
        (span.recording.recording_id, span.label.use_case.region): span
        for span in spans
        if span.recording.recording_id in fresh
    }
    now = []
    for (content, region), span in looked_at.items():
        begins, ends, vectors = windows.of_recording(span.recording, region)
        usual = np.ones(len(begins), np.bool_)
        for one in spans:
            if one.label.relevant and one.label.recording_id == content:
                usual &= (ends <= one.label.from_us) | (begins >= one.label.to_us)
        if usual.any():
            now.append(head.probabilities(vectors[usual]))
    if not len(before) or not now:
        return None
    return score_drift(_logits(before), _logits(np.concatenate(now))).to_card()


def _logits(probabilities: NDArray[np.float32]) -> NDArray[np.float64]:
    """float64 (M,): logit of the highest probability of each window (M, K)."""
    most = np.clip(probabilities.max(axis=1).astype(np.float64), LEAST_PROBABILITY, 1 - LEAST_PROBABILITY)
    return np.asarray(np.log(most / (1 - most)))
