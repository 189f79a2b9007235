"""What an alarm costs: its encoder beside decoding, its head beside its encoder, its training beside scikit-learn's: `classifier`."""

from functools import partial

import numpy as np
from sklearn.neural_network import MLPClassifier

from benchmarks.clips import Clip, recording
from benchmarks.timing import Ratio, Report, core_count, ratio_of, take_turns
from benchmarks.workbench import MOTION, FreshSites, make_site
from models.encoders.build import build
from models.encoders.specs import describe
from models.heads.classifier import ClassifierSettings
from models.heads.classifier_samples import ClassifierSamples
from models.heads.classifier_training import train_classifier
from models.windows import Rows, joined

ACTION = "handcrafted/action"
HALF_A_MINUTE = Clip(1920, 1080, 30)
SNIPPETS = 30
CLIPS = 150


def run_classifier(
    report: Report, clip: Clip = HALF_A_MINUTE, snippets: int = SNIPPETS, epochs: int = 50, rounds: int = 3
) -> list[Ratio]:
    """Three ratios: a night's pass with and without the encoder of an alarm; the step `classify` beside that encoder; training.

    The training is one head without averaging, of the same layers, epochs and batches as scikit-learn's `MLPClassifier`, on
    as many clips as a folder of fights has.
    """
    return [
        *_passes(report, clip, rounds),
        *_classify(report, snippets, rounds),
        *_training(report, epochs, rounds),
    ]


def _passes(report: Report, clip: Clip, rounds: int) -> list[Ratio]:
    threads = core_count()
    sites = {name: FreshSites(make_site([recording(clip)], names)) for name, names in _NIGHTS.items()}
    for site in sites.values():
        site.embed(threads)  # brings the encoders to life
    report.say(f"classifier, {clip.name}, {threads} cores: a pass with and without {ACTION}")
    times = take_turns({name: partial(site.embed, threads) for name, site in sites.items()}, rounds, report)
    name = f"pass with {MOTION} and {ACTION} / with {MOTION} alone, {clip.name}"
    return [Ratio(name, ratio_of(times, "with", "without"), "<= 2")]


_NIGHTS = {"without": [MOTION], "with": [MOTION, ACTION]}


def _classify(report: Report, snippets: int, rounds: int) -> list[Ratio]:
    encoder = build(describe(ACTION))
    spec = encoder.spec
    pixels = np.random.default_rng(0).integers(
        0, 256, (snippets, spec.snippet_frames, *spec.input_size, 3), dtype=np.uint8
    )
    head = train_classifier(ClassifierSettings(epochs=1), _samples(encoder.dimension)).head
    vectors = encoder.encode(pixels)
    begins = np.arange(snippets, dtype=np.int64) * 2_000_000
    rows = Rows(begins, begins + 2_000_000, vectors)

    def classify() -> None:
        _, windows = joined([("window", rows)], (rows.from_us, rows.to_us))
        head.probabilities(windows)

    report.say(f"classifier, {snippets} snippets: windows and head beside {ACTION}")
    times = take_turns({"classify": classify, "encode": lambda: encoder.encode(pixels)}, rounds, report)
    return [
        Ratio(f"windows and head / {ACTION}, {snippets} snippets", ratio_of(times, "classify", "encode"), "<= 0.05")
    ]


def _training(report: Report, epochs: int, rounds: int) -> list[Ratio]:
    settings = ClassifierSettings(epochs=epochs, members=1)
    samples = _samples(120)
    answers = samples.targets[:, 0]

    def theirs() -> None:
        MLPClassifier(
            settings.hidden,
            batch_size=settings.batch_size,
            learning_rate_init=settings.learning_rate,
            alpha=settings.weight_decay,
            max_iter=epochs,
            n_iter_no_change=epochs,
            random_state=0,
        ).fit(samples.vectors, answers)

    report.say(f"classifier, training: {len(samples)} clips, {epochs} epochs, layers {settings.hidden}")
    times = take_turns({"ours": lambda: train_classifier(settings, samples), "scikit-learn": theirs}, rounds, report)
    name = f"ours / scikit-learn's MLPClassifier, one head, {len(samples)} clips, {epochs} epochs"
    return [Ratio(name, ratio_of(times, "ours", "scikit-learn"), "<= 2")]


def _samples(dimension: int) -> ClassifierSamples:
    random = np.random.default_rng(0)
    names = tuple(f"clip {number}" for number in range(CLIPS))
    targets = np.arange(CLIPS) % 2 == 0
    vectors = random.standard_normal((CLIPS, dimension), dtype=np.float32) + targets[:, None].astype(np.float32)
    return ClassifierSamples(("fight",), vectors, np.arange(CLIPS), targets[:, None], names, names, names)
