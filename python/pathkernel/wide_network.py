"""What stands behind every layer of `stax`: one network of the engine as a finite network and as its infinite-width limit.

Here is the door between channels-last inputs [n, space..., C] and the engine, which counts channels first.
"""

from __future__ import annotations

import contextlib
from collections import namedtuple
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy
import torch

from . import _engine
from ._engine import InvalidInput
from .kernels import Array, Kernel, like, tensor_of
from .progress import bar

Parameters = tuple[Any, ...]  #: of nested tuples of tensors

LIMITS = ("nngp", "ntk")


def channels_first(x: torch.Tensor) -> torch.Tensor:
    return x.movedim(-1, 1).contiguous() if x.dim() > 2 else x


def channels_last(x: torch.Tensor) -> torch.Tensor:
    return x.movedim(1, -1) if x.dim() > 2 else x


@contextlib.contextmanager
def channels_last_words() -> Iterator[None]:
    """The engine's messages, in the order of axes that the caller sees."""
    try:
        yield
    except InvalidInput as error:
        text = str(error)
        for theirs, ours in (("[n, C, S]", "[n, S, C]"), ("[n, C, H, W]", "[n, H, W, C]"), ("one example: channels", "one example, channels first here: channels")):
            text = text.replace(theirs, ours)
        raise InvalidInput(text) from None


def seed_of(rng: Any) -> int:
    """A seed from an int, or from a key of JAX (one or two unsigned words)."""
    words = numpy.asarray(rng)
    if words.dtype.kind not in "iu" or words.size not in (1, 2) or (words.ravel().astype(object) < 0).any():
        raise InvalidInput(f"init_fn: the first argument is {rng!r}, but a seed is expected: an int from zero up, or a key of JAX")
    seed = 0
    for word in words.ravel().tolist():
        seed = (seed << 32) | word
    return seed % 2**64


class WideNetwork:
    """One layer, or several that act as one: the engine's layer, and for the shape of the parameters those that it is made of (none: it is one)."""

    def __init__(self, engine: Any, parts: Sequence[WideNetwork] | None = None):
        self.engine = engine
        self._parts = parts
        self._built: Any = None

    def functions(self) -> tuple[Callable, Callable, Callable]:
        return self.init_fn, self.apply_fn, self.kernel_fn

    @property
    def network(self) -> Any:
        if self._built is None:
            self._built = _engine.Network([self.engine])
        return self._built

    def kernel(self, limit: str) -> Kernel:
        return Kernel(self.network.kernel(limit))

    def init_fn(self, rng: Any, input_shape: Sequence[int], *, dtype: torch.dtype | None = None) -> tuple[tuple[int, ...], Parameters]:
        """Random parameters of the finite network: (output_shape, params).

        rng: a seed (an int, or a key of JAX). input_shape: of a batch, channels last; its first number may be anything, as -1. params: a tuple with one entry per layer, (W, b),
        (W,) without a bias, () without weights, nested as the layers are; W [out, in, window...]. They are leaves that require gradients, of torch's default dtype or `dtype`.
        """
        shape = [int(size) for size in input_shape]
        if len(shape) < 2 or min(shape[1:]) < 1:
            raise InvalidInput(f"init_fn: the input shape is {tuple(input_shape)}, but that of a batch is expected, (-1, channels) or (-1, height, width, channels)")
        dtype = dtype or torch.get_default_dtype()
        if dtype not in (torch.float32, torch.float64):
            raise InvalidInput(f"init_fn: dtype is {dtype}; networks are of torch.float32 or torch.float64")
        with channels_last_words():
            named = self.network.draw([shape[-1], *shape[1:-1]], seed=seed_of(rng), single=dtype == torch.float32)
        params = self._nested("0", named)
        with torch.no_grad():
            output = self.apply_fn(params, torch.zeros([1, *shape[1:]], dtype=dtype))
        return (input_shape[0], *output.shape[1:]), params

    def apply_fn(self, params: Parameters, inputs: Any, *, rng: Any = None, **unknown: Any) -> torch.Tensor:
        """Outputs of the finite network, [n, ...], channels last: a torch tensor, differentiable in params and inputs (torch.func works on it).

        inputs: an array or a tensor; it is converted to the dtype of the parameters. rng is taken as neural-tangents has it, and not needed: nothing here is random.
        """
        _refuse_unknown("apply_fn", unknown)
        flat = list(_leaves(params))
        x = tensor_of(inputs, "inputs")
        with channels_last_words():
            return channels_last(self.network.apply(flat, channels_first(x.to(flat[0].dtype) if flat else x)))

    def kernel_fn(self, x1: Any, x2: Any = None, get: str | Sequence[str] | None = None, *, draws: int | None = None, memory: int = 4 << 30,
                  progress: bool | Callable = False, **unknown: Any) -> Any:
        """The covariance of outputs ("nngp") and the tangent kernel ("ntk") of the infinitely wide network, [n, m].

        x1 [n, ...], x2 [m, ...], channels last; without x2 (or with x1 itself) [n, n], exactly symmetric. Arrays give arrays, tensors give tensors, in the dtype of x1
        (whole numbers: float64). get: one name gives one matrix, a tuple of names a named tuple of them, None that of both (.nngp, .ntk).

        Computed in tiles on all threads within `memory` bytes; where an input requires gradients, in one piece and differentiable. Through attention with softmax and
        linear_scaling=False the kernel is a Monte-Carlo estimate: say how many `draws`, and in place of each matrix comes one with .gram and .standard_error.
        InvalidInput: a layer that cannot follow what is before it, inputs that do not fit, positions left at the end.
        """
        _refuse_unknown("kernel_fn", unknown)
        names = LIMITS if get is None else (get,) if isinstance(get, str) else tuple(get)
        if not names or not set(names) <= set(LIMITS):
            raise InvalidInput(f"kernel_fn: get is {get!r}, but it is 'nngp', 'ntk', a tuple of these, or None for both; variances of single inputs (cov1, cov2) are "
                               "stax.kernel(layer, 'nngp').diagonal(x)")
        a, b = tensor_of(x1, "x1"), None if x2 is None or x2 is x1 else tensor_of(x2, "x2")
        with channels_last_words():
            found = [self._matrix(name, x1, channels_first(a), None if b is None else channels_first(b), draws, memory, progress) for name in names]
        return found[0] if isinstance(get, str) else namedtuple("AnalyticKernel", names)(*found)  # noqa: PYI024: the names are the caller's

    def _matrix(self, limit: str, x1: Any, a: torch.Tensor, b: torch.Tensor | None, draws: int | None, memory: int, progress: bool | Callable) -> Array | Any:
        kernel = self.kernel(limit)
        if kernel.is_random != (draws is not None):
            raise InvalidInput("kernel_fn: attention with softmax and linear_scaling=False has no closed form, and its kernel is estimated; say how many draws, draws=10, or take "
                               "linear_scaling=True" if kernel.is_random else f"kernel_fn: draws={draws} is for kernels that are estimated, but this one is exact; leave it out")
        if draws is not None:
            estimate = kernel.estimate(a, b, draws=draws, memory=memory)
            return type(estimate)(*(like(x1, part) for part in estimate))
        if torch.is_grad_enabled() and (a.requires_grad or (b is not None and b.requires_grad)):
            return kernel(a, b)
        return like(x1, kernel.gram(a, b, memory=memory, progress=progress))

    def _nested(self, place: str, named: Sequence[tuple[str, torch.Tensor]]) -> Parameters:
        if self._parts is None:
            return tuple(tensor for name, tensor in named if name.startswith(place + "."))
        return tuple(part._nested(f"{place}.{k}", named) for k, part in enumerate(self._parts))


def _leaves(params: Any) -> Iterator[torch.Tensor]:
    if isinstance(params, torch.Tensor):
        yield params
    elif isinstance(params, (tuple, list)):
        for part in params:
            yield from _leaves(part)
    else:
        raise InvalidInput(f"apply_fn: the parameters hold {type(params).__name__}; give nested tuples of tensors as init_fn makes them")


def _refuse_unknown(function: str, unknown: dict[str, Any]) -> None:
    for name, value in unknown.items():
        if value is not None:
            raise InvalidInput(f"{function}: {name}={value!r} is not there: masks, patterns of graphs and diagonal_* are neural-tangents' alone; here what is needed of the "
                               "covariances follows from the layers")
