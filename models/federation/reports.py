"""What a federation says of its rounds."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from infra.errors import ConfigurationError
from models.federation.base import Tensors


@dataclass(frozen=True)
class ClientReport:
    """One site in one round.

    Attributes:
        client: its name.
        samples: it trained on: the weight of its update; 0 where there is none.
        loss: mean over them, while it trained; None where there is no update.
        refused: why its update is not in the mean: a word of the site's, `gone`, `late`, or what is wrong with the update;
            empty where it is in.
        held_out_samples: it evaluated the new tensors on; 0 where it did not.
        held_out_loss: mean over them; None where it did not.
        not_evaluated: why it did not; empty where it did or was not asked.
    """

    client: str
    samples: int = 0
    loss: float | None = None
    refused: str = ""
    held_out_samples: int = 0
    held_out_loss: float | None = None
    not_evaluated: str = ""


@dataclass(frozen=True)
class RoundRecord:
    """What a round came to, without its tensors.

    Attributes:
        number: from 1.
        clients: that were asked, by name.
        seconds: the round took, waiting included.
        evaluated: what `evaluate` of `run_rounds` said of the new tensors; None where there is none.
    """

    number: int
    clients: tuple[ClientReport, ...]
    seconds: float
    evaluated: float | None

    @property
    def used(self) -> tuple[ClientReport, ...]:
        """Sites whose updates are in the mean; none: the round left the tensors as they were."""
        return tuple(client for client in self.clients if client.loss is not None)

    @property
    def refused(self) -> tuple[ClientReport, ...]:
        """Sites that were asked and whose updates are not in the mean."""
        return tuple(client for client in self.clients if client.refused)

    @property
    def samples(self) -> int:
        """Of all updates in the mean."""
        return sum(client.samples for client in self.used)

    @property
    def loss(self) -> float | None:
        """While training: the sites' losses, weighted by their samples; None without an update."""
        return _weighted((client.samples, client.loss) for client in self.clients)

    @property
    def held_out_samples(self) -> int:
        """Of all sites that evaluated."""
        return sum(client.held_out_samples for client in self.clients)

    @property
    def held_out_loss(self) -> float | None:
        """After the round: the sites' losses on held-out samples, weighted by these; None where none evaluated."""
        return _weighted((client.held_out_samples, client.held_out_loss) for client in self.clients)

    def to_values(self) -> dict[str, Any]:
        """The record in values of JSON."""
        return asdict(RoundRecord(self.number, self.clients, self.seconds, self.evaluated))

    @classmethod
    def from_values(cls, values: Mapping[str, Any]) -> "RoundRecord":
        """The record that `to_values` gave.

        Raises:
            ConfigurationError: it is none.
        """
        try:
            clients = tuple(ClientReport(**client) for client in values["clients"])
            return RoundRecord(values["number"], clients, values["seconds"], values["evaluated"])
        except (TypeError, KeyError) as error:
            raise ConfigurationError(
                f"a round's record is none: {error!r}; restore the file it was read from"
            ) from error


@dataclass(frozen=True)
class RoundReport(RoundRecord):
    """What a round came to.

    Attributes:
        shared: tensors after it.
    """

    shared: Tensors

    @property
    def record(self) -> RoundRecord:
        """The report without its tensors."""
        return RoundRecord(self.number, self.clients, self.seconds, self.evaluated)


@dataclass(frozen=True, eq=False)
class FederatedResult:
    """What a federation came to.

    Attributes:
        shared: tensors after the last round.
        rounds: in order, of this call; without their tensors, which only `on_round` is given.
        best: round with the least held-out loss, see `better`; the last round where no site has held-out samples. A federation
            is not stopped early: `best` is the choice instead.
    """

    shared: Tensors
    rounds: tuple[RoundRecord, ...]
    best: RoundReport


def better(new: RoundReport, best: RoundReport | None) -> RoundReport:
    """Which of two rounds `FederatedResult.best` is; `new` came after `best`.

    Losses of different sites are not compared. Where a site has evaluated `new` and not `best`, `new` it is: it has passed
    where `best` was never tried. Otherwise the sites that evaluated `new` decide, which all evaluated `best` too: by their mean
    loss in both, each site with one weight, the smaller of its two numbers of held-out samples, so that footage that
    came or went between the rounds, or a number told once, shifts nothing. The first of equals stays. So a site that leaves ends the
    comparison with what it once said, and no round stays the best only because more sites were there; and a round that nobody
    evaluated is the best only after others of that sort.
    """
    if best is None:
        return new
    now, then = _by_client(new), _by_client(best)
    if now.keys() - then.keys() or not then:
        return new
    weights = {name: min(client.held_out_samples, then[name].held_out_samples) for name, client in now.items()}
    fell = sum(weight * (_loss(then[name]) - _loss(now[name])) for name, weight in weights.items())
    return new if fell > 0 else best


def _by_client(report: RoundRecord) -> dict[str, ClientReport]:
    """Sites that evaluated a round, in order of their names, so that a sum over them is always the same."""
    told = {client.client: client for client in report.clients if client.held_out_loss is not None}
    return dict(sorted(told.items()))


def _loss(client: ClientReport) -> float:
    assert client.held_out_loss is not None
    return client.held_out_loss


def _weighted(parts: Iterable[tuple[int, float | None]]) -> float | None:
    told = [(weight, value) for weight, value in parts if value is not None]
    total = sum(weight for weight, _ in told)
    return sum(weight * value for weight, value in told) / total if total else None
