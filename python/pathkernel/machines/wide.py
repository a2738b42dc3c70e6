"""Infinitely wide networks in training."""

from __future__ import annotations

import math
from typing import Any

import torch

from .. import _engine
from .._engine import InvalidInput
from ..kernels import Kernel
from .base import MEMORY, Machine, Regression, Scores


class _Dynamics(Machine):
    _kind = "dynamics"

    def _fitted(self, x: torch.Tensor, targets: torch.Tensor) -> Any:
        if self.rate == 0 and (self.steps != 0 or self.momentum != 0):
            raise InvalidInput(f"{type(self).__name__}: steps={self.steps!r} and momentum={self.momentum!r} are those of descent, which wants a rate; gradient flow has a time")
        if self.rate != 0 and (self.time is not None or self.steps == 0):
            raise InvalidInput(f"{type(self).__name__}: descent with rate={self.rate!r} goes by steps; steps={self.steps!r} and time={self.time!r} were given")
        flow = math.inf if self.time is None else float(self.time)
        return _engine.train_in_closed_form(self._gram(x), targets, flow, float(self.rate), float(self.momentum), int(self.steps), self.memory)


class WideNetwork(Regression, _Dynamics):
    """What an infinitely wide network (or one linear in its weights) predicts at a time of its training by full batches on ½Σr², in closed form, averaged over its random
    initial weights: f_t(x) = Θ_x U g_t(λ) Uᵀ y, Θ = U diag(λ) Uᵀ (docs/machines.md). The kernel is a tangent kernel; with biases, since
    without them inputs on one ray cannot be told apart.

    time       of gradient flow; None: infinite
    rate, steps, momentum   gradient descent in place of flow: w ← w − rate·b, b ← momentum·b + ∇L. A rate that diverges is refused; numbers_["stable_rate"]
    """

    def __init__(self, kernel: Kernel | str = "ntk(dense:b=0.1 relu dense:b=0.1)", *, time: float | None = None, rate: float = 0.0, steps: int = 0, momentum: float = 0.0, center: bool = True,
                 memory: int = MEMORY):
        self.kernel, self.time, self.rate, self.steps, self.momentum, self.center, self.memory = kernel, time, rate, steps, momentum, center, memory


class WideNetworkClassifier(Scores, _Dynamics):
    """WideNetwork with one output for each class, trained on squares; the largest wins."""

    def __init__(self, kernel: Kernel | str = "ntk(dense:b=0.1 relu dense:b=0.1)", *, time: float | None = None, rate: float = 0.0, steps: int = 0, momentum: float = 0.0, memory: int = MEMORY):
        self.kernel, self.time, self.rate, self.steps, self.momentum, self.memory = kernel, time, rate, steps, momentum, memory
