"""Sites of a federation made for tests: least squares, with a momentum that is their memory."""

from collections.abc import Iterator, Mapping
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load, save

from models.federation.base import Evaluation, LocalUpdate, Tensors
from models.federation.plan import FederatedPlan, TensorSpec


def made_plan(rounds: int = 3, shapes: Mapping[str, tuple[int, ...]] | None = None) -> FederatedPlan:
    shapes = shapes or {"layer.weight": (4,), "layer.bias": ()}
    shared = tuple(TensorSpec(name, shape, "float32") for name, shape in shapes.items())
    return FederatedPlan("autoencoder", "yard", {"width": 0.5}, {"rate": 0.1}, rounds, 2, 0, shared)


def made_tensors(plan: FederatedPlan, seed: int = 0) -> Tensors:
    random = np.random.default_rng(seed)
    return {spec.name: np.asarray(random.normal(size=spec.shape), spec.dtype) for spec in plan.shared}


class LineSite:
    """Fits a line to points of its own by gradient descent with momentum; memory and tensors in float32."""

    def __init__(self, seed: int, samples: int = 20, rate: float = 0.05) -> None:
        random = np.random.default_rng(seed)
        self._x: NDArray[np.float32] = random.normal(size=(samples, 4)).astype(np.float32)
        self._y: NDArray[np.float32] = (self._x.sum(1) + seed).astype(np.float32)
        self._rate = np.float32(rate)
        self.asked: list[tuple[int, bool]] = []

    @property
    def samples(self) -> int:
        return len(self._x)

    def train(self, shared: Tensors, round_number: int, memory: bytes | None) -> LocalUpdate:
        self.asked.append((round_number, memory is not None))
        weight, bias = shared["layer.weight"].copy(), shared["layer.bias"].copy()
        before = (
            load(memory)
            if memory is not None
            else {"weight": np.zeros_like(weight), "bias": np.zeros((1,), np.float32)}
        )
        run, run_bias = before["weight"].copy(), before["bias"].copy()
        loss = 0.0
        for _ in range(2):
            error = self._x @ weight + bias - self._y
            loss = float(np.square(error).mean())
            run = np.float32(0.9) * run + (self._x * error[:, None]).mean(0)
            run_bias = np.float32(0.9) * run_bias + error.mean()
            weight, bias = weight - self._rate * run, bias - self._rate * run_bias[0]
        made = {"layer.weight": weight.astype(np.float32), "layer.bias": np.asarray(bias, np.float32)}
        return LocalUpdate(made, self.samples, loss, save({"weight": run, "bias": run_bias.astype(np.float32)}))

    def evaluate(self, shared: Tensors) -> Evaluation:
        error = self._x @ shared["layer.weight"] + shared["layer.bias"] - self._y
        return Evaluation(self.samples, float(np.square(error).mean()))

    def finished(self, shared: Tensors) -> Tensors:
        return shared


class FixedSite:
    """Answers with the tensors it was made of, whatever it is asked."""

    def __init__(self, shared: Tensors, samples: int, loss: float = 1.0) -> None:
        self._update = LocalUpdate(shared, samples, loss, b"memory")

    @property
    def samples(self) -> int:
        return self._update.samples

    def train(self, shared: Tensors, round_number: int, memory: bytes | None) -> LocalUpdate:
        return self._update

    def evaluate(self, shared: Tensors) -> Evaluation:
        return Evaluation(max(self.samples, 1), 1.0)

    def finished(self, shared: Tensors) -> Tensors:
        return shared


@contextmanager
def threads(count: int = 3) -> Iterator[Executor]:
    with ThreadPoolExecutor(count) as pool:
        yield pool
