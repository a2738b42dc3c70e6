"""Kernels: the textbook's, those of infinitely wide networks, and what is made of them.

    from pathkernel import kernels

    k = kernels.rbf(1.5) + 0.5 * kernels.linear()
    K = k.gram(x)                                       # [n, n], exactly symmetric; numpy or torch, as x is
    K_test = k.gram(x_test, x)                          # [m, n]
    ntk = kernels.ntk("dense relu dense relu dense", w_std=1.5, b_std=0.1)

Formulas, layers and accuracy: docs/kernels.md. Inputs are [n, ...], float32 or float64 (whole numbers become float64), images of
convolutional networks channels first.
"""

from __future__ import annotations

import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy
import torch

from . import _engine
from ._engine import InvalidInput
from .progress import bar

Array = numpy.ndarray | torch.Tensor
Numbers = float | Sequence[float] | Array

__all__ = ["Estimate", "Kernel", "RandomFeatures", "constant", "cosine", "laplace", "linear", "matern", "nngp", "ntk", "parse", "periodic", "polynomial", "rational_quadratic", "rbf"]


class Estimate(NamedTuple):
    """A Gram matrix by Monte Carlo."""

    gram: Array  #: [n, m]
    standard_error: Array  #: of every entry, [n, m]


def tensor_of(x: Any, what: str = "x") -> torch.Tensor:
    """x as the engine takes it: floating point, on its own device, its gradients kept."""
    if not isinstance(x, torch.Tensor):
        array = numpy.asarray(x)
        if array.dtype.kind not in "fiub":
            raise InvalidInput(f"{what} is an array of {array.dtype}; numbers are expected, [n, ...]")
        x = torch.from_numpy(numpy.require(array, requirements=["C", "W"]) if array.dtype.isnative else array.astype(array.dtype.newbyteorder("=")))
    if x.is_complex():
        raise InvalidInput(f"{what} is a tensor of {x.dtype}; real numbers are expected, [n, ...]")
    return x if x.dtype in (torch.float32, torch.float64) else x.to(torch.float64)


def like(x: Any, result: torch.Tensor) -> Array:
    """The engine's result as a tensor where x is one, else as an array."""
    return result if isinstance(x, torch.Tensor) else result.detach().numpy()


class Kernel:
    """A positive semi-definite function of two inputs. Kernels do not change; `+` and `*` (with kernels and numbers not below zero) and `replace` make new ones.

    `str(kernel)` is the text that `parse` and the program's `--kernel` read back; two kernels are equal when these are. They are pickled as that text. With a function of
    your own in it (stax.ElementwiseNumerical) the text names that function for this process alone, and while it is in use: such a kernel cannot be pickled.
    """

    def __init__(self, engine: Any):
        self._engine = engine

    def gram(self, x: Any, y: Any = None, *, memory: int = 4 << 30, progress: bool | Callable = False, out: str | pathlib.Path | None = None,
             group: Any = None) -> Array:
        """K(x, y), [n, m], in the dtype of x, by tiles on all threads; without y the symmetric K(x, x), [n, n], each entry computed once. Without gradients.

        x [n, ...], y [m, ...]; memory in bytes for the result and what is computed; out: a file.npy to write to, which may be larger than the memory
        (returned as a read-only numpy.memmap). group: a process group of torch.distributed (torchrun): its processes, which all call this with the same, share out
        the tiles, and each gets the whole matrix. InvalidInput: inputs that do not fit the kernel or each other, an entry that is not finite (naming it),
        too little memory.
        """
        a, b = tensor_of(x), None if y is None else tensor_of(y, "y")
        told = bar(progress)
        if group is not None:
            if out is not None:
                raise InvalidInput("gram: a group of processes has the matrix in memory; leave out `out`")
            return like(x, self._engine.matrix_of_group(group.group_name, a, b, memory, told))
        if out is not None:
            self._engine.write(str(out), a, b, memory, told)
            return numpy.load(out, mmap_mode="r")
        return like(x, self._engine.matrix(a, b, memory, told))

    def __call__(self, x: Any, y: Any = None) -> Array:
        """The same in one piece, differentiable in x, y and the hyper-parameters where these are torch tensors."""
        return like(x, self._engine.gram(tensor_of(x), None if y is None else tensor_of(y, "y")))

    def diagonal(self, x: Any, *, memory: int = 4 << 30) -> Array:
        """K(x_i, x_i), [n]."""
        return like(x, self._engine.diagonal(tensor_of(x), memory))

    def estimate(self, x: Any, y: Any = None, *, draws: int = 10, memory: int = 4 << 30) -> Estimate:
        """Of a kernel that is itself a Monte-Carlo estimate (`is_random`: attention with softmax and Gaussian logits): the mean of independent draws."""
        mean, error = self._engine.estimate(tensor_of(x), None if y is None else tensor_of(y, "y"), draws, memory)
        return Estimate(like(x, mean), like(x, error))

    @property
    def is_random(self) -> bool:
        return self._engine.is_random()

    @property
    def hyperparameters(self) -> dict[str, float | numpy.ndarray]:
        """Its numbers by name: "lengthscale"; of sums and products "0.lengthscale", "1.scale"; of networks "0.W_std", by the layer's place."""
        return {name: value.item() if value.dim() == 0 else value.detach().numpy().copy() for name, value, _ in self._engine.hyperparameters()}

    def replace(self, values: Mapping[str, Numbers]) -> Kernel:
        """The same kernel with other numbers: floats or float64 tensors, [] or one per input dimension [d]. The new kernel computes with these very tensors, so that
        gradients of a call flow to them. InvalidInput names what there is."""
        new = self.copy()
        for name, value in values.items():
            new._engine.set_hyperparameter(name, _numbers(value))
        return new

    def copy(self) -> Kernel:
        return parse(str(self))

    def __str__(self) -> str:
        return self._engine.specification

    def __repr__(self) -> str:
        return f"pathkernel.kernels.parse({str(self)!r})"

    def __eq__(self, other: object) -> bool:
        return str(self) == str(other) if isinstance(other, Kernel) else NotImplemented

    def __hash__(self) -> int:
        return hash(str(self))

    def __reduce__(self) -> tuple:
        if _engine.names_own_function(str(self)):
            raise InvalidInput(f"kernel {self} has a function of your own in it, which a file cannot hold; build the kernel from the function where it is wanted")
        return parse, (str(self),)

    def __deepcopy__(self, memo: dict) -> Kernel:
        return self  # kernels do not change

    def __add__(self, other: Kernel | float) -> Kernel:
        return _sum(self._engine, _part(other))

    def __radd__(self, other: float) -> Kernel:
        return _sum(_part(other), self._engine)

    def __mul__(self, other: Kernel | float) -> Kernel:
        if isinstance(other, Kernel):
            return _product(_engine.product_of([self._engine, other._engine]))
        return _product(_engine.scaled(_factor(other), self._engine))

    __rmul__ = __mul__


def _factor(number: Any) -> float:
    if isinstance(number, bool) or not isinstance(number, (int, float, numpy.number)):
        raise TypeError(f"kernels are added to and multiplied with kernels and numbers, not with {type(number).__name__}")
    return float(number)


def _part(other: Kernel | float) -> Any:
    return other._engine if isinstance(other, Kernel) else constant(_factor(other))._engine


def _as_read(engine: Any, text: str) -> Kernel:
    """The kernel as `parse` makes it of this text, so that its hyper-parameters have the same names; with its own tensors."""
    read = _engine.parse_kernel(text)
    for (name, _, _), (_, value, _) in zip(read.hyperparameters(), engine.hyperparameters(), strict=True):
        read.set_hyperparameter(name, value)
    return Kernel(read)


def _sum(a: Any, b: Any) -> Kernel:
    return _as_read(_engine.sum_of([a, b]), f"{a.specification} + {b.specification}")  # flat where a or b is a sum


def _product(engine: Any) -> Kernel:
    return _as_read(engine, engine.specification)


def _numbers(value: Numbers) -> torch.Tensor:
    if isinstance(value, torch.Tensor):
        return value
    return torch.as_tensor(numpy.asarray(value, dtype=numpy.float64))


def _written(value: Numbers) -> str:
    flat = numpy.asarray(value.detach() if isinstance(value, torch.Tensor) else value, dtype=numpy.float64)
    return repr(float(flat)) if flat.ndim == 0 else "[" + " ".join(repr(float(v)) for v in flat.ravel()) + "]"


def _named(name: str, **arguments: Numbers | int) -> Kernel:
    return parse(f"{name}:" + ",".join(f"{k}={v if isinstance(v, int) else _written(v)}" for k, v in arguments.items()))


def parse(text: str) -> Kernel:
    """A kernel from its text, e.g. "0.5*rbf:1.5 + linear", "ntk(dense relu dense)" (docs/kernels.md). InvalidInput says where, what was found and what is known."""
    return Kernel(_engine.parse_kernel(text))


def constant(value: float = 1.0) -> Kernel:
    """K = value ≥ 0."""
    return _named("constant", value=float(value))


def linear(lengthscale: Numbers = 1.0) -> Kernel:
    """Σ_k x_k x'_k/ℓ_k²; ℓ is one number, or one per dimension, here and below."""
    return _named("linear", lengthscale=lengthscale)


def polynomial(degree: int = 3, gamma: float = 1.0, coef0: float = 1.0) -> Kernel:
    """(γ⟨x, x'⟩ + c₀)^degree."""
    return _named("polynomial", degree=degree, gamma=float(gamma), coef0=float(coef0))


def rbf(lengthscale: Numbers = 1.0) -> Kernel:
    """exp(−r²/2), r = ‖(x − x')/ℓ‖."""
    return _named("rbf", lengthscale=lengthscale)


def laplace(lengthscale: Numbers = 1.0, norm: int = 2) -> Kernel:
    """exp(−r); with norm=1, r = Σ_k |x_k − x'_k|/ℓ_k, scikit-learn's laplacian_kernel."""
    return _named("laplace", lengthscale=lengthscale, norm=norm)


def matern(nu: float = 1.5, lengthscale: Numbers = 1.0) -> Kernel:
    """ν = 0.5, 1.5 or 2.5: e^{−r}, (1 + √3r)e^{−√3r}, (1 + √5r + 5r²/3)e^{−√5r}."""
    return _named("matern", nu=float(nu), lengthscale=lengthscale)


def rational_quadratic(lengthscale: Numbers = 1.0, alpha: float = 1.0) -> Kernel:
    """(1 + r²/2α)^{−α}."""
    return _named("rq", lengthscale=lengthscale, alpha=float(alpha))


def periodic(lengthscale: Numbers = 1.0, period: Numbers = 1.0) -> Kernel:
    """exp(−2 Σ_k sin²(π(x_k − x'_k)/p_k)/ℓ_k²): a product over the dimensions; scikit-learn's for d = 1."""
    return _named("periodic", lengthscale=lengthscale, period=period)


def cosine() -> Kernel:
    """⟨x, x'⟩/‖x‖‖x'‖, 0 where x = 0."""
    return parse("cosine")


def _network(limit: str, net: str, w_std: float, b_std: float | None, parametrization: str) -> Kernel:
    return Kernel(_engine.Network(_engine.layers(net, w_std, b_std, parametrization)).kernel(limit))


def ntk(net: str, w_std: float = 1.0, b_std: float | None = None, parametrization: str = "ntk") -> Kernel:
    """The tangent kernel Θ of an infinitely wide network of these layers, "dense relu dense" or "conv:3x3,same relu gap dense" (docs/kernels.md has them all).

    w_std, b_std are those of layers that state none (no bias without b_std); parametrization "ntk" or "standard" (which needs widths, "dense:512").
    InvalidInput names the layer that cannot follow what was before it.
    """
    return _network("ntk", net, w_std, b_std, parametrization)


def nngp(net: str, w_std: float = 1.0, b_std: float | None = None, parametrization: str = "ntk") -> Kernel:
    """The covariance of the outputs of an infinitely wide network with random weights: the prior of the Bayesian network. Arguments as `ntk`."""
    return _network("nngp", net, w_std, b_std, parametrization)


class RandomFeatures:
    """Φ with E Φ(x)Φ(y)ᵀ = K(x, y), from random directions drawn once: unbiased, the error falls as 1/√directions and is known for every entry.

    features(x) is Φ(x), [n, D], numpy or torch as x is.
    """

    def __init__(self, engine: Any):
        self._engine = engine

    @classmethod
    def fourier(cls, kernel: Kernel, inputs: int, directions: int, seed: int = 0) -> RandomFeatures:
        """cos and sin of w·x (Rahimi and Recht 2007) for rbf, laplace (norm 2) and matern; D = 2 directions. InvalidInput for other kernels."""
        return cls(_engine.RandomFeatures.fourier(kernel._engine, inputs, directions, seed))

    @classmethod
    def arc_cosine(cls, order: int, inputs: int, directions: int, seed: int = 0) -> RandomFeatures:
        """Of k_n(x, y) = 2E[1(u > 0, v > 0) uⁿvⁿ], u = w·x, v = w·y, w ~ N(0, I), n = 0, 1, 2 (Cho and Saul 2009)."""
        return cls(_engine.RandomFeatures.arc_cosine(order, inputs, directions, seed))

    @classmethod
    def of_activation(cls, activation: str, inputs: int, directions: int, w_std: float = 1.0, b_std: float | None = None, seed: int = 0) -> RandomFeatures:
        """φ of a first dense layer: E φ(u)φ(v), u = (w_std/√d)w·x + b_std·b. activation as in a list of layers: "relu", "erf", "leaky:0.1"."""
        layers = _engine.layers(activation)
        if len(layers) != 1:
            raise InvalidInput(f"random features: \"{activation}\" are {len(layers)} layers; one activation is expected, e.g. \"relu\"")
        return cls(_engine.RandomFeatures.gaussian(layers[0], inputs, directions, w_std, b_std, seed))

    @property
    def features(self) -> int:
        """D"""
        return self._engine.features

    def __call__(self, x: Any) -> Array:
        return like(x, self._engine(tensor_of(x)))

    def gram(self, x: Any, y: Any = None) -> Estimate:
        """Φ(x)Φ(y)ᵀ with the standard error of every entry."""
        mean, error = self._engine.gram(tensor_of(x), None if y is None else tensor_of(y, "y"))
        return Estimate(like(x, mean), like(x, error))
