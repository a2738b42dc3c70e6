"""Ridge regression on kernels: exact, by conjugate gradients, on features."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy
import torch

from .. import _engine
from .._engine import InvalidInput
from ..kernels import Array, Kernel
from .base import MEMORY, Machine, Regression, Scores, float64, plain, seed_of


class _ExactRidge(Machine):
    _kind = "ridge"

    def _fitted(self, x: torch.Tensor, targets: torch.Tensor) -> Any:
        if self.method == "cg":
            return self._by_cg(x, targets)
        if self.method != "exact":
            raise InvalidInput(f"{type(self).__name__}: method is {self.method!r}; \"exact\" or \"cg\" is expected (approximations: FeatureRidge)")
        K = self._gram(x)
        if self.alpha is None:
            lambdas = [K.diagonal().mean().item() * 10.0**p for p in range(-6, 3)]
        else:
            lambdas = [float(a) for a in numpy.atleast_1d(self.alpha)]
        machine, found = _engine.fit_ridge(K, targets, lambdas, self.jitter, self.memory)
        left_out = found["leave_one_out"]
        machine.numbers = {**machine.numbers, "leave_one_out_rmse": math.sqrt((left_out - targets).square().mean().item())}
        self.leave_one_out_ = self._shaped(left_out)
        self.alpha_, self.dual_coef_ = machine.numbers["lambda"], self._shaped(machine.parts["alpha"])
        return machine

    def _by_cg(self, x: torch.Tensor, targets: torch.Tensor) -> Any:
        if self.kernel_ is None or not numpy.isscalar(self.alpha):
            raise InvalidInput(f"{type(self).__name__}: method \"cg\" computes the kernel as it goes; it wants a kernel (not \"precomputed\") and one alpha")
        machine = _engine.fit_ridge_by_cg(self.kernel_._engine, x, targets, float(self.alpha), self.rank, self.iterations, self.tol, self.memory)
        if machine.numbers["converged"] == 0:
            raise InvalidInput(f"{type(self).__name__}: conjugate gradients stand at a residual of {machine.numbers['residual']:.2g} of the targets after {self.iterations} "
                               "iterations; allow more iterations, a higher rank or a larger alpha")
        self.alpha_, self.dual_coef_ = float(self.alpha), self._shaped(machine.parts["alpha"])
        return machine

    @classmethod
    def _settings(cls, machine: Any) -> dict[str, Any]:
        return {"alpha": machine.numbers["lambda"]} if "lambda" in machine.numbers else {}

    def contributions(self, X: Array) -> numpy.ndarray:
        """α_i k(x, x_i), what each example adds to each prediction, [m, n] or [m, n, k]: summed over i they are predict() less the targets' mean (of scores less 1/C)."""
        _, K_x = self._between(X)
        return self._shaped(K_x.unsqueeze(2) * self.machine_.parts["alpha"])

    def removals(self, X: Array, K: Array | None = None) -> numpy.ndarray:
        """f(x) − f^{−i}(x), what really changes when the machine is fitted without example i, in closed form, [m, n] or [m, n, k] (the targets' mean stays).

        K: the training examples' Gram matrix, where it was precomputed.
        """
        _, K_x = self._between(X)
        if self.kernel_ is None and K is None:
            raise InvalidInput(f"{type(self).__name__}: with a precomputed kernel, removals want K, the Gram matrix that the machine was fitted to")
        gram = self.kernel_.gram(self.machine_.inputs, memory=self.memory) if self.kernel_ is not None else float64(numpy.asarray(plain(K)))
        alpha, numbers = self.machine_.parts["alpha"], self.machine_.numbers
        diagonal = numbers["lambda"] + numbers.get("jitter", 0)
        return self._shaped(_engine.ridge_removals(gram, gram @ alpha + diagonal * alpha, diagonal, K_x, self.jitter, self.memory))


class Ridge(Regression, _ExactRidge):
    """Kernel ridge regression, f(x) = Σ_i α_i k(x, x_i) + mean, α = (K + λI)⁻¹(y − mean). scikit-learn's KernelRidge with a mean and leave-one-out.

    alpha      λ ≥ 0, in the units of k(x, x); of a list the one with the smallest leave-one-out error; None: of nine from 1e-6 to 100 times the mean k(x, x)
    method     "exact"; or "cg": conjugate gradients, nothing of size n² is kept, with a preconditioner of this `rank`, to a residual of `tol` of the targets
    center     whether the targets' mean is subtracted, and given back

    alpha_, dual_coef_ (α), leave_one_out_ (f^{−i}(x_i) less the mean, as y; not with "cg"), numbers_.
    """

    def __init__(self, kernel: Kernel | str = "rbf", alpha: float | Sequence[float] | None = None, *, method: str = "exact", center: bool = True, rank: int = 200,
                 iterations: int = 1000, tol: float = 1e-8, jitter: float = 0.0, memory: int = MEMORY):
        self.kernel, self.alpha, self.method, self.center, self.rank, self.iterations, self.tol = kernel, alpha, method, center, rank, iterations, tol
        self.jitter, self.memory = jitter, memory


class RidgeClassifier(Scores, _ExactRidge):
    """Kernel ridge regression on one number for each class; the largest wins. Arguments and attributes as Ridge."""

    def __init__(self, kernel: Kernel | str = "rbf", alpha: float | Sequence[float] | None = None, *, method: str = "exact", rank: int = 200, iterations: int = 1000,
                 tol: float = 1e-8, jitter: float = 0.0, memory: int = MEMORY):
        self.kernel, self.alpha, self.method, self.rank, self.iterations, self.tol, self.jitter, self.memory = kernel, alpha, method, rank, iterations, tol, jitter, memory


class _Features(Machine):
    _kind = "ridge"

    def __init__(self, kernel: Kernel | str = "rbf", alpha: float = 1e-3, *, method: str = "nystroem", components: int = 1000, center: bool = True, random_state: Any = 0,
                 jitter: float = 0.0, memory: int = MEMORY):
        self.kernel, self.alpha, self.method, self.components, self.center, self.random_state = kernel, alpha, method, components, center, random_state
        self.jitter, self.memory = jitter, memory

    def _fitted(self, x: torch.Tensor, targets: torch.Tensor) -> Any:
        if self.kernel_ is None:
            raise InvalidInput(f"{type(self).__name__}: it never computes the whole Gram matrix; give a kernel, not \"precomputed\"")
        if self.method not in ("nystroem", "random-features"):
            raise InvalidInput(f"{type(self).__name__}: method is {self.method!r}; \"nystroem\" or \"random-features\" is expected")
        fit = _engine.fit_nystrom if self.method == "nystroem" else _engine.fit_random_features
        return fit(self.kernel_._engine, x, targets, float(self.alpha), self.components, seed_of(self.random_state), self.jitter, self.memory)

    @classmethod
    def _settings(cls, machine: Any) -> dict[str, Any]:
        parts, features = machine.parts, machine.type == "fourier_expansion"
        settings = {"method": "random-features" if features else "nystroem", "components": parts["directions"] if features else machine.columns}
        return settings | {"alpha": machine.numbers["lambda"]} if "lambda" in machine.numbers else settings


class FeatureRidge(Regression, _Features):
    """Kernel ridge regression for many examples, by an approximation of the kernel; n·components² operations, nothing of size n².

    alpha        λ > 0
    method       "nystroem": `components` of the examples stand for all; numbers_["unexplained"] is the part of K's trace that they leave.
                 "random-features": `components` random frequencies, for rbf, laplace and matern; numbers_["kernel_error"] is the kernel's standard error
    center       whether the targets' mean is subtracted, and given back
    """


class FeatureRidgeClassifier(Scores, _Features):
    """FeatureRidge on one number for each class; the largest wins."""

    def __init__(self, kernel: Kernel | str = "rbf", alpha: float = 1e-3, *, method: str = "nystroem", components: int = 1000, random_state: Any = 0, jitter: float = 0.0,
                 memory: int = MEMORY):
        self.kernel, self.alpha, self.method, self.components, self.random_state, self.jitter, self.memory = kernel, alpha, method, components, random_state, jitter, memory
