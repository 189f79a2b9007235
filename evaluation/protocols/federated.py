"""Federated training of autoencoders against central and single ones (row A3; S1's two sets of experiments).

1. **One camera.** Its normal clips are dealt to the clients: no clip is at two of them. Beside the federation, one model is
   trained on all of their clips (`central`), and one on each client's alone.
2. **Several cameras.** Each is a client with footage of its own view. Beside the federation, one model for each alone.

Every training is a federation through the same code: central and single ones are those of one client, which is central
training to the last bit. All have the same settings, the same first weights and as many epochs; an epoch is every cuboid of a
site once. Whatever decides between rounds is the error on normal clips that a client holds out. Test clips decide nothing.

A federated model is measured as a site has it: the shared tensors with the site's own mean picture and deviation. Where all
clients are of one camera it is also measured with the camera's, of all their training clips, as central training has them: that
number differs from central training by nothing but the federation. Over several cameras, their test frames are pooled.

Scores are linear in time between the cuboids looked at, smoothed by one window, and put on the scale of the scores of the
site's training cuboids.
"""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from evaluation.federated_data import CameraFootage, SiteFootage, deal, each_its_own, together
from evaluation.federated_scores import Scoring, SiteRound, site_round, truth_of
from evaluation.federated_work import PooledSite, SiteWork, score_round
from infra.errors import AfterwatchError, ConfigurationError
from models.autoencoders.settings import AutoencoderSettings, HasanSettings
from models.autoencoders.training import TrainingSettings
from models.federation.base import Tensors
from models.federation.local_grid import LocalGrid, SiteClient
from models.federation.receipts import Receipt
from models.federation.reports import RoundReport
from models.federation.rounds import run_rounds
from models.federation.sites import autoencoder_plan, initial_shared

PROTOCOL = "federated"
FEDERATED, CENTRAL, SINGLE = "federated", "central", "single"
EVERY_CUBOID = 10**9
"""Cuboids of an epoch: all that a site has, so that an epoch is the same work whoever has the clips."""
HELD_OUT_CUBOIDS = 100
ROUND_S = 24 * 3600.0

Progress = Callable[[str, float, float], None]


@dataclass(frozen=True)
class FederatedSettings:
    """How the experiment is run.

    Attributes:
        model: shape of the autoencoder.
        rounds: of the federation; others have `rounds` times `local_epochs` epochs.
        local_epochs: of each client in each round.
        clients: that one camera's clips are dealt to.
        seeds: trainings of each kind, with seeds 0, 1, …: first weights, order of cuboids, who has which clips.
        batch_size, learning_rate: of every training.
        strides: in time, of the training cuboids.
        step: pictures from one training cuboid's first picture to the next one's.
        optimiser: its state in each client is kept between rounds, or begins anew.
        rate_hz: most pictures of a second.
        score_step: pictures from one scored cuboid's first picture to the next one's.
        smooth_s: standard deviation of the smoothing window.
    """

    model: AutoencoderSettings = field(default_factory=lambda: HasanSettings(width=0.125, size_px=96))
    rounds: int = 10
    local_epochs: int = 1
    clients: int = 2
    seeds: int = 3
    batch_size: int = 8
    learning_rate: float = 1e-3
    strides: tuple[int, ...] = (1,)
    step: int = 2
    optimiser: Literal["kept", "reset"] = "kept"
    rate_hz: float = 10.0
    score_step: int = 4
    smooth_s: float = 0.5

    def __post_init__(self) -> None:
        counts = (self.rounds, self.local_epochs, self.seeds, self.step, self.score_step)
        if min(counts) < 1 or self.clients < 2 or not self.rate_hz > 0 or not 0 <= self.smooth_s < np.inf:
            raise ConfigurationError(
                "rounds, local epochs, seeds and steps are at least 1, clients at least 2, the rate above 0 and smoothing at "
                f"least 0, got {self}; correct the value"
            )
        self.training(0)

    @property
    def scoring(self) -> Scoring:
        """How a round's scores become those of frames."""
        return Scoring(self.model.cuboid_frames, self.score_step, self.smooth_s)

    def training(self, seed: int) -> TrainingSettings:
        """Of every training with that seed.

        Raises:
            ConfigurationError: a value is out of its range.
        """
        return TrainingSettings(
            epochs=self.rounds * self.local_epochs,
            cuboids_per_epoch=EVERY_CUBOID,
            batch_size=self.batch_size,
            learning_rate=self.learning_rate,
            patience=self.rounds * self.local_epochs,
            strides=self.strides,
            validation_cuboids=HELD_OUT_CUBOIDS,
            seed=seed,
        )


@dataclass(frozen=True, eq=False)
class Run:
    """One training with one seed, by round.

    Attributes:
        method: `federated`, `central`, or a client's name.
        seed: of it.
        rounds: what each site comes to after each round; of a federation of one camera's clients, last what it comes to with
            the mean picture of all of them.
        errors: mean squared error of a pixel after each round, over the cuboids that the clients hold out.
        sent, received: bytes that went to the clients, and that came from them, in all rounds.
        missing: who was not in which round, in words; empty where nobody was missing.
    """

    method: str
    seed: int
    rounds: tuple[tuple[SiteRound, ...], ...]
    errors: tuple[float, ...]
    sent: int
    received: int
    missing: tuple[str, ...]

    @property
    def best(self) -> int:
        """Place of the round with the least held-out error, the earlier of equals."""
        return self.errors.index(min(self.errors))


@dataclass(frozen=True, eq=False)
class FederatedReport:
    """The experiment and what came out of it.

    Attributes:
        settings: how.
        cameras: of which footage.
        sites: clients of each seed.
        runs: every training.
    """

    settings: FederatedSettings
    cameras: tuple[CameraFootage, ...]
    sites: tuple[tuple[SiteFootage, ...], ...]
    runs: tuple[Run, ...]

    @property
    def several(self) -> bool:
        """Whether clients are of different cameras (experiment 2)."""
        return len(self.cameras) > 1

    @property
    def methods(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(run.method for run in self.runs))

    @property
    def clients(self) -> tuple[str, ...]:
        return tuple(site.name for site in self.sites[0])

    def of(self, method: str) -> tuple[Run, ...]:
        """Trainings of a method, by seed."""
        return tuple(run for run in self.runs if run.method == method)


def run_federated(
    cameras: Sequence[CameraFootage],
    settings: FederatedSettings,
    pool: Executor,
    progress: Progress = lambda _stage, _done, _total: None,
) -> FederatedReport:
    """Run the experiment.

    Args:
        cameras: one, whose clips are dealt to clients, or several, each a client.
        settings: how.
        pool: of workers that see the pictures' files.
        progress: called with `train`, the rounds done and all of them, and with `score`.

    Raises:
        ConfigurationError: a client has too little footage, or the test clips have frames of one kind only.
        AfterwatchError: a client failed.
    """
    _check(cameras)
    dealt = tuple(
        each_its_own(cameras, seed) if len(cameras) > 1 else deal(cameras[0], settings.clients, seed)
        for seed in range(settings.seeds)
    )
    told = [(seed, method, sites) for seed, clients in enumerate(dealt) for method, sites in _methods(clients).items()]
    runs = []
    for place, (seed, method, sites) in enumerate(told):
        runs.append(
            _run(
                method,
                sites,
                seed,
                settings,
                pool,
                lambda stage, share, place=place: progress(stage, place + share, len(told)),  # type: ignore[misc]
            )
        )
    return FederatedReport(settings, tuple(cameras), dealt, tuple(runs))


def _methods(clients: Sequence[SiteFootage]) -> dict[str, tuple[SiteFootage, ...]]:
    """The trainings of one seed and the clients of each."""
    told = {FEDERATED: tuple(clients)}
    if len({client.camera for client in clients}) == 1:
        told[CENTRAL] = (together(CENTRAL, clients),)
    return told | {client.name: (client,) for client in clients}


def _measured(method: str, sites: Sequence[SiteFootage]) -> tuple[SiteFootage, ...]:
    """Whose footage a training's models take their local tensors from: the clients', and last that of their one camera."""
    if len(sites) > 1 and len({site.camera for site in sites}) == 1:
        return (*sites, together(method, sites))
    return tuple(sites)


def _run(
    method: str,
    sites: Sequence[SiteFootage],
    seed: int,
    settings: FederatedSettings,
    pool: Executor,
    progress: Callable[[str, float], None],
) -> Run:
    plan = autoencoder_plan(
        PROTOCOL,
        settings.model,
        settings.training(seed),
        rounds=settings.rounds,
        local_epochs=settings.local_epochs,
    )
    heard = _Heard(method, seed)
    keeps = settings.optimiser == "kept"
    clients = {
        site.name: SiteClient(PooledSite(_work(site, seed, settings), pool, keeps_memory=keeps)) for site in sites
    }
    # Threads wait for the pool's workers, so that what a site has to remember stays in this process.
    with ThreadPoolExecutor(len(clients)) as threads:
        grid = LocalGrid(clients, threads)

        def after(report: RoundReport) -> None:
            heard.round(report, grid.errors)
            progress("train", len(heard.shared) / settings.rounds)

        run_rounds(
            plan,
            initial_shared(plan),
            grid,
            clients_at_least=len(clients),
            round_s=ROUND_S,
            wait_s=ROUND_S,
            on_round=after,
            on_receipt=heard.receipt,
        )
    scored = [(site, _work(site, seed, settings)) for site in _measured(method, sites)]
    rounds = _scored(scored, heard.shared, settings, pool, progress)
    return Run(method, seed, rounds, tuple(heard.errors), heard.sent, heard.received, tuple(heard.missing))


@dataclass
class _Heard:
    """What is heard of a training while it goes on."""

    method: str
    seed: int
    shared: list[Tensors] = field(default_factory=list)
    errors: list[float] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    sent: int = 0
    received: int = 0

    def receipt(self, receipt: Receipt) -> None:
        if receipt.direction == "sent":
            self.sent += receipt.bytes
        else:
            self.received += receipt.bytes

    def round(self, report: RoundReport, errors: Mapping[str, BaseException]) -> None:
        """Keep what a round came to.

        Raises:
            AfterwatchError: nobody trained in it, or nobody evaluated it.
        """
        where = f"{self.method}, seed {self.seed}, round {report.number}"
        if not report.used or report.held_out_loss is None:
            reasons = "; ".join(f"{name}: {type(error).__name__}: {error}" for name, error in sorted(errors.items()))
            raise AfterwatchError(
                f"{where}: no client could train and evaluate ({reasons}); mend that, and run it again"
            )
        self.shared.append(report.shared)
        self.errors.append(report.held_out_loss)
        self.missing += [f"{where}: {client.client} ({client.refused})" for client in report.refused]


def _work(site: SiteFootage, seed: int, settings: FederatedSettings) -> SiteWork:
    return SiteWork(
        settings.model,
        settings.training(seed),
        settings.rounds,
        settings.local_epochs,
        settings.step,
        tuple(clip.rows for clip in site.training),
        tuple(clip.rows for clip in site.held_out),
    )


# Scores.


def _scored(
    sites: Sequence[tuple[SiteFootage, SiteWork]],
    kept: Sequence[Tensors],
    settings: FederatedSettings,
    pool: Executor,
    progress: Callable[[str, float], None],
) -> tuple[tuple[SiteRound, ...], ...]:
    """What each site comes to after each round."""
    asked = [
        [
            pool.submit(
                score_round,
                work,
                shared,
                tuple(clip.rows for _, clips in site.test for clip in clips),
                settings.score_step,
            )
            for site, work in sites
        ]
        for shared in kept
    ]
    told = []
    for place, row in enumerate(asked, 1):
        found = zip(sites, row, strict=True)
        told.append(tuple(site_round(site, one.result(), settings.scoring) for (site, _), one in found))
        progress("score", place / len(asked))
    return tuple(told)


def _check(cameras: Sequence[CameraFootage]) -> None:
    for camera in cameras:
        truth = np.concatenate([truth_of(piece) for piece, _ in camera.test])
        if truth.all() or not truth.any():
            raise ConfigurationError(
                f"all {len(truth)} test frames of {camera.camera} are of one kind; frames of both are needed to measure"
            )
