"""A user's data set as the engine draws from it."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import Any

import numpy
import torch
from torch.utils.data import Dataset, TensorDataset

from . import _engine
from ._engine import InvalidInput
from .arguments import number
from .network import Structure, describe

#: Items that are looked at for the fingerprint, at most; of longer data sets so many, evenly spaced.
LOOKED_AT = 10_000

#: Whole numbers up to this one are taken for class labels where nothing else says what they are.
MOST_CLASSES = 10_000


def tensor_of(value: Any, what: str) -> torch.Tensor:
    if isinstance(value, torch.Tensor):
        return value.detach()
    if isinstance(value, (bool, int, float, numpy.generic)) or (isinstance(value, (list, tuple)) and value and isinstance(value[0], (int, float))):
        return torch.as_tensor(value, dtype=torch.get_default_dtype() if isinstance(value, (float, numpy.floating)) else None)
    if isinstance(value, numpy.ndarray):
        return torch.from_numpy(value)
    raise InvalidInput(f"{what} is {describe(value)}; a tensor, an array or a number is expected (give the data set a transform that makes one)")


def parts_of(item: Any, index: int) -> tuple[Structure, list[torch.Tensor], torch.Tensor]:
    """(input, target) of one item of a data set."""
    if isinstance(item, Mapping):
        item = dict(item)
        target = next((item.pop(k) for k in ("labels", "label", "target", "targets", "y") if k in item), None)
        if target is None:
            raise InvalidInput(f"data: item {index} is a dict without labels (it has {', '.join(item)}); an entry 'labels', or items (input, target), are expected")
        inputs: Any = {k: tensor_of(v, f"data: '{k}' of item {index}") for k, v in item.items()}
    elif isinstance(item, (tuple, list)) and len(item) == 2:
        inputs, target = item
        if isinstance(inputs, Mapping):
            inputs = {k: tensor_of(v, f"data: '{k}' of item {index}") for k, v in inputs.items()}
        elif isinstance(inputs, tuple):
            inputs = tuple(tensor_of(v, f"data: input {k} of item {index}") for k, v in enumerate(inputs))
        else:
            inputs = tensor_of(inputs, f"data: the input of item {index}")
    else:
        raise InvalidInput(f"data: item {index} is {describe(item)}; (input, target) is expected")
    structure, tensors = Structure.of(inputs, f"data: the input of item {index}")
    return structure, tensors, tensor_of(target, f"data: the target of item {index}")


def stack(tensors: list[torch.Tensor], indices: list[int], what: str) -> torch.Tensor:
    shape = tensors[0].shape
    for i, t in zip(indices, tensors):
        if t.shape != shape:
            raise InvalidInput(f"data: the {what} of items {indices[0]} and {i} have different shapes, {list(shape)} and {list(t.shape)}; pad them to one length")
    return torch.stack(tensors)


def check_finite(inputs: list[torch.Tensor], numbers: Sequence[int]) -> None:
    for tensor in inputs:
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            row = int((~torch.isfinite(tensor.reshape(len(tensor), -1)).all(1)).nonzero()[0])
            raise InvalidInput(f"data: the input of item {numbers[row]} holds NaN or infinite numbers; mend it or leave it out")


def numbers_of(indices: Any, length: int, what: str) -> torch.Tensor:
    """Numbers of examples, int64 [n]. @throws InvalidInput for masks, fractions, and numbers outside the data set"""
    try:
        rows = torch.as_tensor(indices if isinstance(indices, (torch.Tensor, numpy.ndarray)) else list(indices))
    except (TypeError, ValueError):
        raise InvalidInput(f"{what}: {describe(indices)} was given; a list of whole numbers, those of the examples, is expected") from None
    if rows.numel() == 0:
        return rows.long().flatten()
    if rows.dtype == torch.bool or rows.is_floating_point() or rows.dim() != 1:
        raise InvalidInput(f"{what}: {describe(rows)} was given; a list of whole numbers, those of the examples, is expected (of a mask: mask.nonzero().flatten())")
    if int(rows.min()) < 0 or int(rows.max()) >= length:
        bad = int(rows.min()) if int(rows.min()) < 0 else int(rows.max())
        raise InvalidInput(f"{what}: example {bad} was asked for, but there are {length} (0 to {length - 1})")
    return rows.long()


class SameDraws:
    """Python's, numpy's and torch's random numbers, put back afterwards."""

    def __enter__(self) -> "SameDraws":
        self.states = random.getstate(), numpy.random.get_state(), torch.get_rng_state()
        return self

    @staticmethod
    def begin(seed: int, index: int) -> None:
        mixed = (seed * 0x9E3779B97F4A7C15 + index * 0xD1B54A32D192ED03 + 0x2545F4914F6CDD1D) % 2**64
        random.seed(mixed)
        numpy.random.seed(mixed % 2**32)
        torch.default_generator.manual_seed(mixed % 2**63)

    def __exit__(self, *_: object) -> None:
        random.setstate(self.states[0])
        numpy.random.set_state(self.states[1])
        torch.set_rng_state(self.states[2])


class Source:
    """A map-style data set, whose items are drawn under a seed of (step, index): augmentation is repeated as it was."""

    def __init__(self, data: Any):
        if isinstance(data, (Mapping, torch.utils.data.DataLoader)):
            raise InvalidInput(f"data is a {type(data).__name__}; a map-style data set is expected: items (input, target) by number" +
                               (" (give loader.dataset)" if isinstance(data, torch.utils.data.DataLoader) else ""))
        try:
            self.length = len(data)
        except TypeError:
            raise InvalidInput(f"data is a {type(data).__name__} without a length; a map-style data set is expected (items by number, len())") from None
        if self.length == 0:
            raise InvalidInput("data: the data set is empty")
        self.data = data
        looked_at = range(self.length) if self.length <= LOOKED_AT else numpy.linspace(0, self.length - 1, LOOKED_AT).astype(int).tolist()
        hashes, targets = [self.length], []
        self.structure = None
        with SameDraws() as draws:
            for i in looked_at:
                structure, inputs, target = self._item(i, draws, 0)
                if self.structure is None:
                    self.structure, self.dims = structure, [t.dim() for t in inputs]
                check_finite([t.unsqueeze(0) for t in inputs], [i])
                targets.append(target)
                hashes.append(_engine.hash_of([*inputs, target]) - 2**63)
        self.fingerprint = _engine.hash_of([torch.tensor(hashes)])
        if len(targets) == self.length and all(t.shape == targets[0].shape for t in targets):
            self.targets = torch.stack(targets)
        else:
            known = getattr(data, "targets", None)
            self.targets = torch.as_tensor(known) if known is not None and len(known) == self.length else None

    def __len__(self) -> int:
        return self.length

    def _item(self, index: int, draws: SameDraws, seed: int) -> tuple[Structure, list[torch.Tensor], torch.Tensor]:
        draws.begin(seed, index)
        return parts_of(self.data[index], index)

    def take(self, indices: torch.Tensor, seed: int) -> tuple[list[torch.Tensor], torch.Tensor]:
        numbers = indices.tolist()
        with SameDraws() as draws:
            items = [self._item(i, draws, seed) for i in numbers]
        for i, item in zip(numbers, items):
            if item[0] != self.structure:
                raise InvalidInput(f"data: the input of item {i} is {item[0]}, but that of item 0 is {self.structure}; all items should be alike")
        inputs = [stack([item[1][k] for item in items], numbers, "inputs") for k in range(len(items[0][1]))]
        check_finite(inputs, numbers)
        return inputs, stack([item[2] for item in items], numbers, "targets")


class Data:
    """What Parts takes: plain tensors where there are some, else a Source."""

    def __init__(self, data: Any, class_names: list[str] | None = None, numbers: bool = False):
        """numbers: whole numbers among the targets are numbers to be predicted, no class labels."""
        self.inputs = self.source = None
        self.structure = Structure("tensor")
        if isinstance(data, TensorDataset) and len(data.tensors) == 2:
            data = data.tensors
        if isinstance(data, (tuple, list)) and len(data) == 2 and all(isinstance(d, (torch.Tensor, numpy.ndarray)) for d in data):
            self.inputs, self.targets = (tensor_of(d, "data").cpu().contiguous() for d in data)
            if len(self.inputs) != len(self.targets) or len(self.inputs) == 0:
                raise InvalidInput(f"data: {len(self.inputs)} inputs and {len(self.targets)} targets; as many of both, and at least one, are expected")
            check_finite([self.inputs], range(len(self.inputs)))
            self.name, self.length, self.dims = "tensors", len(self.inputs), [self.inputs.dim() - 1]
        else:
            self.source = Source(data)
            self.structure, self.targets, self.dims = self.source.structure, self.source.targets, self.source.dims
            self.name, self.length = type(data).__name__, len(self.source)
        self.class_names: list[str] = []
        given = class_names or getattr(data, "classes", None)
        if numbers or self.targets is None or self.targets.dim() != 1 or self.targets.is_floating_point() or self.targets.dtype == torch.bool:
            return
        least, most = int(self.targets.min()), int(self.targets.max())
        if given is not None and (least < 0 or most >= len(given)):
            raise InvalidInput(f"data: the labels go from {least} to {most}, but there are {len(given)} classes")
        if given is not None or 0 <= least <= most <= MOST_CLASSES:
            self.targets = self.targets.long()
            self.class_names = [str(name) for name in given or range(most + 1)]

    def for_engine(self) -> dict[str, Any]:
        return {"name": self.name, "class_names": self.class_names, "targets": self.targets, "inputs": self.inputs, "source": self.source}

    def label_of(self, label: Any) -> str:
        """A label as a recording names it: a class's name, or a number."""
        if isinstance(label, str):
            return label
        value = label.item() if isinstance(label, numpy.generic) or (isinstance(label, torch.Tensor) and label.numel() == 1) else label
        value = number("run.retrain", "relabel: a label", value, "a class (its name or number)" if self.class_names else "a number, as the run predicts them,")
        if not self.class_names:
            return repr(value)
        if value != int(value) or not 0 <= value < len(self.class_names):
            raise InvalidInput(f"run.retrain: relabel: {label!r} is none of the {len(self.class_names)} classes ({', '.join(self.class_names[:20])})")
        return self.class_names[int(value)]

    def draws_at_random(self, rows: torch.Tensor) -> bool:
        """Whether these examples come out otherwise under another seed: a data set that augments."""
        if self.source is None:
            return False
        (mine, target), (theirs, other) = self.source.take(rows, 0), self.source.take(rows, 1)
        return not all(torch.equal(a, b) for a, b in zip([*mine, target], [*theirs, other]))

    def changed(self) -> str:
        """For the message where a run did not repeat: whether a data set gives other items than when the run was opened. Tensors are compared by the engine."""
        if self.source is None or Source(self.source.data).fingerprint == self.source.fingerprint:
            return ""
        return f". The data set ({self.name}) gives other items now than when this run was recorded or opened: it was changed, or it draws random numbers of its own"

    def rows(self, indices: list[int]) -> torch.Tensor | None:
        """Inputs of these examples, drawn under seed 0; None where an input is several tensors."""
        if self.inputs is not None:
            return self.inputs[indices]
        inputs, _ = self.source.take(torch.tensor(indices), 0)
        return inputs[0] if len(inputs) == 1 else None
