"""Networks as lists of layers, of finite and of infinite width, with the names, the order of arguments and the defaults of neural-tangents' `stax`.

    from pathkernel import stax

    init_fn, apply_fn, kernel_fn = stax.serial(stax.Dense(512, 1.5, 0.1), stax.Relu(), stax.Dense(1, 1.5, 0.1))
    K = kernel_fn(x1, x2, "ntk")                         # [n, m]; x2=None: [n, n], exactly symmetric
    both = kernel_fn(x1, x2, ("nngp", "ntk"))            # .nngp, .ntk; so does get=None
    output_shape, params = init_fn(0, (-1, 784))         # a random finite network
    y = apply_fn(params, x1)                             # on torch, differentiable

Every layer is a tuple (init_fn, apply_fn, kernel_fn), and `serial` makes one of several. Inputs are [n, C], or channels last, [n, S, C] and [n, H, W, C]. kernel_fn: arrays
in, arrays out; tensors in, tensors out, in their dtype. Formulas: docs/kernels.md. What neural-tangents has and this has not is refused by name, with what to use instead.
"""

from __future__ import annotations

import enum
import math
import operator
from collections.abc import Callable, Sequence
from typing import Any

import torch

from . import _engine
from ._engine import InvalidInput
from .kernels import Kernel
from .wide_network import LIMITS, WideNetwork

Layer = tuple[Callable, Callable, Callable]  #: (init_fn, apply_fn, kernel_fn)

__all__ = ["ABRelu", "Abs", "AttentionMechanism", "AvgPool", "Conv", "Cos", "Dense", "ElementwiseNumerical", "Erf", "Exp", "FanInSum", "FanOut", "Flatten", "Gabor", "Gaussian",
           "Gelu", "GlobalAvgPool", "GlobalSelfAttention", "Hermite", "Identity", "LayerNorm", "LeakyRelu", "Monomial", "Padding", "Polynomial", "Rbf", "RectifiedMonomial",
           "Relu", "Sigmoid_like", "Sign", "Sin", "SumPool", "kernel", "parallel", "repeat", "serial"]


class Padding(enum.Enum):
    CIRCULAR = "CIRCULAR"
    SAME = "SAME"
    VALID = "VALID"


class AttentionMechanism(enum.Enum):
    SOFTMAX = "SOFTMAX"
    IDENTITY = "IDENTITY"


# --- several layers as one

def serial(*layers: Layer) -> Layer:
    """One after the other."""
    return _together("serial", _engine.serial, layers)


def parallel(*layers: Layer) -> Layer:
    """Layer k works on signal k: after FanOut, before FanInSum."""
    return _together("parallel", _engine.parallel, layers)


def repeat(layer: Layer, n: int) -> Layer:
    """n of this layer, one after the other, each with weights of its own."""
    return serial(*[layer] * _count("repeat", "n", n))


def FanOut(num: int) -> Layer:
    """num copies of the signal."""
    return _written(f"fanout:{_count('FanOut', 'num', num)}")


def FanInSum() -> Layer:
    """The sum of all signals; all but one must have passed a Dense or Conv since FanOut, with nothing nonlinear after it (else they are correlated)."""
    return _written("faninsum")


def kernel(layer: Layer, get: str) -> Kernel:
    """The limit ("nngp" or "ntk") as a `pathkernel.kernels.Kernel`, for machines, sums and products, files larger than memory. Its inputs are channels first."""
    if get not in LIMITS:
        raise InvalidInput(f"stax.kernel: get is {get!r}, but it is 'nngp' or 'ntk'")
    return _of(layer, "kernel").kernel(get)


# --- linear layers

def Identity() -> Layer:
    return _written("identity")


def Dense(out_dim: int, W_std: float = 1.0, b_std: float | None = None, batch_axis: int = 0, channel_axis: int = -1, parameterization: str = "ntk",
          s: tuple[int, int] = (1, 1)) -> Layer:
    """z = Wx + b at every position. "ntk": W_std/√N and b_std stand before standard normal weights; "standard": the weights are N(0, W_std²/N) and N(0, b_std²)."""
    _check_axes("Dense", batch_axis, channel_axis)
    return _written(f"dense:{_affine('Dense', 'out_dim', out_dim, W_std, b_std, parameterization, s)}")


def Conv(out_chan: int, filter_shape: Sequence[int], strides: Sequence[int] | None = None, padding: str = "VALID", W_std: float = 1.0, b_std: float | None = None,
         dimension_numbers: tuple[str, str, str] | None = None, parameterization: str = "ntk", s: tuple[int, int] = (1, 1)) -> Layer:
    """The same over windows of one, two or more axes. padding: "VALID", "SAME" (zeros) or "CIRCULAR"."""
    if dimension_numbers is not None:
        space = dimension_numbers[0][1:-1]
        if tuple(dimension_numbers) != (f"N{space}C", f"{space}IO", f"N{space}C") or len(space) != len(filter_shape):
            raise InvalidInput(f"stax.Conv: dimension_numbers={dimension_numbers!r} is not there; inputs are channels last, ('NHWC', 'HWIO', 'NHWC'): transpose them")
    affine = _affine("Conv", "out_chan", out_chan, W_std, b_std, parameterization, s)
    return _written(f"conv:{_window('Conv', filter_shape, strides, padding)},width={affine}")


def AvgPool(window_shape: Sequence[int], strides: Sequence[int] | None = None, padding: str = "VALID", normalize_edges: bool = False, batch_axis: int = 0,
            channel_axis: int = -1) -> Layer:
    """Means over windows, one position apart without strides. Zeros of the padding count."""
    _check_axes("AvgPool", batch_axis, channel_axis)
    if normalize_edges and _name("AvgPool", "padding", padding, Padding) == "SAME":
        raise InvalidInput("stax.AvgPool: normalize_edges=True with padding SAME is not there; the sum is divided by the whole window; use padding VALID or CIRCULAR")
    return _written(f"avgpool:{_window('AvgPool', window_shape, strides, padding)}")


def SumPool(window_shape: Sequence[int], strides: Sequence[int] | None = None, padding: str = "VALID", batch_axis: int = 0, channel_axis: int = -1) -> Layer:
    """Sums over windows."""
    _check_axes("SumPool", batch_axis, channel_axis)
    return _written(f"avgpool:{_window('SumPool', window_shape, strides, padding)} scale:{math.prod(window_shape)}")


def GlobalAvgPool(batch_axis: int = 0, channel_axis: int = -1) -> Layer:
    """The mean over all positions."""
    _check_axes("GlobalAvgPool", batch_axis, channel_axis)
    return _written("gap")


def Flatten(batch_axis: int = 0, batch_axis_out: int = 0) -> Layer:
    """All positions' channels side by side: a Dense, or the end, follows. The finite network's features are ordered channel by channel."""
    _only("Flatten", "batch_axis", batch_axis, (0,), "put examples first")
    _only("Flatten", "batch_axis_out", batch_axis_out, (0, -2), "examples stay first")
    return _written("flatten")


def LayerNorm(axis: int | Sequence[int] = -1, eps: float = 1e-12, batch_axis: int = 0, channel_axis: int = -1) -> Layer:
    """(z − mean)/√(variance + eps) over the channels, after a Dense or Conv."""
    _check_axes("LayerNorm", batch_axis, channel_axis)
    _only("LayerNorm", "axis", axis, (-1, (-1,), [-1]), "channels are what is normalised over")
    return _written(f"layernorm:eps={_number('LayerNorm', 'eps', eps)}")


def GlobalSelfAttention(n_chan_out: int, n_chan_key: int, n_chan_val: int, n_heads: int, linear_scaling: bool = True, W_key_std: float = 1.0, W_value_std: float = 1.0,
                        W_query_std: float = 1.0, W_out_std: float = 1.0, b_std: float | None = None, attention_mechanism: str = "SOFTMAX", pos_emb_type: str = "NONE",
                        pos_emb_p_norm: float = 2, pos_emb_decay_fn: Callable[[float], float] | None = None, n_chan_pos_emb: int | None = None, W_pos_emb_std: float = 1.0,
                        val_pos_emb: bool = False, batch_axis: int = 0, channel_axis: int = -1) -> Layer:
    """Self-attention over all positions, in the limit of infinitely many heads and keys (Hron et al. 2020), in the NTK parametrisation.

    linear_scaling: logits divided by n_chan_key, W_query = W_key. False: divided by its root; with "SOFTMAX" the kernel is then estimated (kernel_fn(…, draws=10)).
    """
    name = "GlobalSelfAttention"
    _check_axes(name, batch_axis, channel_axis)
    _only(name, "pos_emb_type", getattr(pos_emb_type, "value", pos_emb_type), ("NONE",), "positional embeddings can be added to the inputs as channels")
    mechanism = _name(name, "attention_mechanism", attention_mechanism, AttentionMechanism)
    sizes = [f"{key}={_count(name, what, size)}" for key, what, size in (("width", "n_chan_out", n_chan_out), ("key", "n_chan_key", n_chan_key), ("value", "n_chan_val", n_chan_val),
                                                                         ("heads", "n_heads", n_heads))]
    stds = {"w_key": W_key_std, "w_value": W_value_std, "w_query": W_query_std, "w_out": W_out_std, **({} if b_std is None else {"b": b_std})}
    words = ["identity"] if mechanism == "IDENTITY" else []
    return _written("attention:" + ",".join([*words, f"scale={'linear' if linear_scaling else 'sqrt'}", *sizes, *(f"{key}={_number(name, key, std)}" for key, std in stds.items())]))


# --- elementwise functions; do_stabilize is taken and changes nothing: angles are exact here without it

def Relu(do_stabilize: bool = False) -> Layer:
    return _written("relu")


def ABRelu(a: float, b: float, do_stabilize: bool = False) -> Layer:
    """a·min(x, 0) + b·max(x, 0)"""
    return _function("abrelu", a, b)


def LeakyRelu(alpha: float, do_stabilize: bool = False) -> Layer:
    """alpha·min(x, 0) + max(x, 0)"""
    return _function("leaky", alpha)


def Abs(do_stabilize: bool = False) -> Layer:
    return _written("abs")


def Erf(a: float = 1.0, b: float = 1.0, c: float = 0.0) -> Layer:
    """a·erf(bx) + c"""
    return _function("erf", a, b, c)


def Sigmoid_like() -> Layer:
    """erf(x/2.4020563531719796)/2 + 1/2, close to the logistic function"""
    return Erf(0.5, 1 / 2.4020563531719796, 0.5)


def Gelu(approximate: bool = False) -> Layer:
    """xΦ(x)"""
    _only("Gelu", "approximate", approximate, (False,), "the exact function is used in finite networks as well")
    return _written("gelu")


def Sin(a: float = 1.0, b: float = 1.0, c: float = 0.0) -> Layer:
    """a·sin(bx + c)"""
    return _function("sin", a, b, c)


def Cos(a: float = 1.0, b: float = 1.0, c: float = 0.0) -> Layer:
    """a·cos(bx + c)"""
    return _function("cos", a, b, c)


def Rbf(gamma: float = 1.0) -> Layer:
    """√2·sin(√(2·gamma)·x + π/4): its kernel is exp(−gamma·E(u − v)²)"""
    return _function("sin", math.sqrt(2), math.sqrt(2 * gamma), math.pi / 4)


def Exp(a: float = 1, b: float = 1) -> Layer:
    """a·exp(bx)"""
    return _function("exp", a, b)


def Gaussian(a: float = 1, b: float = -1) -> Layer:
    """a·exp(bx²), b < 0"""
    return _function("gaussian", a, b)


def Gabor() -> Layer:
    """exp(−x²)·sin(x), by quadrature"""
    return _by_quadrature("gabor", lambda x: torch.exp(-x * x) * torch.sin(x), lambda x: torch.exp(-x * x) * (torch.cos(x) - 2 * x * torch.sin(x)))


def Sign() -> Layer:
    """Its slope is zero, as autograd has it: the tangent kernel is that of the weights after it."""
    return _written("sign:flat")


def Monomial(degree: int) -> Layer:
    """x^degree"""
    return _written(f"monomial:{_index('Monomial', 'degree', degree)}")


def RectifiedMonomial(degree: int) -> Layer:
    """x^degree for x > 0, else 0; degree 0, 1 or 2. Degree 0 is the step function, of slope zero as in Sign."""
    degree = _index("RectifiedMonomial", "degree", degree)
    return _written("step:flat" if degree == 0 else f"rectified:{degree}")


def Polynomial(coef: Sequence[float]) -> Layer:
    """Σ_k coef[k]·x^k"""
    return _function("polynomial", *coef)


def Hermite(degree: int) -> Layer:
    """He_n(x)/√n!, n = degree: of norm one where inputs have variance one (after LayerNorm), and exact where they have not."""
    return _function("hermite", *[0.0] * _index("Hermite", "degree", degree), 1.0)


def ElementwiseNumerical(fn: Callable[[torch.Tensor], torch.Tensor], deg: int, df: Callable[[torch.Tensor], torch.Tensor] | None = None, *, tolerance: float = 1e-10) -> Layer:
    """Any function of torch tensors, elementwise, by its Hermite coefficients: as many as `tolerance` takes (an error relative to E fn² and E fn'²), at most 1024, or deg where
    that is more. Where that is not reached kernel_fn says so: near a kink or a jump. df: its derivative, by autograd without it."""
    try:
        sample = torch.linspace(-1, 1, 6, dtype=torch.float64).reshape(2, 3)
        value = fn(sample)
    except Exception as error:
        raise InvalidInput(f"stax.ElementwiseNumerical: fn fails on a torch tensor of float64 ({error}); write it with torch's operations") from error
    if not isinstance(value, torch.Tensor) or value.shape != sample.shape or value.dtype != sample.dtype:
        raise InvalidInput("stax.ElementwiseNumerical: fn must give one number for each, a torch tensor in the shape and dtype of its input; write it with torch's operations")
    return _by_quadrature(getattr(fn, "__name__", "fn").strip("<>"), fn, df or _derivative(fn), tolerance, max(1024, _count("ElementwiseNumerical", "deg", deg)))


# --- how the above are written for the engine

def _written(text: str) -> Layer:
    layers = _engine.layers(text)
    return WideNetwork(layers[0] if len(layers) == 1 else _engine.serial(layers)).functions()


def _function(name: str, *numbers: float) -> Layer:
    return _written(f"{name}:" + ",".join(_number(name, "a number", number) for number in numbers))


def _by_quadrature(name: str, fn: Callable, df: Callable, tolerance: float = 1e-10, terms: int = 256) -> Layer:
    return WideNetwork(_engine.elementwise(name, fn, df, tolerance=tolerance, terms=terms)).functions()


def _derivative(fn: Callable) -> Callable:
    def df(x: torch.Tensor) -> torch.Tensor:
        differentiable = torch.is_grad_enabled() and x.requires_grad
        with torch.enable_grad():
            u = x if differentiable else x.detach().requires_grad_()
            return torch.autograd.grad(fn(u).sum(), u, create_graph=differentiable)[0]
    return df


def _of(layer: Layer, function: str) -> WideNetwork:
    network = getattr(layer[2], "__self__", None) if isinstance(layer, tuple) and len(layer) == 3 else None
    if not isinstance(network, WideNetwork):
        raise InvalidInput(f"stax.{function}: {layer!r} is no layer; layers are what the functions of pathkernel.stax give, Dense(512), Relu(); for a function of your own "
                           "there is ElementwiseNumerical")
    return network


def _together(function: str, combine: Callable, layers: Sequence[Layer]) -> Layer:
    if not layers:
        raise InvalidInput(f"stax.{function}: there are no layers; Identity() changes nothing")
    parts = [_of(layer, function) for layer in layers]
    return WideNetwork(combine([part.engine for part in parts]), parts).functions()


def _affine(layer: str, what: str, width: int, W_std: float, b_std: float | None, parameterization: str, s: Sequence[int]) -> str:
    if str(parameterization).lower() not in ("ntk", "standard"):
        raise InvalidInput(f"stax.{layer}: parameterization is {parameterization!r}, but it is 'ntk' or 'standard'")
    _only(layer, "s", tuple(s), ((1, 1),), "write widths as they are")
    bias = "nobias" if b_std is None else f"b={_number(layer, 'b_std', b_std)}"
    return f"{_count(layer, what, width)},w={_number(layer, 'W_std', W_std)},{bias},{str(parameterization).lower()}"


def _window(layer: str, shape: Sequence[int], strides: Sequence[int] | None, padding: str) -> str:
    if isinstance(shape, int) or isinstance(strides, int):
        raise InvalidInput(f"stax.{layer}: the window is {shape!r} with strides {strides!r}; both have one number per axis, (3, 3) for images, (3,) for signals")
    sizes = "x".join(str(_count(layer, "the window", size)) for size in shape)
    steps = "x".join(str(_count(layer, "strides", step)) for step in (strides or [1] * len(shape)))
    return f"{sizes},stride={steps},{_name(layer, 'padding', padding, Padding).lower()}"


def _name(layer: str, argument: str, value: Any, known: type[enum.Enum]) -> str:
    name = str(getattr(value, "value", value)).upper()
    if name not in known.__members__:
        raise InvalidInput(f"stax.{layer}: {argument}={value!r} is not there; there are {', '.join(known.__members__)}")
    return name


def _number(layer: str, argument: str, value: Any) -> str:
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number):
        raise InvalidInput(f"stax.{layer}: {argument} is {value!r}, but a finite number is expected")
    return repr(number)


def _index(layer: str, argument: str, value: Any, least: int = 0) -> int:
    try:
        index = operator.index(value)
    except TypeError:
        index = least - 1
    if index < least:
        raise InvalidInput(f"stax.{layer}: {argument} is {value!r}, but a whole number from {least} up is expected")
    return index


def _count(layer: str, argument: str, value: Any) -> int:
    return _index(layer, argument, value, 1)


def _only(layer: str, argument: str, value: Any, allowed: Sequence[Any], instead: str) -> None:
    if value not in allowed:
        raise InvalidInput(f"stax.{layer}: {argument}={value!r} is not there, only {allowed[0]!r}: {instead}")


def _check_axes(layer: str, batch_axis: int, channel_axis: int) -> None:
    _only(layer, "batch_axis", batch_axis, (0,), "put examples first")
    _only(layer, "channel_axis", channel_axis, (-1,), "put channels last")


_NOT_HERE = {
    "Aggregate": "graphs are not there; aggregate the inputs first",
    "ConvLocal": "convolutions share their weights; use Conv",
    "ConvTranspose": "use Conv, or turn the inputs round first",
    "DotGeneral": "apply the constant linear map to the inputs first; means over positions are AvgPool and GlobalAvgPool",
    "Dropout": "leave it out, or average kernels of networks without it",
    "Elementwise": "use ElementwiseNumerical(fn, deg), which needs no nngp_fn, or one of the functions with a closed form",
    "ExpNormalized": "use Rbf, or pathkernel.kernels.rbf on the inputs",
    "FanInConcat": "put a Dense into every branch and use FanInSum",
    "FanInProd": "multiply the branches' kernels: stax.kernel(a, 'nngp') * stax.kernel(b, 'nngp')",
    "GlobalSumPool": "use GlobalAvgPool, and multiply W_std of the Dense after it by the number of positions",
    "ImageResize": "resize the inputs first: torch.nn.functional.interpolate",
    "Index": "cut the inputs first",
    "Slice": "cut the inputs first",
    "layer": "layers are the engine's; a function of your own is ElementwiseNumerical(fn, deg)",
    "requires": "what is needed of the covariances follows from the layers",
    "supports_masking": "masks are not there; cut or pad the inputs",
    "unmask_fn": "masks are not there; cut or pad the inputs",
    "MaskedArray": "masks are not there; cut or pad the inputs",
    "PositionalEmbedding": "add positional embeddings to the inputs as channels",
    "AggregateImplementation": "graphs are not there",
    "Bool": "what is needed of the covariances follows from the layers",
    "Diagonal": "what is needed of the covariances follows from the layers",
}


def __getattr__(name: str) -> Any:
    if name not in _NOT_HERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

    def refused(*arguments: Any, **named: Any) -> Layer:
        raise InvalidInput(f"stax.{name} of neural-tangents is not in pathkernel: {_NOT_HERE[name]}")

    return refused
