"""The plan of a federated training: all that a server tells a site beside tensors and the number of a round."""

import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Literal, NoReturn, get_args

from infra.errors import ConfigurationError, UnknownNameError
from infra.table import NAME

Kind = Literal["autoencoder", "classifier", "projection"]
KINDS: tuple[Kind, ...] = get_args(Kind)
DTYPES = {"float32": 4, "float64": 8}
"""Types that a mean of tensors keeps, by their bytes."""

VERSION = 1
MOST_ROUNDS, MOST_LOCAL_EPOCHS = 100_000, 100_000
MOST_TENSORS, MOST_DIMENSIONS = 10_000, 8
MOST_BYTES = 2**31 - 1
"""Of all shared tensors: no message of Flower's holds more; what a site allows is less."""
MOST_TEXT = 2**20
"""Characters of a plan's JSON."""
MOST_SAMPLES = 10**7
"""Of one site in one round: eleven days of cuboids, one begun every tenth of a second."""
_TENSOR_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,199}")


@dataclass(frozen=True)
class TensorSpec:
    """One tensor that is shared.

    Attributes:
        name: of the parameter, as in `decoder.0.weight`.
        shape: lengths of its dimensions, each at least 1; () is a single value.
        dtype: a key of `DTYPES`.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not _TENSOR_NAME.fullmatch(self.name):
            raise ConfigurationError(
                f"{self.name!r} is no name of a tensor: up to 200 letters, digits, `_`, `.` and `-`, as in `encoder.0.weight`"
            )
        if not isinstance(self.dtype, str) or self.dtype not in DTYPES:
            raise UnknownNameError(f"type of the shared tensor {self.name}", ascii(self.dtype)[:40], DTYPES)
        lengths = self.shape
        if not isinstance(lengths, tuple) or len(lengths) > MOST_DIMENSIONS or not all(_whole(n, 1) for n in lengths):
            raise ConfigurationError(
                f"the shape of the shared tensor {self.name} is {lengths!r}; it has at most {MOST_DIMENSIONS} dimensions, "
                "each a whole number of at least 1"
            )

    @property
    def bytes(self) -> int:
        """Of its values."""
        return math.prod(self.shape) * DTYPES[self.dtype]


@dataclass(frozen=True)
class FederatedPlan:
    """What is trained, how, and which tensors cross.

    Attributes:
        kind: of the model.
        name: of the model at every site, a `NAME` of at most 100 characters.
        model: architecture or settings, in values of JSON; tuples become lists, names text.
        training: settings of the training, likewise.
        rounds: in all.
        local_epochs: of each site in each round.
        seed: of the initial tensors and of every order of samples.
        shared: tensors that cross, each name once; no others do.

    Raises:
        ConfigurationError: a value is out of its range, or is none of JSON, or a text in it has characters that move a
            cursor or are not seen.
    """

    kind: Kind
    name: str
    model: Mapping[str, Any]
    training: Mapping[str, Any]
    rounds: int
    local_epochs: int
    seed: int
    shared: tuple[TensorSpec, ...]

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise UnknownNameError("kind of a federated model", ascii(self.kind)[:40], KINDS)
        if not isinstance(self.name, str) or not NAME.fullmatch(self.name) or len(self.name) > 100:
            raise ConfigurationError(
                f"{self.name!r} is no name of a model: up to 100 letters, digits, blanks, `.`, `_` and `-`, the first a "
                "letter or digit"
            )
        ranges = (("rounds", 1, MOST_ROUNDS), ("local_epochs", 1, MOST_LOCAL_EPOCHS), ("seed", 0, 2**63 - 1))
        for what, least, most in ranges:
            value = getattr(self, what)
            if not _whole(value, least) or value > most:
                raise ConfigurationError(f"{what} is {value!r}; it is a whole number from {least} to {most}")
        for what in ("model", "training"):
            object.__setattr__(self, what, _json_values(what, getattr(self, what)))
        self._check_shared()

    def _check_shared(self) -> None:
        if not isinstance(self.shared, tuple) or not all(isinstance(spec, TensorSpec) for spec in self.shared):
            raise ConfigurationError(f"shared is {self.shared!r}; it is a tuple of `TensorSpec`")
        if not 1 <= len(self.shared) <= MOST_TENSORS:
            raise ConfigurationError(f"{len(self.shared)} tensors are shared; a plan has from 1 to {MOST_TENSORS}")
        if len({spec.name for spec in self.shared}) < len(self.shared):
            raise ConfigurationError("two shared tensors have one name; each has a name of its own")
        if self.bytes > MOST_BYTES:
            raise ConfigurationError(f"the shared tensors have {self.bytes} bytes; the most is {MOST_BYTES}")

    @property
    def bytes(self) -> int:
        """Of the values of all shared tensors."""
        return sum(spec.bytes for spec in self.shared)

    @property
    def drawn_samples(self) -> int | None:
        """Samples that an epoch draws at most; None: all that a site has.

        A round draws at least that many distinct ones, or all that there are, so a site that will not tell of fewer than so
        many samples holds the smaller of this and what it has against its limit.
        """
        told = self.training.get("cuboids_per_epoch") if self.kind == "autoencoder" else None
        return told if _whole(told, 1) else None

    @property
    def most_samples(self) -> int:
        """Distinct samples that a site can have trained on in a round; who tells more is not believed."""
        drawn = self.drawn_samples
        return MOST_SAMPLES if drawn is None else min(MOST_SAMPLES, drawn * self.local_epochs)

    @property
    def digest(self) -> str:
        """SHA-256 of the plan's JSON, in hexadecimal."""
        return sha256(self.to_json().encode()).hexdigest()

    def to_json(self) -> str:
        """The plan as one line of JSON, the same for the same plan."""
        shared = [{"name": spec.name, "shape": list(spec.shape), "dtype": spec.dtype} for spec in self.shared]
        values = {name: getattr(self, name) for name in _FIELDS} | {"shared": shared, "version": VERSION}
        return json.dumps(values, sort_keys=True, separators=(",", ":"), allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> "FederatedPlan":
        """The plan that `to_json` gave `text`.

        Raises:
            ConfigurationError: it is no JSON of a plan, has an unknown key or lacks one, or a value is out of range.
        """
        if len(text) > MOST_TEXT:
            raise ConfigurationError(f"the plan has {len(text)} characters; the most is {MOST_TEXT}")
        try:
            values = json.loads(text, parse_constant=_no_constant)
        except (ValueError, RecursionError) as error:
            raise ConfigurationError(f"the plan is not JSON: {error}") from error
        _check_keys("the plan", values, {*_FIELDS, "version"})
        if values.pop("version") != VERSION:
            raise ConfigurationError(
                f"the plan is of another version than {VERSION}: install the server's version here"
            )
        shared = values["shared"]
        if not isinstance(shared, list):
            raise ConfigurationError(f"the plan's shared is {type(shared).__name__}; it is a list of tensors")
        return cls(**{**values, "shared": tuple(_spec(value) for value in shared)})


_FIELDS = tuple(FederatedPlan.__dataclass_fields__)


def _spec(value: Any) -> TensorSpec:
    _check_keys("a shared tensor of the plan", value, {"name", "shape", "dtype"})
    if not isinstance(value["shape"], list):
        raise ConfigurationError(
            f"the shape of the shared tensor {ascii(value['name'])[:100]} is no list of whole numbers"
        )
    return TensorSpec(value["name"], tuple(value["shape"]), value["dtype"])


def _check_keys(what: str, values: Any, wanted: set[str]) -> None:
    if not isinstance(values, dict):
        raise ConfigurationError(f"{what} is {type(values).__name__} in JSON; it is an object of {sorted(wanted)}")
    if wrong := sorted(set(values) ^ wanted):
        raise ConfigurationError(f"{what} has unknown or missing keys: {ascii(wrong)[:200]}; they are {sorted(wanted)}")


def _json_values(what: str, values: Any) -> dict[str, Any]:
    """As JSON has them, so that a plan equals the one read back."""
    if not isinstance(values, Mapping) or not all(isinstance(name, str) for name in values):
        raise ConfigurationError(f"{what} is {values!r}; it is a mapping of names to values")
    try:
        text = json.dumps(dict(values), allow_nan=False)
        made: dict[str, Any] = json.loads(text)
        wrong = next((one for one in _texts(made) if not one.isprintable()), None)
    except (TypeError, ValueError, RecursionError) as error:
        raise ConfigurationError(f"{what} has a value that JSON does not know: {error}") from error
    if len(text) > MOST_TEXT:
        raise ConfigurationError(f"{what} has {len(text)} characters as JSON; the most is {MOST_TEXT}")
    if wrong is not None:
        raise ConfigurationError(
            f"{what} has the text {ascii(wrong)[:100]}; texts of a plan have printable characters only"
        )
    return made


def _texts(value: Any) -> Iterator[str]:
    """Every text in a value of JSON, names included."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        yield from value
        for inner in value.values():
            yield from _texts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _texts(inner)


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number of JSON")


def _whole(value: object, least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least
