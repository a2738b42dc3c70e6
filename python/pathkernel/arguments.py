"""What callers pass as numbers: checked before the engine takes it."""

from __future__ import annotations

import math
import numbers
import operator
from typing import Any

import torch

from ._engine import InvalidInput


def whole(what: str, name: str, value: Any, least: int | None = None, most: int | None = None) -> int:
    """A whole number from least to most. @throws InvalidInput naming the argument, for fractions, bools and texts too"""
    wanted = "a whole number" + ("" if least is None else f" from {least}" + (" on" if most is None else f" to {most}"))
    try:
        number = operator.index(value) if not isinstance(value, bool) else None
    except TypeError:
        number = None
    if number is None or (least is not None and number < least) or (most is not None and number > most):
        raise InvalidInput(f"{what}: {name} is {value!r}; {wanted} is expected")
    return number


def number(what: str, name: str, value: Any, wanted: str, least: float = -math.inf) -> float:
    """A finite number of at least so much; wanted says it for the message."""
    if isinstance(value, bool) or not isinstance(value, numbers.Real) or not math.isfinite(value) or value < least:
        raise InvalidInput(f"{what}: {name} is {value!r}; {wanted} is expected")
    return float(value)


def check_grad_is_possible(what: str) -> None:
    """Tensors made in inference mode have no gradients, ever."""
    if torch.is_inference_mode_enabled():
        raise InvalidInput(f"{what}: torch.inference_mode() is on, in which nothing has a gradient; call it outside of that block")
