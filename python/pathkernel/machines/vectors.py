"""Support vectors and principal components."""

from __future__ import annotations

from typing import Any

import numpy
from sklearn.base import ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils.metaestimators import available_if

from .. import _engine
from ..kernels import Array, Kernel
from .base import MEMORY, Labels, Machine, seed_of


class SupportVectorClassifier(Labels, Machine):
    """A support vector machine by LIBSVM, one against one (C-SVC); the class with most pairs wins.

    C             what an example inside the margin costs
    probability   also probabilities: Platt's sigmoids by five-fold cross-validation, five times the work; random_state draws the folds
    tol           of the optimum's conditions, where LIBSVM stops

    classes_, support_ [s] (numbers of the examples), n_support_ [C], dual_coef_ [C − 1, s], intercept_ [pairs] (signs as scikit-learn's SVC), numbers_ (gap: of the duality).
    """

    _kind = "svm"

    def __init__(self, kernel: Kernel | str = "rbf", C: float = 1.0, *, probability: bool = False, tol: float = 1e-3, random_state: Any = 0, memory: int = MEMORY):
        self.kernel, self.C, self.probability, self.tol, self.random_state, self.memory = kernel, C, probability, tol, random_state, memory

    def fit(self, X: Array, y: Array) -> SupportVectorClassifier:
        """X [n, ...] or a Gram matrix [n, n]; y [n] labels of any kind, at least two."""
        x, labels = self._begin_labels(X, y, least=2)
        machine = _engine.fit_svm(self._gram(x), labels, len(self.classes_), float(self.C), bool(self.probability), float(self.tol), seed_of(self.random_state), self.memory)
        self._finish(machine, x, classes=self.classes_)
        self._read_parts()
        return self

    def _read_parts(self) -> None:
        parts, sign = self.machine_.parts, -1.0 if len(self.machine_.classes) == 2 else 1.0
        self.support_, self.n_support_ = parts["support"].numpy(), parts["per_class"].numpy()
        self.dual_coef_, self.intercept_ = sign * parts["coefficients"].numpy(), -sign * parts["rho"].numpy()

    @classmethod
    def _loaded(cls, machine: Any) -> SupportVectorClassifier:
        new = super()._loaded(machine)
        new._read_parts()
        return new

    @classmethod
    def _settings(cls, machine: Any) -> dict[str, Any]:
        return {"probability": "sigmoids" in machine.parts} | ({"C": machine.numbers["C"]} if "C" in machine.numbers else {})

    def pair_decisions(self, X: Array) -> numpy.ndarray:
        """f of each pair of classes (0,1), (0,2), …, (1,2), …, [m, pairs]; positive speaks for the first."""
        return self._ask(X)["outputs"].numpy()

    @available_if(lambda self: len(getattr(self, "classes_", (0, 1))) == 2)
    def decision_function(self, X: Array) -> numpy.ndarray:
        """Of two classes: positive for the second, [m]. Of more there are pair_decisions()."""
        return -self.pair_decisions(X)[:, 0]

    @available_if(lambda self: self.probability)
    def predict_proba(self, X: Array) -> numpy.ndarray:
        """[m, C], coupled from the pairs' sigmoids (Wu, Lin and Weng 2004). The most probable class may differ from predict()."""
        return self._ask(X)["probabilities"].numpy()


class KernelPCA(ClassNamePrefixFeaturesOutMixin, TransformerMixin, Machine):
    """Principal components in the kernel's feature space (Schölkopf, Smola and Müller 1998), of the centred Gram matrix.

    n_components   at most so many; None: all above rounding

    explained_variance_ [c] (eigenvalues over n), explained_variance_ratio_ [c] (their shares of the trace). Directions have their largest coefficient positive.
    """

    _kind = "pca"
    _least = 2

    def __init__(self, kernel: Kernel | str = "rbf", n_components: int | None = 2, *, memory: int = MEMORY):
        self.kernel, self.n_components, self.memory = kernel, n_components, memory

    def fit(self, X: Array, y: None = None) -> KernelPCA:
        """X [n, ...] or a Gram matrix [n, n]; y is not looked at."""
        x = self._begin(X)
        self._finish(_engine.fit_kernel_pca(self._gram(x), self.n_components or 0, self.memory), x)
        self._read_parts()
        return self

    def _read_parts(self) -> None:
        parts = self.machine_.parts
        self.explained_variance_, self.explained_variance_ratio_ = parts["variances"].numpy(), parts["explained"].numpy()
        self._n_features_out = len(self.explained_variance_)

    @classmethod
    def _loaded(cls, machine: Any) -> KernelPCA:
        new = super()._loaded(machine)
        new._read_parts()
        return new

    @classmethod
    def _settings(cls, machine: Any) -> dict[str, Any]:
        return {"n_components": machine.parts["variances"].shape[0]}

    def transform(self, X: Array) -> numpy.ndarray:
        """Coordinates, [m, c]."""
        return self._ask(X)["outputs"].numpy()
