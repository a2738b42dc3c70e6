"""Training examples ranked by how suspect their labels are."""

from __future__ import annotations

import pathlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy
import torch

from ._engine import InvalidInput
from .data import Data, numbers_of
from .ledger import PICTURES


@dataclass(frozen=True)
class Detection:
    """How well a method finds label errors that are known."""

    auc: float  #: area under the ROC curve: that an error ranks above a right label, ties half
    precision: list[float]  #: share of errors among the first k, for each k that was asked


class Audit:
    """What pathkernel.Run.audit found: a score for every training example by several methods, the most suspect largest.

    path               how far it pushed up the loss of the queries, along the whole path
    path_worst_class   the same for the one class whose loss it pushed up most
    final_loss, mean_loss   its own loss, by the trained network and over the checkpoints
    tracin, tracin_self     TracIn on the loss of the queries, and its self-influence

    On label errors planted in MNIST an example's own final loss found the most (docs/audit.md).
    """

    def __init__(self, engine: Any, data: Data, targets: torch.Tensor):
        self._engine, self._data, self._targets = engine, data, targets
        self.methods: dict[str, numpy.ndarray] = {}  #: scores [N] float64 by the method's name
        self.meanings: dict[str, str] = {}
        for name, meaning, scores in engine.methods:
            self.methods[name], self.meanings[name] = scores.numpy(), meaning
        self.by_class: numpy.ndarray = engine.by_class.numpy()  #: [N, C] what each example did to the loss of each class of the queries
        self.classes: list[str] = engine.classes
        self.predicted: numpy.ndarray = engine.predicted.numpy()  #: [N] the trained network's class of each training example

    def scores(self, by: str) -> numpy.ndarray:
        if by not in self.methods:
            raise InvalidInput(f"audit: there is no method {by!r}; one of {', '.join(self.methods)}")
        return self.methods[by]

    def ranked(self, by: str = "path") -> numpy.ndarray:
        """[N] numbers of the examples, the most suspect first."""
        return numpy.argsort(-self.scores(by), kind="stable")

    def detection(self, planted: Iterable[int], k: Iterable[int] | None = None) -> dict[str, Detection]:
        """How well each method finds these examples, whose labels are known to be wrong. k: sizes of the first ranks to look at (as many as planted)."""
        rows = sorted(set(numbers_of(planted, len(self.predicted), "audit.detection").tolist()))
        if not 0 < len(rows) < len(self.predicted):
            raise InvalidInput(f"audit.detection: {len(rows)} of {len(self.predicted)} examples were named; some, and not all, are expected")
        firsts = [len(rows)] if k is None else list(k)
        for first in firsts:
            if not 0 < first <= len(self.predicted):
                raise InvalidInput(f"audit.detection: k is {first}; 1 to {len(self.predicted)} (the examples) is expected")
        return {name: Detection(auc, precision) for name, (auc, precision) in self._engine.detections(rows, firsts).items()}

    def save(self, folder: str | pathlib.Path, by: str = "path", count: int = 1000, top: int = 60) -> pathlib.Path:
        """Writes suspects.csv (the first `count` by this method, with every method's score) and suspects.html (the first `top`, as a person sees them)."""
        self.scores(by)
        for name, value in (("count", count), ("top", top)):
            if not isinstance(value, int) or value < 1:
                raise InvalidInput(f"audit: {name} is {value!r}; a whole number above 0 is expected")
        folder = pathlib.Path(folder)
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise InvalidInput(f"audit: {folder} exists and is not empty; name another folder or remove it")
        page, rows = self._engine.page(by, self._shown(self.ranked(by)[:top].tolist()), top), self._engine.csv(by, count)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "suspects.csv").write_text(rows, encoding="utf-8")
        (folder / "suspects.html").write_text(page, encoding="utf-8")
        return folder

    def _shown(self, shown: list[int]) -> dict[str, Any]:
        """The training data with the inputs of these examples; without, where an input is several tensors or all of them are too large."""
        n = self._data.length
        rows = self._data.rows(shown)
        if rows is None or n * rows[0].numel() * rows.element_size() > PICTURES:
            rows = torch.zeros((len(shown), 0))
        inputs = torch.zeros((n, *rows.shape[1:]), dtype=rows.dtype)
        inputs[shown] = rows
        return {"name": "train", "inputs": inputs, "targets": self._targets, "class_names": self._data.class_names}

    def __repr__(self) -> str:
        return f"<pathkernel.Audit of {len(self.predicted)} training examples by {', '.join(self.methods)}>"
