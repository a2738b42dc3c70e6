"""What is asked: inputs, and a measurement of each."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Callable

import numpy
import torch

from ._engine import InvalidInput
from .data import Source, numbers_of, tensor_of
from .network import Named, Network, Structure, describe


@dataclass
class Queries:
    """Inputs that are asked about.

    inputs: a tensor [n, ...], or a tuple or dict of them, as the model takes a batch; targets: [n, ...] where they are known;
    names: one per input ("queries:0" and so on where left out).
    """

    inputs: Any
    targets: Any = None
    names: list[str] | None = None

    @staticmethod
    def of(asked: Any) -> "Queries":
        if isinstance(asked, Queries):
            return asked
        if isinstance(asked, (torch.Tensor, numpy.ndarray, Mapping)):
            return Queries(asked)
        if isinstance(asked, tuple) and len(asked) == 2:
            return Queries(*asked)
        if hasattr(asked, "__getitem__") and hasattr(asked, "__len__"):
            source = Source(asked)
            inputs, targets = source.take(torch.arange(len(source)), 0)
            return Queries(source.structure.pack(inputs), targets)
        raise InvalidInput(f"queries are {describe(asked)}; inputs, (inputs, targets), a data set, or pathkernel.Queries are expected")

    def for_engine(self, network: Network, dtype: torch.dtype) -> dict[str, Any]:
        inputs = self.inputs
        if isinstance(inputs, Mapping):
            if network.inputs is not None and set(inputs) == set(network.inputs.keys):
                inputs = {k: inputs[k] for k in network.inputs.keys}  # in the order of the training data
            inputs = {k: tensor_of(v, f"queries: '{k}'") for k, v in inputs.items()}
        elif isinstance(inputs, (tuple, list)):
            inputs = tuple(tensor_of(v, "queries: an input") for v in inputs)
        else:
            inputs = tensor_of(inputs, "queries: the inputs")
        structure, tensors = Structure.of(inputs, "queries: the inputs")
        if network.inputs is not None and structure != network.inputs:
            raise InvalidInput(f"queries: an input is {structure}, but the model was trained on {network.inputs}")
        for tensor, dims in zip(tensors, network.input_dims or []):
            if tensor.dim() == dims:
                raise InvalidInput(f"queries: {describe(tensor)} is one input; a batch of them is expected (of a single one: x[None])")
        n = tensors[0].shape[0]
        targets = None if self.targets is None else tensor_of(self.targets, "queries: the targets")
        if targets is not None and (targets.dim() == 0 or targets.shape[0] != n):
            raise InvalidInput(f"queries: {n} inputs, but the targets are {describe(targets)}")
        tensors = [t.to(dtype) if t.is_floating_point() else t for t in tensors]
        names = self.names or [f"queries:{i}" for i in range(n)]
        if len(names) != n:
            raise InvalidInput(f"queries: {n} inputs, but {len(names)} names")
        return {"inputs": tensors, "targets": targets, "names": list(names), "sets": [], "specification": "queries"}


@dataclass
class Asked:
    """What a measurement is told of the inputs it is about, next to the outputs that it measures.

    inputs and targets as they were given; final_outputs: of the network at the path's end, which do not change along the path.
    """

    inputs: Any
    targets: torch.Tensor | None
    final_outputs: Any = field(repr=False, default=None)


class Measure:
    """A callable (outputs, batch) -> [n] or [n, K] as PythonMeasurement of the engine calls it; batch is Asked."""

    def __init__(self, function: Callable, network: Network):
        self.function, self.network = function, network
        self.name = getattr(function, "__name__", type(function).__name__)
        self.batch: Asked | None = None

    def prepare(self, inputs: list[torch.Tensor], outputs: list[torch.Tensor], targets: torch.Tensor | None) -> int:
        packed = self.network.inputs.pack(inputs) if self.network.inputs else inputs[0]
        self.batch = Asked(packed, targets, self.network.pack_outputs(outputs))
        return self.values(outputs).shape[1]

    def values(self, outputs: list[torch.Tensor]) -> torch.Tensor:
        n = outputs[0].shape[0]
        value = self.function(self.network.pack_outputs(outputs), self.batch)
        if not isinstance(value, torch.Tensor) or value.dim() not in (1, 2) or value.shape[0] != n:
            raise InvalidInput(f"measure: {self.name} gave {describe(value)} for {n} inputs; one number each, [{n}], or several, [{n}, K], are expected")
        return value if value.dim() == 2 else value.unsqueeze(1)

    def describe(self, _: int, k: int) -> str:
        return self.name if k == 0 else f"{self.name}[{k}]"


#: Measurements that have a name; others are functions.
NAMED = re.compile(r"log-odds|margin|log-prob|logits?(:.*)?|output:.*|loss")


def measure_of(measure: str | Callable, network: Network) -> dict[str, Any]:
    """A measurement as the engine takes it: its name, and what makes it where it is a callable."""
    if callable(measure):
        return {"measure": getattr(measure, "__name__", type(measure).__name__), "measurement": lambda: Measure(measure, network)}
    if not isinstance(measure, str):
        raise InvalidInput(f"measure is {measure!r}; a name such as 'log-odds', or a callable (outputs, batch) -> [n], is expected")
    return {"measure": measure, "measurement": None}


def rows_of(members: Any, n: int, what: str) -> torch.Tensor:
    rows = numbers_of(members, n, what)
    if len(rows.unique()) < len(rows):
        raise InvalidInput(f"{what} has an input twice; name each once (with a weight: (rows, weights))")
    return rows


def sets_of(aggregate: Any, asked: dict[str, Any], class_names: list[str], wrong: Callable[[], torch.Tensor]) -> list[tuple[str, torch.Tensor, torch.Tensor]]:
    """(name, members, weights) of 'mean', 'by-class', 'wrong', or {name: rows} and {name: (rows, weights)}."""
    n, targets = asked["inputs"][0].shape[0], asked["targets"]

    def mean(name: str, members: torch.Tensor) -> tuple[str, torch.Tensor, torch.Tensor]:
        if members.numel() == 0:
            raise InvalidInput(f"aggregate: the set '{name}' has no inputs")
        return name, members, torch.full((members.numel(),), 1 / members.numel(), dtype=torch.float64)

    if aggregate == "mean":
        return [mean("all queries", torch.arange(n))]
    if aggregate == "wrong":
        return [mean("wrong ones", wrong())]
    if aggregate == "by-class":
        if targets is None or targets.dim() != 1 or not class_names:
            raise InvalidInput("aggregate: 'by-class' wants queries with class labels; give (inputs, targets)")
        return [mean(f"class {name}", (targets == k).nonzero().flatten()) for k, name in enumerate(class_names) if bool((targets == k).any())]
    if isinstance(aggregate, Mapping):
        sets = []
        for name, members in aggregate.items():
            what = f"aggregate: the set '{name}'"
            if isinstance(members, tuple) and len(members) == 2 and not isinstance(members[0], int):
                rows, weights = rows_of(members[0], n, what), torch.as_tensor(members[1]).double()
                if weights.shape != rows.shape:
                    raise InvalidInput(f"{what} has {len(rows)} rows, but {weights.numel()} weights")
                sets.append((str(name), rows, weights))
            else:
                sets.append(mean(str(name), rows_of(members, n, what)))
        if not sets:
            raise InvalidInput("aggregate: no sets were given; leave it out to ask about the inputs one by one")
        return sets
    raise InvalidInput(f"aggregate is {aggregate!r}; 'mean', 'by-class', 'wrong', or a dict of sets, name to rows, is expected")
