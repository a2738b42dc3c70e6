"""A ledger: every prediction as a sum over training examples."""

from __future__ import annotations

import html
import pathlib
from dataclasses import dataclass
from typing import Any, NoReturn, overload

import numpy
import torch

from . import _engine
from ._engine import InvalidInput

#: Pictures of a data set are made of at most so many bytes.
PICTURES = 1 << 30


class Array:
    """An array of the engine's ledger, read when it is asked for."""

    def __init__(self, text: str):
        self.__doc__ = text

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    @overload
    def __get__(self, ledger: None, owner: type) -> Array: ...
    @overload
    def __get__(self, ledger: Ledger, owner: type) -> numpy.ndarray: ...
    def __get__(self, ledger: Ledger | None, owner: type) -> Any:
        if ledger is None:
            return self
        tensor = getattr(ledger._engine, self.name)
        return None if tensor is None else tensor.numpy()

    def __set__(self, ledger: Ledger, value: Any) -> NoReturn:
        raise AttributeError(f"a ledger's {self.name} can only be read")


class ArrayOrNone(Array):
    """One that a ledger has, or not, as it was asked for: None then, which whoever asked knows (to a type checker: an array, or anything)."""

    @overload
    def __get__(self, ledger: None, owner: type) -> Array: ...
    @overload
    def __get__(self, ledger: Ledger, owner: type) -> numpy.ndarray | Any: ...
    def __get__(self, ledger: Ledger | None, owner: type) -> Any:
        return super().__get__(ledger, owner)


@dataclass(frozen=True)
class Push:
    """What one training example did to one query."""

    example: int
    contribution: float
    share: float  #: of Σ|c|


@dataclass(frozen=True)
class Certificate:
    """What a ledger proves, and how far: the residual proves the bookkeeping, split_uncertainty estimates how far the split is from its true one (theory 3b)."""

    residual_to_contributions: numpy.ndarray  #: [Q] |residual| / Σ|c|
    residual_to_change: numpy.ndarray  #: [Q] |residual| / |f_T − f_0|
    rounding_to_change: numpy.ndarray  #: [Q]
    split_uncertainty: numpy.ndarray | None  #: [Q] E, relative; None: not measured
    sampled_steps: int
    stride_deviation: numpy.ndarray | None
    correction_share: float
    optimizer_mismatch: float  #: largest mismatch of the optimizer's linear form, of what rounding allows (1)
    replay_exact: bool
    first_drift: int
    text: str

    def __str__(self) -> str:
        return self.text


class Ledger:
    """final = initial + Σ_i contributions[i] + decay + regulariser + in_flight + buffers + jumps + rounding + residual, for every query.

    Sizes: N training examples, Q queries, T steps, D draws, L layers, C classes. All arrays are numpy's, float64 but where said.
    Contributions say what an example did on this path; they do not say what its removal would do.
    """

    contributions = ArrayOrNone("[N, Q] float64: what each training example did to each query; None where only the largest were kept")
    kept = ArrayOrNone("[K, Q]: the K largest contributions where only those were kept, else None")
    kept_examples = ArrayOrNone("[K, Q]: whose they are")
    dropped = ArrayOrNone("[Q]: the sum of the others")
    dropped_size = ArrayOrNone("[Q]: the sum of their sizes")
    dropped_count = ArrayOrNone("[Q]: how many they are")
    initial = Array("[Q]: the measurement before the first step")
    final = Array("[Q]: the measurement after the last")
    decay = Array("[Q]: weight decay's term")
    regulariser = Array("[Q]: a term of the loss that belongs to no example")
    in_flight = Array("[Q]: pushes from before the window of steps that arrived in it")
    buffers = Array("[Q]: running statistics, which no gradient moves")
    jumps = Array("[Q]: where the network is discontinuous in its weights")
    rounding = Array("[Q]: the run's arithmetic, and drift of its replay")
    residual = Array("[Q]: what is missing")
    draws = ArrayOrNone("[D, Q] float32: one row per example drawn at a step")
    draw_step = ArrayOrNone("[D]: the step of each draw")
    draw_example = ArrayOrNone("[D]: the example of each draw")
    by_step = ArrayOrNone("[T, Q]")
    by_layer = ArrayOrNone("[L, Q]; layers names them")
    by_class = ArrayOrNone("[C, Q]; classes names them")
    by_layer_step = ArrayOrNone("[T, L, Q] float32")
    by_class_step = ArrayOrNone("[T, C, Q] float32")
    outputs = ArrayOrNone("[T+1, Q]: the measurement before every step, and at the end")
    path_kernel = ArrayOrNone("[N, Q]: Domingos' K(x, x_i), where it was asked for")
    statistics = ArrayOrNone("[N, Q]: each example's share of buffers, through batch norm's running statistics, where it was asked for")
    first_statistics = ArrayOrNone("[Q]: what buffers holds of the running statistics before the first step, likewise; the rest of buffers is rounding")

    def __init__(self, engine: Any, pictures: Any = None):
        self._engine, self._pictures = engine, pictures

    @property
    def certificate(self) -> Certificate:
        values = {k: v.numpy() if isinstance(v, torch.Tensor) else v for k, v in self._engine.certificate.items()}
        return Certificate(**values, text=self._engine.brief)

    @property
    def queries(self) -> list[dict]:
        """One dict per query: input, measurement, row, target, predicted, set_size."""
        return self._engine.queries

    @property
    def layers(self) -> list[str]:
        return self._engine.layers

    @property
    def classes(self) -> list[str]:
        return self._engine.classes

    @property
    def recording(self) -> str:
        return self._engine.recording

    def top(self, query: int, k: int = 10) -> tuple[list[Push], list[Push]]:
        """The k examples that pushed the query's measurement up most, and the k that pushed it down most."""
        towards, away = self._engine.top(query, k)
        return [Push(*p) for p in towards], [Push(*p) for p in away]

    def save(self, folder: str | pathlib.Path) -> None:
        """Writes ledger.json and ledger.safetensors into a new folder; the program's `pathkernel show FOLDER` reads them too."""
        self._engine.save(str(folder))

    def page(self, title: str = "Pathkernel report", top: int = 10) -> str:
        """One HTML document: every query's input, the examples that pushed it most, the sums; with pictures where the data are at hand."""
        if self._pictures is None:
            return self._engine.page(None, None, title, top, "The ledger was read from its files; open the run and explain again for pictures.")
        train, asked, missing = self._pictures(self, top)
        return self._engine.page(train, asked, title, top, missing)

    def report(self, path: str | pathlib.Path, title: str = "Pathkernel report", top: int = 10) -> pathlib.Path:
        """Writes page() to a file."""
        path = pathlib.Path(path)
        path.write_text(self.page(title, top), encoding="utf-8")
        return path

    def _repr_html_(self) -> str:
        return f'<iframe srcdoc="{html.escape(self.page(top=5))}" style="width: 100%; height: 640px; border: 0"></iframe>'

    def __repr__(self) -> str:
        q, n = len(self.initial), self._engine.total_size().shape[0]
        return f"<pathkernel.Ledger of {q} quer{'y' if q == 1 else 'ies'}; {self._engine.brief}>" if n else "<pathkernel.Ledger>"


def load_ledger(folder: str | pathlib.Path) -> Ledger:
    """A ledger from its folder, checked: hashes, shapes, and that its views add up. InvalidInput or CorruptData say what is wrong."""
    return Ledger(_engine.load_ledger(str(folder)))


def pictures_of(data: Any, asked: dict[str, Any]) -> Any:
    """For Ledger.page(): (training data, queries, why there are none), of the examples that the page will show."""

    def of(ledger: Ledger, top: int) -> tuple[dict | None, dict | None, str]:
        inputs = asked["inputs"][0]
        if len(asked["inputs"]) != 1 or data.length * inputs[0].numel() * inputs.element_size() > PICTURES:
            return None, None, "The inputs are several tensors, or too large to be shown."
        shown = sorted({p.example for q in range(len(ledger.queries)) for side in ledger.top(q, top) for p in side})
        rows = data.rows(shown) if shown else None
        if rows is None:
            return None, None, "The inputs are several tensors."
        train = torch.zeros((data.length, *rows.shape[1:]), dtype=rows.dtype)
        train[shown] = rows
        targets = data.targets if data.targets is not None else torch.zeros(data.length)
        query_targets = asked["targets"] if asked["targets"] is not None else torch.zeros(len(inputs))
        names = {"class_names": data.class_names, "source": None}
        return ({"name": "train", "inputs": train, "targets": targets, **names}, {"name": "queries", "inputs": inputs, "targets": query_targets, **names}, "")

    return of
