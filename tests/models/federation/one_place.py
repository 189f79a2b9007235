"""A federation of real sites in this process, and what tests of all kinds of sites ask of it."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from models.federation.base import SiteTraining, Tensors
from models.federation.local_grid import LocalGrid, SiteClient
from models.federation.plan import FederatedPlan
from models.federation.reports import FederatedResult, RoundReport
from models.federation.rounds import run_rounds
from models.federation.sites import initial_shared


def federated(
    plan: FederatedPlan, sites: Mapping[str, SiteTraining], threads: int = 1
) -> tuple[FederatedResult, list[RoundReport]]:
    """All rounds of a plan, and each one's report with its tensors."""
    reports: list[RoundReport] = []
    with ThreadPoolExecutor(threads) as executor:
        grid = LocalGrid({name: SiteClient(site) for name, site in sites.items()}, executor)
        result = run_rounds(
            plan,
            initial_shared(plan),
            grid,
            clients_at_least=len(sites),
            round_s=120,
            wait_s=10,
            on_round=reports.append,
        )
    assert all(len(report.used) == len(sites) for report in reports), grid.errors
    return result, reports


def same(one: Tensors, other: Tensors) -> bool:
    """Whether tensors are the same to the last bit."""
    return sorted(one) == sorted(other) and all(
        value.dtype == other[name].dtype and value.tobytes() == other[name].tobytes() for name, value in one.items()
    )


def far(one: Tensors, other: Tensors) -> float:
    """The largest difference between tensors."""
    return max(float(np.abs(value - other[name]).max()) for name, value in one.items())
