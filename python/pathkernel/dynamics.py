"""How a recorded network moved: how far kernels account for what training changed, and its Taylor polynomials trained beside it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy

from . import _engine
from ._engine import InvalidInput
from .progress import bar


@dataclass(frozen=True)
class KernelFidelity:
    """How far one kernel explains f_T − f_0 on the queries; NaN where the run has no such number."""

    kernel: str  #: path, untrained, trained (tangent kernels), outputs (f(x)·f(x')), gaussian (of the inputs) or noise (of random numbers)
    tautology: float  #: with a_i(x) = c_i(x)/k(x, x_i): how far Σ a_i(x)k(x, x_i) is from Σ c_i(x); rounding, whatever k is
    spread: float  #: interquartile range over x of those a_i(x), by their median; 0: independent of x
    time_mean: float  #: R² of −Σ_i k(x, x_i) r̄_i, r̄ the residuals' mean in time: no number is fitted
    least_squares: float  #: R² on every second query of coefficients fitted to the others
    negative: float  #: share of k(x, x_i) < 0


@dataclass(frozen=True)
class Fidelity:
    """How far a recorded network is a kernel machine whose coefficients do not depend on x (theory 1)."""

    queries: int
    examples: int
    outputs: int
    steps: int
    flow: float  #: R² of Σ_i c_i(x), the run read as gradient flow; NaN for optimizers other than SGD
    kernels: dict[str, KernelFidelity]  #: the path kernel and controls, by name


@dataclass(frozen=True)
class TaylorMoment:
    """A recorded network and its Taylor polynomial, trained alike, at one moment; the polynomial's numbers are NaN from where it diverged."""

    step: int
    loss: float  #: mean over the inputs
    taylor_loss: float
    accuracy: float  #: NaN where the targets are no classes, as the next two
    taylor_accuracy: float
    agreement: float  #: share of the inputs to which both give the same class
    distance: float  #: ‖f_Taylor − f‖/‖f − f_0‖ over all outputs
    weight_distance: float  #: ‖w_Taylor − w‖/‖w − w_0‖


@dataclass(frozen=True)
class Taylorised:
    """What run.taylorised() found."""

    order: int
    moments: list[TaylorMoment]
    diverged: int  #: the first step after which the polynomial's loss or weights were not finite; −1: none
    outputs: numpy.ndarray  #: [moments, n, O] of the network
    taylor_outputs: numpy.ndarray  #: of the polynomial


class Dynamics:
    """What a Run can be asked of its dynamics."""

    def fidelity(self, queries: Any, memory: int = 4 << 30, progress: bool | Callable = True) -> Fidelity:
        """R² of f_T − f_0 on the queries by the path kernel and by controls, with coefficients that do not depend on x (theory 1).

        queries: eight inputs or more; every second one is kept from the fits. Cost: a replay, with the queries' Jacobians twice a step.
        """
        trained, asked = self._closed(), self._queries(queries)
        with trained.keeping_state():
            found = _engine.fidelity(self.folder, trained.parts, asked["inputs"], memory, bar(progress))
        return Fidelity(**{**found, "kernels": {k["kernel"]: KernelFidelity(**k) for k in found["kernels"]}})

    def taylorised(self, probe: Any, order: int = 1, steps: Iterable[int] = (), count: int = 9, progress: bool | Callable = True) -> Taylorised:
        """Trains the network's Taylor polynomial in its weights at the initial ones, f_0 + JΔ (+ ½ d²f[Δ, Δ] of order 2), on the run's batches with its
        optimizer, learning rates and random numbers, and compares it with the network (Lee et al. 2019; Bai and Lee 2020).

        probe: (inputs, targets); steps: where to compare (None given: `count` evenly spaced ones, start and end among them).
        Of any model that autograd differentiates twice (order 2: three times).
        """
        trained, asked = self._closed(), self._queries(probe)
        if asked["targets"] is None:
            raise InvalidInput("taylorised: the targets of the probe are needed; give (inputs, targets)")
        with trained.keeping_state():
            found = _engine.taylorised(self.folder, trained.parts, asked["inputs"], asked["targets"], order, list(steps), count, bar(progress))
        moments = [TaylorMoment(**moment) for moment in found["moments"]]
        return Taylorised(found["order"], moments, found["diverged"], found["outputs"].numpy(), found["taylor_outputs"].numpy())
