"""Trained networks fitted to another task in function space."""

from __future__ import annotations

import copy
import pathlib
from collections.abc import Sequence
from typing import Any

import numpy
import torch
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted

from .. import _engine
from .._engine import InvalidInput
from ..network import Network, Structure, keeping_state
from ..progress import bar
from ..run import Run
from ..tangents import inputs_of
from .base import MEMORY, _read_names, keep_shape, was_flat


def _tensors(X: Any) -> Any:
    if isinstance(X, (tuple, list)) and X and isinstance(X[0], (torch.Tensor, numpy.ndarray)):
        return tuple(_tensors(x) for x in X)
    if isinstance(X, dict):
        return {k: _tensors(x) for k, x in X.items()}
    if isinstance(X, torch.Tensor):
        return X.detach()
    array = numpy.asarray(X)
    if array.dtype.kind not in "fiub":
        raise InvalidInput(f"fine-tuning: X is an array of {array.dtype}; numbers, as the network takes a batch of them, are expected")
    return torch.from_numpy(numpy.require(array, requirements=["C", "W"]))


def _several(values: Any) -> list[float]:
    return [] if values is None else [float(v) for v in numpy.atleast_1d(values)]


class _FineTuned(BaseEstimator):
    """The network with its own weights, and what the engine fitted; `machine_` is the engine's."""

    def _module(self) -> torch.nn.Module:
        if isinstance(self.model, Run):
            return self.model.trained_model()
        if isinstance(self.model, torch.nn.Module):
            return self.model
        raise InvalidInput(f"{type(self).__name__}: model is a {type(self.model).__name__}; a torch.nn.Module, or a run (pathkernel.open) whose trained network is meant, is expected")

    def _network(self, module: torch.nn.Module) -> tuple[Network, Any]:
        network = Network(module)
        if not any(p.requires_grad for p in network.module.parameters()):
            raise InvalidInput(f"{type(self).__name__}: the model has no parameters that require gradients")
        none = {"name": "none", "class_names": [], "targets": None, "inputs": None, "source": None}
        return network, _engine.Parts(network.module, network.forward, network.set_mode, network.specification, None, None, {}, none)

    def _inputs(self, X: Any, what: str) -> list[torch.Tensor]:
        inputs = _tensors(X)
        structure, flat = Structure.of(inputs, what)
        if self._network_.inputs is None:
            self._network_.inputs = structure
        self._try_one(flat)
        return inputs_of(self._network_, inputs, torch.float64)

    def _try_one(self, inputs: list[torch.Tensor]) -> None:
        """That the network takes such inputs at all, with its own words where it does not."""
        dtype = next(p.dtype for p in self._network_.module.parameters() if p.requires_grad)
        self._network_.set_mode(False)
        try:
            with torch.no_grad():
                self._network_.forward(*(t[:1].to(dtype) if t.is_floating_point() else t[:1] for t in inputs))
        except Exception as error:
            found = ", ".join(f"{str(t.dtype).removeprefix('torch.')} {list(t.shape)}" for t in inputs)
            raise InvalidInput(f"{type(self).__name__}: the network does not take X ({found}): {error}") from error

    def _fit(self, X: Any, targets: torch.Tensor, classes: int, noise: list[float]) -> None:
        if self.start not in ("network", "zero"):
            raise InvalidInput(f"{type(self).__name__}: start is {self.start!r}; \"network\" or \"zero\" is expected")
        if self.method not in ("exact", "cg"):
            raise InvalidInput(f"{type(self).__name__}: method is {self.method!r}; \"exact\" or \"cg\" is expected")
        self._network_, self._parts_ = self._network(self._module())
        with keeping_state(self._network_, None):
            self._examples_ = self._inputs(X, "X")
            machine = _engine.finetune(self._parts_, self._examples_, targets, _several(self.prior), noise, self.start == "network", classes, self.method == "cg", self.rank, self.iterations,
                                       float(self.tol), float(self.jitter), self.memory, bar(False))
        if machine.numbers["converged"] == 0:
            raise InvalidInput(f"{type(self).__name__}: it stands at a residual of {machine.numbers['residual']:.2g} after {machine.numbers['iterations']:.0f} iterations; allow more, "
                               "a smaller prior or more noise")
        self.machine_, self.prior_ = machine, machine.numbers["prior"]
        self.log_marginal_likelihood_value_ = machine.numbers.get("log_evidence")

    def _ask(self, X: Any, variance: bool) -> dict[str, Any]:
        check_is_fitted(self, "machine_")
        with keeping_state(self._network_, None):
            return _engine.predict_finetuned(self.machine_, self._parts_, self._examples_, self._inputs(X, "X"), variance, self.memory)

    @property
    def numbers_(self) -> dict[str, float]:
        """What the fit says of itself: prior, noise, log_evidence, residual, iterations, jitter."""
        check_is_fitted(self, "machine_")
        return self.machine_.numbers

    @property
    def change_(self) -> dict[str, torch.Tensor]:
        """The change of the weights v that the fit amounts to, by parameter: predictions are m(x) + J(x)v."""
        check_is_fitted(self, "machine_")
        named = [(n, p) for n, p in self._network_.module.named_parameters() if p.requires_grad]
        parts = self.machine_.parts["change"].split([p.numel() for _, p in named])
        return {name: part.view(p.shape).clone() for (name, p), part in zip(named, parts)}

    def save(self, folder: str | pathlib.Path) -> None:
        """Writes machine.safetensors with the network's weights into the folder; `load` of this class reads it, and of the program's own networks its `machine predict` too."""
        check_is_fitted(self, "machine_")
        if len(self._examples_) != 1:
            raise InvalidInput(f"{type(self).__name__}: a file holds one input an example, but this network takes {len(self._examples_)}")
        self.machine_.save(str(folder))

    @classmethod
    def load(cls, folder: str | pathlib.Path, model: torch.nn.Module) -> Any:
        """From its folder; model: built as the one that was fitted, whose weights do not matter (they are set to those of the file)."""
        machine = _engine.load_machine(str(folder))
        if machine.type != "finetuned" or machine.parts["classes"] != issubclass(cls, ClassifierMixin):
            raise InvalidInput(f"{folder}: it holds a {machine.kind}, no {cls.__name__}")
        specification, tensors = machine.network
        own = dict(model.named_parameters()) | dict(model.named_buffers())
        wrong = [n for n in own.keys() | tensors.keys() if n not in own or n not in tensors or own[n].shape != tensors[n].shape]
        if wrong:
            raise InvalidInput(f"{folder}: the network of the file ({specification}) has another '{sorted(wrong)[0]}' than the model; build the model that was fitted")
        with torch.no_grad():
            for name, tensor in own.items():
                tensor.copy_(tensors[name])
        parts = machine.parts
        new = cls(model, prior=machine.numbers["prior"], start="network" if parts["from_network"] else "zero", method="exact" if parts["exact"] else "cg")
        new._network_, new._parts_ = new._network(model)
        new._examples_, new.machine_, new.prior_ = [machine.inputs], machine, machine.numbers["prior"]
        new._network_.inputs = Structure("tensor")
        new.log_marginal_likelihood_value_ = machine.numbers.get("log_evidence")
        new._read(machine)
        return new


class FineTunedRegressor(RegressorMixin, _FineTuned):
    """A trained network fitted to other numbers in function space: the Gaussian process f(x) = m(x) + J(x)v, v ~ N(0, prior·I), y = f + N(0, noise), of all outputs together, with the
    network's Jacobian J by all of its weights that require gradients (Maddox et al. 2021, Fast Adaptation with Linearized Neural Networks). In float64.

    model    a torch.nn.Module with its trained weights, which it keeps, or a run (pathkernel.open): its trained network. As many outputs as targets
    prior    variance of every weight's change; of several (with each noise) the largest evidence wins; None: nine, 1e-4 to 1e4 over the mean of the kernel's diagonal
    noise    variance of the targets' noise, or several; None: five, 1e-4 to 1 times the mean square of what is to be learned
    start    "network": m(x) are the network's own outputs; "zero": the targets' mean
    method   "exact"; "cg": matrix-free for many examples, one vector-Jacobian and one Jacobian-vector product an iteration, with a preconditioner of this `rank`; one prior and one noise,
             no deviations. A fit that did not converge to `tol` is refused

    prior_, noise_, log_marginal_likelihood_value_ (None with "cg"), change_, numbers_.
    """

    def __init__(self, model: Any, *, prior: float | Sequence[float] | None = None, noise: float | Sequence[float] | None = None, start: str = "network", method: str = "exact",
                 rank: int = 50, iterations: int = 1000, tol: float = 1e-8, jitter: float = 0.0, memory: int = MEMORY):
        self.model, self.prior, self.noise, self.start, self.method, self.rank, self.iterations, self.tol = model, prior, noise, start, method, rank, iterations, tol
        self.jitter, self.memory = jitter, memory

    def fit(self, X: Any, y: Any) -> FineTunedRegressor:
        """X [n, ...] as the model takes a batch (numpy or torch; a tuple or dict where it takes several); y [n] or [n, outputs]."""
        targets = torch.as_tensor(numpy.asarray(y.detach() if isinstance(y, torch.Tensor) else y, numpy.float64))
        self._flat = targets.dim() == 1
        self._fit(X, targets, 0, _several(self.noise))
        keep_shape(self.machine_, self._flat)
        self.noise_ = self.machine_.numbers["noise"]
        return self

    def _read(self, machine: Any) -> None:
        self.noise = self.noise_ = machine.numbers["noise"]
        self._flat = was_flat(machine, machine.parts["alpha"].shape[1])

    def predict(self, X: Any, return_std: bool = False) -> Any:
        """The mean, [m] or [m, outputs] as y was; with return_std also the standard deviation of f, without the noise."""
        found = self._ask(X, return_std)
        shaped = (lambda t: t[:, 0].numpy()) if self._flat else (lambda t: t.numpy())
        return (shaped(found["outputs"]), shaped(found["variance"].sqrt())) if return_std else shaped(found["outputs"])


class FineTunedClassifier(ClassifierMixin, _FineTuned):
    """A trained network fitted to other classes in function space: softmax (of one output: the logistic function, two classes) of f(x) = m(x) + J(x)v, v ~ N(0, prior·I), by Laplace's
    approximation: the generalised Gauss-Newton one of the network that is linear in its weights. Arguments as FineTunedRegressor; the network has as many outputs as there are classes.

    classes_, prior_, log_marginal_likelihood_value_ (of the approximation; None with "cg"), change_, numbers_.
    """

    def __init__(self, model: Any, *, prior: float | Sequence[float] | None = None, start: str = "network", method: str = "exact", rank: int = 50, iterations: int = 1000,
                 tol: float = 1e-8, jitter: float = 0.0, memory: int = MEMORY):
        self.model, self.prior, self.start, self.method, self.rank, self.iterations, self.tol = model, prior, start, method, rank, iterations, tol
        self.jitter, self.memory = jitter, memory

    def fit(self, X: Any, y: Any, classes: Sequence | None = None) -> FineTunedClassifier:
        """X as for FineTunedRegressor; y [n] labels of any kind. classes: all of them in the order of the outputs, where not every one stands in y."""
        labels = numpy.asarray(y.detach() if isinstance(y, torch.Tensor) else y)
        check_classification_targets(labels)
        self.classes_ = numpy.unique(labels) if classes is None else numpy.asarray(classes)
        if len(set(self.classes_.tolist())) < len(self.classes_):
            raise InvalidInput(f"FineTunedClassifier: classes are {self.classes_.tolist()}; each is expected once, in the order of the outputs")
        place = {label: i for i, label in enumerate(self.classes_.tolist())}
        unknown = [label for label in numpy.unique(labels).tolist() if label not in place]
        if unknown:
            raise InvalidInput(f"FineTunedClassifier: y has the label {unknown[0]!r}, which is none of the classes given")
        self._fit(X, torch.tensor([place[label] for label in labels.tolist()], dtype=torch.int64), len(self.classes_), [])
        self.machine_.classes = [str(c) for c in self.classes_]
        return self

    def _read(self, machine: Any) -> None:
        self.classes_ = _read_names(machine.classes)

    def decision_function(self, X: Any) -> numpy.ndarray:
        """The mean of f, [m, C]; of one output [m], positive for the second class."""
        outputs = self._ask(X, False)["outputs"].numpy()
        return outputs[:, 0] if outputs.shape[1] == 1 else outputs

    def predict(self, X: Any) -> numpy.ndarray:
        """Labels, [m], by the mean of f."""
        return self.classes_[self._ask(X, False)["classes"].numpy()]

    def predict_proba(self, X: Any, return_error: bool = False) -> Any:
        """[m, C]: the softmax's mean over f's posterior by 2000 draws, with return_error also the largest standard error (of one output: an integral to 1e-10). With "cg" there is no
        posterior covariance: the softmax of the mean, which is too sure."""
        found = self._ask(X, self.machine_.parts["exact"])
        probabilities = found["probabilities"].numpy()
        return (probabilities, found["probability_error"]) if return_error else probabilities
