"""Numbers of a federated experiment: frame AUC by round and at the round that is chosen, mean and deviation over seeds.

The round is chosen by the least error on the clients' held-out normal clips, seed by seed; what the last round comes to stands
beside it.
"""

import math
from dataclasses import dataclass

import numpy as np

from evaluation.curves import Floats
from evaluation.federated_scores import SiteRound
from evaluation.protocols.federated import CENTRAL, FEDERATED, SINGLE, FederatedReport, Run
from evaluation.results import Result
from models.metrics import frame_ap, frame_auc

POINT = 0.01
OF_CLIENTS = f"{FEDERATED} clients"
"""Name of the mean over the clients of a federation, each with its own mean picture."""
TARGET = 1.0
"""Points of frame AUC that a federation may lie below central training."""


@dataclass(frozen=True, eq=False)
class Series:
    """One kind of model by seed and round.

    Attributes:
        name: `federated`, `central`, `single`, a client's, or `federated` and a client's.
        camera: that it is tested on; all of them where it is empty.
        auc, ap: float64 (seeds, rounds), of test frames.
        errors: float64 (seeds, rounds), mean squared error of a pixel of held-out clips; nan where it is of several models.
        chosen_auc, chosen_ap, chosen_errors: float64 (seeds,), at the round with the least held-out error.
        rounds: int64 (seeds,), that round, from 1; 0 where it is of several models.
    """

    name: str
    camera: str
    auc: Floats
    ap: Floats
    errors: Floats
    chosen_auc: Floats
    chosen_ap: Floats
    chosen_errors: Floats
    rounds: np.ndarray

    def __post_init__(self) -> None:
        if not self.auc.shape == self.ap.shape == self.errors.shape:
            raise ValueError(
                f"{self.name}: {self.auc.shape}, {self.ap.shape} and {self.errors.shape} are not one shape"
            )


def series_of(report: FederatedReport) -> dict[str, Series]:
    """Every kind of model by its name, the federated ones first."""
    federated, alone = report.of(FEDERATED), [report.of(name) for name in report.clients]
    if report.several:
        cameras = [one.camera for one in report.cameras]
        told = [_pooled(FEDERATED, [federated]), _pooled(SINGLE, alone)]
    else:
        cameras = [report.cameras[0].camera] * len(alone)
        told = [_at_site(FEDERATED, cameras[0], federated, -1), _at_site(CENTRAL, cameras[0], report.of(CENTRAL))]
    for place, name in enumerate(report.clients):
        told.append(_at_site(f"{FEDERATED} {name}", cameras[place], federated, place))
        told.append(_at_site(name, cameras[place], alone[place]))
    return {one.name: one for one in told}


def against(report: FederatedReport) -> str:
    """What the federation is held against."""
    return SINGLE if report.several else CENTRAL


def difference(report: FederatedReport, told: dict[str, Series]) -> Floats:
    """Points of frame AUC by which the federation is above what it is held against, float64 (seeds,)."""
    return (told[FEDERATED].chosen_auc - told[against(report)].chosen_auc) / POINT


def difference_of_clients(report: FederatedReport, told: dict[str, Series]) -> Floats:
    """The same of the federated models with their clients' own mean pictures, the mean over the clients."""
    own = np.mean([told[f"{FEDERATED} {name}"].chosen_auc for name in report.clients], axis=0)
    return np.asarray((own - told[against(report)].chosen_auc) / POINT)


def results(report: FederatedReport, told: dict[str, Series]) -> list[Result]:
    """Means over seeds; low and high are one standard deviation below and above."""
    found = []
    for one in told.values():
        found += [
            _result(one.name, "frame_auc", one.chosen_auc),
            _result(one.name, "frame_auc_last_round", one.auc[:, -1]),
            _result(one.name, "frame_ap", one.chosen_ap),
            _result(one.name, "held_out_error", one.chosen_errors),
        ]
    metric = f"frame_auc_above_{against(report)}"
    found.append(_result(FEDERATED, metric, difference(report, told) * POINT))
    if not report.several:
        found.append(_result(OF_CLIENTS, metric, difference_of_clients(report, told) * POINT))
    return found


def deviation(values: Floats) -> float:
    """Standard deviation over seeds; nan of a single one."""
    return float(np.std(values, ddof=1)) if len(values) > 1 else math.nan


def _result(name: str, metric: str, values: Floats) -> Result:
    mean, spread = float(np.mean(values)), deviation(values)
    return Result(name, metric, mean, mean - spread, mean + spread, len(values))


def _at_site(name: str, camera: str, runs: tuple[Run, ...], place: int = 0) -> Series:
    """Numbers of trainings at one of their sites, by its place."""
    auc = np.array([[row[place].auc for row in run.rounds] for run in runs])
    ap = np.array([[row[place].ap for row in run.rounds] for run in runs])
    errors = np.array([run.errors for run in runs])
    best = np.array([run.best for run in runs])
    at = np.arange(len(runs)), best
    return Series(name, camera, auc, ap, errors, auc[at], ap[at], errors[at], best + 1)


def _pooled(name: str, models: list[tuple[Run, ...]]) -> Series:
    """Frames of all cameras pooled, each scored by its own site's model; `models` are trainings by seed."""
    by_seed = list(zip(*models, strict=True))
    rounds = range(len(by_seed[0][0].rounds))
    every = [[[run.rounds[place] for run in runs] for place in rounds] for runs in by_seed]
    chosen = [[run.rounds[run.best] for run in runs] for runs in by_seed]
    auc, ap = (np.array([[of(rows) for rows in seed] for seed in every]) for of in (_pooled_auc, _pooled_ap))
    alone = len(models) == 1
    errors = np.array([run.errors for run in models[0]]) if alone else np.full(auc.shape, math.nan)
    best = np.array([run.best for run in models[0]]) if alone else np.full(len(by_seed), -1)
    return Series(
        name,
        "",
        auc,
        ap,
        errors,
        np.array([_pooled_auc(rows) for rows in chosen]),
        np.array([_pooled_ap(rows) for rows in chosen]),
        errors[np.arange(len(by_seed)), best],
        best + 1,
    )


def _pooled_auc(rows: list[tuple[SiteRound, ...]]) -> float:
    return frame_auc(*_frames(rows))


def _pooled_ap(rows: list[tuple[SiteRound, ...]]) -> float:
    return frame_ap(*_frames(rows))


def _frames(rows: list[tuple[SiteRound, ...]]) -> tuple[np.ndarray, Floats]:
    sites = [one for row in rows for one in row]
    return np.concatenate([one.truth for one in sites]), np.concatenate([one.scores for one in sites])
