"""What all machines share: kernel, examples, file; targets as numbers and as classes."""

from __future__ import annotations

import copyreg
import pathlib
import tempfile
from collections.abc import Sequence
from typing import Any

import numpy
import torch
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.utils import check_random_state
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from .. import _engine
from .._engine import InvalidInput
from ..kernels import Array, Kernel, parse


FILE = "machine.safetensors"
MEMORY = 4 << 30


def _packed(machine: Any) -> tuple:
    with tempfile.TemporaryDirectory() as folder:
        machine.save(folder)
        return _unpacked, ((pathlib.Path(folder) / FILE).read_bytes(),)


def _unpacked(content: bytes) -> Any:
    with tempfile.TemporaryDirectory() as folder:
        (pathlib.Path(folder) / FILE).write_bytes(content)
        return _engine.load_machine(folder)


copyreg.pickle(_engine.Machine, _packed)  # pickled and copied as it is saved


def plain(X: Any) -> Any:
    return X.detach().cpu().numpy() if isinstance(X, torch.Tensor) else X


def float64(X: numpy.ndarray) -> torch.Tensor:
    return torch.from_numpy(numpy.require(X, numpy.float64, ["C", "W"]))


def seed_of(random_state: Any) -> int:
    return random_state if isinstance(random_state, int) and random_state >= 0 else int(check_random_state(random_state).randint(2**31))


def _read_names(names: list[str]) -> numpy.ndarray:
    if names and all(n.removeprefix("-").isdecimal() and str(int(n)) == n for n in names):
        return numpy.array([int(n) for n in names])
    if set(names) <= {"False", "True"}:
        return numpy.array([n == "True" for n in names])
    return numpy.array(names)


def keep_shape(machine: Any, flat: bool) -> None:
    """Targets [n, 1] are no [n]: a file tells them apart by this number."""
    if not flat:
        machine.numbers = machine.numbers | {"columns": float(machine.offset.numel() if machine.offset is not None else machine.parts["alpha"].shape[1])}


def was_flat(machine: Any, columns: int) -> bool:
    return columns == 1 and "columns" not in machine.numbers


class Machine(BaseEstimator):
    """Kernel, examples and file; `machine_` is the engine's."""

    _kind = ""
    _least = 1

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.pairwise = isinstance(self.kernel, str) and self.kernel == "precomputed"
        return tags

    def _resolved_kernel(self) -> Kernel | None:
        if isinstance(self.kernel, Kernel):
            return self.kernel
        if not isinstance(self.kernel, str):
            raise InvalidInput(f"{type(self).__name__}: kernel is {self.kernel!r}; a kernel of pathkernel.kernels, its text, or \"precomputed\" is expected")
        return None if self.kernel == "precomputed" else parse(self.kernel)

    def _begin(self, X: Any, **checks: Any) -> Any:
        """X, or X and y, checked; self.kernel_."""
        checked = validate_data(self, plain(X), dtype=numpy.float64, allow_nd=True, ensure_min_samples=self._least, **checks)
        self.kernel_ = self._resolved_kernel()
        return (float64(checked[0]), checked[1]) if isinstance(checked, tuple) else float64(checked)

    def _gram(self, x: torch.Tensor) -> torch.Tensor:
        """Of the training examples."""
        if self.kernel_ is not None:
            return self.kernel_.gram(x, memory=self.memory)
        _engine.require_positive_semi_definite(x, type(self).__name__)
        return x

    def _finish(self, machine: Any, x: torch.Tensor, offset: numpy.ndarray | None = None, classes: Sequence = ()) -> None:
        machine.kind, machine.classes = self._kind, [str(c) for c in classes]
        if self.kernel_ is not None:
            machine.kernel = str(self.kernel_)
            if machine.inputs is None:
                machine.inputs = x
        if offset is not None:
            machine.offset = float64(offset)
        self.machine_ = machine

    def _ask(self, X: Any, K_new: Any = None) -> dict[str, Any]:
        check_is_fitted(self)
        x = float64(validate_data(self, plain(X), reset=False, dtype=numpy.float64, allow_nd=True))
        if self.kernel_ is not None:
            return self.machine_.predict_inputs(x, self.memory)
        if not self.machine_.wants_diagonal:
            return self.machine_.predict(x)
        if K_new is None:
            raise InvalidInput(f"{type(self).__name__}: with a precomputed kernel it also wants K_new, k(x, x) of the queries [m], or their Gram matrix [m, m]")
        own = numpy.asarray(plain(K_new), numpy.float64)
        return self.machine_.predict(x, float64(own.diagonal() if own.ndim == 2 else own))

    def _between(self, X: Any) -> tuple[torch.Tensor, torch.Tensor]:
        """X, and K(X, examples)."""
        check_is_fitted(self)
        x = float64(validate_data(self, plain(X), reset=False, dtype=numpy.float64, allow_nd=True))
        return x, x if self.kernel_ is None else self.kernel_.gram(x, self.machine_.inputs, memory=self.memory)

    @property
    def numbers_(self) -> dict[str, float]:
        """What the fit says of itself: lambda, log_evidence, jitter, residual, …"""
        check_is_fitted(self)
        return self.machine_.numbers

    def save(self, folder: str | pathlib.Path) -> None:
        """Writes machine.safetensors into the folder (made if need be); `load` and the program's `machine predict` read it. The file appears whole or not at all."""
        check_is_fitted(self)
        self.machine_.save(str(folder))

    @classmethod
    def _loaded(cls, machine: Any) -> Machine:
        new = cls(kernel=parse(machine.kernel) if machine.kernel else "precomputed", **cls._settings(machine))
        new.machine_ = machine
        new.kernel_ = new._resolved_kernel()
        new.n_features_in_ = machine.columns if not machine.kernel else machine.inputs.shape[1]
        if machine.classes:
            new.classes_ = _read_names(machine.classes)
        new._flat = machine.offset is not None and was_flat(machine, len(machine.offset))
        return new

    @classmethod
    def _settings(cls, machine: Any) -> dict[str, Any]:
        """Constructor arguments that the file tells."""
        return {}


class Regression(RegressorMixin):
    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags

    def fit(self, X: Array, y: Array) -> Any:
        """X [n, ...] or a Gram matrix [n, n]; y [n] or [n, k]."""
        x, y = self._begin(X, y=plain(y), multi_output=True, y_numeric=True)
        self._flat = y.ndim == 1
        targets = numpy.asarray(y, numpy.float64).reshape(len(y), -1)
        offset = targets.mean(0) if self.center else numpy.zeros(targets.shape[1])
        self._finish(self._fitted(x, float64(targets - offset)), x, offset)
        keep_shape(self.machine_, self._flat)
        return self

    def _shaped(self, values: torch.Tensor) -> numpy.ndarray:
        """[m, k] as y was."""
        return values[..., 0].numpy() if self._flat else values.numpy()

    def predict(self, X: Array) -> numpy.ndarray:
        """[m] or [m, k], as y was."""
        return self._shaped(self._ask(X)["outputs"])


class Labels(ClassifierMixin):
    def _begin_labels(self, X: Any, y: Any, least: int = 1) -> tuple[torch.Tensor, torch.Tensor]:
        """X, and labels 0 … C − 1; self.classes_."""
        x, y = self._begin(X, y=plain(y))
        check_classification_targets(y)
        self.classes_, labels = numpy.unique(y, return_inverse=True)
        if len(self.classes_) < least:
            raise InvalidInput(f"{type(self).__name__}: y has 1 class ({self.classes_[0]}); at least two are needed")
        return x, torch.from_numpy(labels.astype(numpy.int64))

    def predict(self, X: Array) -> numpy.ndarray:
        """Labels, [m]."""
        labels = self._ask(X)["classes"].numpy()
        return self.classes_[labels]


class Scores(Labels):
    """Classes as one number each: 1 − 1/C for an example's own, −1/C for the others; the largest output wins."""

    def fit(self, X: Array, y: Array) -> Any:
        """X [n, ...] or a Gram matrix [n, n]; y [n] labels of any kind."""
        x, labels = self._begin_labels(X, y)
        share = 1 / len(self.classes_)
        targets = torch.nn.functional.one_hot(labels, len(self.classes_)).double() - share
        self._flat = False
        self._finish(self._fitted(x, targets), x, numpy.full(len(self.classes_), share), self.classes_)
        return self

    def _shaped(self, values: torch.Tensor) -> numpy.ndarray:
        return values.numpy()

    def decision_function(self, X: Array) -> numpy.ndarray:
        """The outputs, [m, C]; of two classes the second's less the first's, [m]."""
        outputs = self._ask(X)["outputs"].numpy()
        return outputs[:, 1] - outputs[:, 0] if outputs.shape[1] == 2 else outputs
