"""Gaussian processes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy
import torch
from sklearn.utils.validation import check_is_fitted

from .. import _engine
from .._engine import InvalidInput
from ..kernels import Array, Kernel
from .base import MEMORY, Labels, Machine, Regression, float64, plain, seed_of


class GaussianProcessRegressor(Regression, Machine):
    """y = f(x) + N(0, noise), f ~ GP(mean, k) (Rasmussen and Williams 2006, algorithm 2.1). Several outputs: independent processes with one kernel.

    noise      variance of the targets' noise, ≥ 0
    optimise   choose noise and the kernel's numbers by the evidence: L-BFGS from here and from `restarts` other places
    fixed      names of numbers to leave alone: "lengthscale", "0.scale", "noise"
    center     whether the targets' mean is subtracted, and given back

    kernel_ (with the numbers found), noise_, log_marginal_likelihood_value_, search_ (where it ended: text, converged, at_bound, starts; None without).
    """

    _kind = "gp"

    def __init__(self, kernel: Kernel | str = "rbf", noise: float = 0.1, *, optimise: bool = False, restarts: int = 3, fixed: Sequence[str] = (), center: bool = True,
                 random_state: Any = 0, jitter: float = 0.0, memory: int = MEMORY):
        self.kernel, self.noise, self.optimise, self.restarts, self.fixed, self.center = kernel, noise, optimise, restarts, fixed, center
        self.random_state, self.jitter, self.memory = random_state, jitter, memory

    def _fitted(self, x: torch.Tensor, targets: torch.Tensor) -> Any:
        self.noise_, self.search_ = float(self.noise), None
        if self.optimise:
            if self.kernel_ is None:
                raise InvalidInput("GaussianProcessRegressor: optimise changes the kernel; give one, not \"precomputed\"")
            self.kernel_ = self.kernel_.copy()
            self.search_ = _engine.fit_hyperparameters(self.kernel_._engine, x, targets, self.noise_, self.restarts, list(self.fixed), seed_of(self.random_state), self.jitter, self.memory)
            self.noise_ = self.search_["noise"]
        machine = _engine.fit_gaussian_process(self._gram(x), targets, self.noise_, self.jitter, self.memory)
        self.log_marginal_likelihood_value_ = machine.numbers["log_evidence"]
        return machine

    @classmethod
    def _loaded(cls, machine: Any) -> GaussianProcessRegressor:
        new = super()._loaded(machine)
        new.noise = new.noise_ = machine.parts["noise"]
        new.search_, new.log_marginal_likelihood_value_ = None, machine.parts["log_evidence"]
        return new

    def predict(self, X: Array, return_std: bool = False, return_cov: bool = False, K_new: Array | None = None) -> Any:
        """The posterior's mean, [m] or [m, k]; with return_std also its standard deviation, as the mean; with return_cov its covariance, [m, m]: of f, without the noise.

        K_new: with a precomputed kernel, k(x, x) of the queries, [m], or for a covariance their Gram matrix, [m, m].
        """
        check_is_fitted(self)
        if return_cov:
            x, K_x = self._between(X)
            if self.kernel_ is None and numpy.ndim(K_new) != 2:
                raise InvalidInput("GaussianProcessRegressor: with a precomputed kernel, a covariance wants K_new, the queries' Gram matrix [m, m]")
            own = self.kernel_.gram(x, memory=self.memory) if self.kernel_ is not None else float64(numpy.asarray(plain(K_new)))
            return self._shaped(K_x @ self.machine_.parts["alpha"] + self.machine_.offset), self.machine_.covariance(K_x, own).numpy()
        if self.kernel_ is None and K_new is None and not return_std:
            return self._shaped(self._between(X)[1] @ self.machine_.parts["alpha"] + self.machine_.offset)
        found = self._ask(X, K_new)
        mean = self._shaped(found["outputs"])
        deviation = found["variance"].sqrt().numpy()
        return (mean, deviation if self._flat else numpy.repeat(deviation[:, None], mean.shape[1], 1)) if return_std else mean

    def sample_y(self, X: Array, n_samples: int = 1, random_state: Any = 0, K_new: Array | None = None) -> numpy.ndarray:
        """Draws of f from the posterior, [m, n_samples] or [m, k, n_samples]. Up to 1e-8 of its diagonal is added to a covariance that is singular."""
        mean, covariance = self.predict(X, return_cov=True, K_new=K_new)
        samples, _ = _engine.sample_gaussian(float64(mean.reshape(len(mean), -1)), float64(covariance), n_samples, seed_of(random_state))
        return self._shaped(samples.permute(1, 0, 2)) if self._flat else samples.permute(1, 2, 0).numpy()


class GaussianProcessClassifier(Labels, Machine):
    """Classes by Laplace's approximation: the logistic function of one process for two, the softmax of C processes with one kernel for more (Rasmussen and Williams 2006,
    algorithms 3.1 to 3.4).

    classes_, log_marginal_likelihood_value_ (of the approximation), numbers_.
    """

    _kind = "gp-classifier"

    def __init__(self, kernel: Kernel | str = "rbf", *, jitter: float = 0.0, memory: int = MEMORY):
        self.kernel, self.jitter, self.memory = kernel, jitter, memory

    def fit(self, X: Array, y: Array) -> GaussianProcessClassifier:
        """X [n, ...] or a Gram matrix [n, n]; y [n] labels of any kind, at least two."""
        x, labels = self._begin_labels(X, y, least=2)
        machine = _engine.fit_laplace(self._gram(x), labels, len(self.classes_), self.jitter, self.memory)
        if machine.numbers["converged"] == 0:
            raise InvalidInput(f"GaussianProcessClassifier: Newton's iteration stands where it has not converged after {machine.numbers['iterations']:.0f} steps; the kernel's values "
                               "may be too large (its scale), or the Gram matrix too close to singular")
        self.log_marginal_likelihood_value_ = machine.numbers["log_evidence"]
        self._finish(machine, x, classes=self.classes_)
        return self

    @classmethod
    def _loaded(cls, machine: Any) -> GaussianProcessClassifier:
        new = super()._loaded(machine)
        new.log_marginal_likelihood_value_ = machine.parts["log_evidence"]
        return new

    def predict(self, X: Array, K_new: Array | None = None) -> numpy.ndarray:
        """The most probable labels, [m]. K_new: with a precomputed kernel, k(x, x) of the queries, [m]."""
        labels = self._ask(X, K_new)["classes"].numpy()
        return self.classes_[labels]

    def predict_proba(self, X: Array, K_new: Array | None = None, return_error: bool = False) -> Any:
        """[m, C]: for two classes an integral to 1e-10; for more the softmax's mean over 2000 draws, with return_error also the largest standard error."""
        found = self._ask(X, K_new)
        probabilities = found["probabilities"].numpy()
        return (probabilities, found["probability_error"]) if return_error else probabilities
