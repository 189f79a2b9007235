"""What a site does in a federation: it trains what is shared on footage of its own, and says how well that went.

Shared tensors are what is learnt; they cross between sites. Local tensors are what is measured from footage directly (the
mean picture and deviation of an autoencoder, offset and scale of a classifier or a projection): they never cross, and each
site has its own, as FedBN (Li et al. 2021, arXiv:2102.07623) keeps the statistics of batch normalisation at each client.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Literal, Protocol, get_args

from numpy.typing import NDArray

from infra.errors import AfterwatchError, UnknownNameError

Tensors = dict[str, NDArray[Any]]
"""Arrays by the names of their parameters."""
Progress = Callable[[str, float, float], None]
"""Called with a stage, how much of it is done and how much there is."""
MEMORIES_KEPT = 2
"""Of a site: after the round that is under way, and after the one it took part in before."""

Word = Literal["no-footage", "too-few-samples", "not-allowed", "failed"]
"""All that a site says of why it does not answer: an exception's text may hold paths and names, and never crosses."""
WORDS: tuple[Word, ...] = get_args(Word)


class FederationError(AfterwatchError):
    """A federation cannot go on: too few clients came, or none of their updates was fit to be used."""


class SiteError(AfterwatchError):
    """A site does not take part in a round; only `word` is told to the server, the message stays at the site."""

    def __init__(self, word: Word, message: str) -> None:
        if word not in WORDS:
            raise UnknownNameError("word of a site", word, WORDS)
        super().__init__(message)
        self.word: Word = word

    def __reduce__(self) -> tuple[type["SiteError"], tuple[Word, str]]:
        return type(self), (self.word, str(self))


@dataclass(frozen=True, eq=False)
class LocalUpdate:
    """What a site made of the shared tensors in one round.

    Attributes:
        shared: the tensors after its local epochs, by name.
        samples: distinct ones that it was trained on in this round, at least 1: the weight of the update.
        loss: mean over the samples of the last local epoch, while it trained.
        memory: what the site needs to go on in the next round (the optimiser's state) as a safetensors file; stays there.
    """

    shared: Tensors
    samples: int
    loss: float
    memory: bytes


@dataclass(frozen=True)
class Evaluation:
    """What the shared tensors come to on a site's held-out samples.

    Attributes:
        samples: held out, at least 1.
        loss: mean over them.
    """

    samples: int
    loss: float


class SiteTraining(Protocol):
    """One site's part in a federated training."""

    @property
    def samples(self) -> int:
        """Samples that the site has to train on; a round may draw fewer of them (see `FederatedPlan.drawn_samples`)."""
        ...

    def train(self, shared: Tensors, round_number: int, memory: bytes | None) -> LocalUpdate:
        """Train the plan's local epochs from the shared tensors, which are left as they are.

        Args:
            shared: as the server has them before the round.
            round_number: from 1; decides the order of samples and the rate of learning.
            memory: of the round before, None where there is none.

        Raises:
            AfterwatchError: the loss is not finite, or the memory is of another training.
        """
        ...

    def evaluate(self, shared: Tensors) -> Evaluation:
        """Loss of the shared tensors, with the site's own local ones, on its held-out samples."""
        ...

    def finished(self, shared: Tensors) -> Any:
        """The model for this site: shared and local tensors together."""
        ...


def rounds_kept(rounds: Iterable[int], round_number: int) -> frozenset[int]:
    """Rounds whose memories a site keeps once it has the one of `round_number`, wherever it keeps them.

    The last two up to that round, however far apart: a round that is asked for again begins with the memory from before.
    Those of later rounds go: a server that asks for an earlier round has begun again, and they are of what was.

    >>> sorted(rounds_kept([1, 3, 4, 9], 4))
    [3, 4]
    """
    return frozenset(sorted({number for number in rounds if number <= round_number})[-MEMORIES_KEPT:])
