"""`pathkernel.stax`: every layer against quadrature of its own function, the program's kernels and finite networks; arrays, shapes, refusals; the guide."""

import math
import os
import re
import subprocess
import sys

import numpy as np
import pathkernel
import program
import pytest
import torch
from pathkernel import stax
from scipy import special
from test_workflows import says

random = np.random.default_rng(0)
X, Y = random.standard_normal((3, 4)), random.standard_normal((2, 4))
IMAGES, OTHERS = random.standard_normal((3, 6, 5, 2)), random.standard_normal((2, 6, 5, 2))
SIGNALS = random.standard_normal((3, 7, 2))


def expectation(f, a, b, c):
    """E f(u) f(v), (u, v) ~ N(0, [[a, c], [c, b]]): polar coordinates, cut where u = 0 and v = 0, so that every part is smooth."""
    first = np.array([math.sqrt(a), 0])
    second = np.array([c / math.sqrt(a), math.sqrt(b - c * c / a)])
    cuts = sorted((math.atan2(v[1], v[0]) + math.pi / 2 + turn) % (2 * math.pi) for v in (first, second) for turn in (0, math.pi))
    x, w = np.polynomial.legendre.leggauss(100)
    r, dr = 6.5 * (x + 1), 6.5 * w
    total = 0
    for begin, end in zip(cuts, [*cuts[1:], cuts[0] + 2 * math.pi]):
        angle, turn = (begin + end) / 2 + (end - begin) / 2 * x, (end - begin) / 2 * w
        z = np.stack([np.cos(angle), np.sin(angle)])
        u, v = np.outer(first @ z, r), np.outer(second @ z, r)
        total += (np.outer(turn, dr * r * np.exp(-r * r / 2)) * f(u) * f(v)).sum()
    return total / (2 * math.pi)


HERMITE_3 = lambda x: (x**3 - 3 * x) / math.sqrt(6)
GAUSS = lambda x: np.exp(-x * x)

#: layer: (made, function, its slope)
FUNCTIONS = {
    "Relu": (lambda: stax.Relu(), lambda x: np.maximum(x, 0), lambda x: x > 0),
    "ABRelu": (lambda: stax.ABRelu(-0.3, 1.7), lambda x: np.where(x > 0, 1.7 * x, -0.3 * x), lambda x: np.where(x > 0, 1.7, -0.3)),
    "LeakyRelu": (lambda: stax.LeakyRelu(0.1), lambda x: np.where(x > 0, x, 0.1 * x), lambda x: np.where(x > 0, 1, 0.1)),
    "Abs": (lambda: stax.Abs(do_stabilize=True), np.abs, np.sign),
    "Erf": (lambda: stax.Erf(), special.erf, lambda x: 2 / math.sqrt(math.pi) * GAUSS(x)),
    "Erf(a, b, c)": (lambda: stax.Erf(0.5, 1.2, 0.3), lambda x: 0.5 * special.erf(1.2 * x) + 0.3, lambda x: 1.2 / math.sqrt(math.pi) * GAUSS(1.2 * x)),
    "Sigmoid_like": (lambda: stax.Sigmoid_like(), lambda x: special.erf(x / 2.4020563531719796) / 2 + 0.5, lambda x: GAUSS(x / 2.4020563531719796) / 2.4020563531719796 / math.sqrt(math.pi)),
    "Gelu": (lambda: stax.Gelu(), lambda x: x * special.ndtr(x), lambda x: special.ndtr(x) + x * np.exp(-x * x / 2) / math.sqrt(2 * math.pi)),
    "Sin": (lambda: stax.Sin(), np.sin, np.cos),
    "Sin(a, b, c)": (lambda: stax.Sin(1.2, 0.8, 0.3), lambda x: 1.2 * np.sin(0.8 * x + 0.3), lambda x: 0.96 * np.cos(0.8 * x + 0.3)),
    "Cos(a, b, c)": (lambda: stax.Cos(1.2, 0.8, 0.3), lambda x: 1.2 * np.cos(0.8 * x + 0.3), lambda x: -0.96 * np.sin(0.8 * x + 0.3)),
    "Rbf": (lambda: stax.Rbf(0.7), lambda x: math.sqrt(2) * np.sin(math.sqrt(1.4) * x + math.pi / 4), lambda x: math.sqrt(2.8) * np.cos(math.sqrt(1.4) * x + math.pi / 4)),
    "Exp": (lambda: stax.Exp(0.5, 0.6), lambda x: 0.5 * np.exp(0.6 * x), lambda x: 0.3 * np.exp(0.6 * x)),
    "Gaussian": (lambda: stax.Gaussian(), GAUSS, lambda x: -2 * x * GAUSS(x)),
    "Gaussian(a, b)": (lambda: stax.Gaussian(2, -0.3), lambda x: 2 * np.exp(-0.3 * x * x), lambda x: -1.2 * x * np.exp(-0.3 * x * x)),
    "Gabor": (lambda: stax.Gabor(), lambda x: GAUSS(x) * np.sin(x), lambda x: GAUSS(x) * (np.cos(x) - 2 * x * np.sin(x))),
    "Sign": (lambda: stax.Sign(), np.sign, np.zeros_like),
    "Monomial": (lambda: stax.Monomial(3), lambda x: x**3, lambda x: 3 * x**2),
    "RectifiedMonomial(0)": (lambda: stax.RectifiedMonomial(0), lambda x: np.heaviside(x, 0), np.zeros_like),
    "RectifiedMonomial(1)": (lambda: stax.RectifiedMonomial(1), lambda x: np.maximum(x, 0), lambda x: x > 0),
    "RectifiedMonomial(2)": (lambda: stax.RectifiedMonomial(2), lambda x: np.maximum(x, 0) ** 2, lambda x: 2 * np.maximum(x, 0)),
    "Polynomial": (lambda: stax.Polynomial([0.1, -0.3, 0.5]), lambda x: 0.1 - 0.3 * x + 0.5 * x * x, lambda x: x - 0.3),
    "Hermite": (lambda: stax.Hermite(3), HERMITE_3, lambda x: (3 * x * x - 3) / math.sqrt(6)),
    "ElementwiseNumerical": (lambda: stax.ElementwiseNumerical(torch.tanh, 25), np.tanh, lambda x: 1 / np.cosh(x) ** 2),
    "ElementwiseNumerical(df)": (lambda: stax.ElementwiseNumerical(torch.sin, 25, df=torch.cos), np.sin, np.cos),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_have_the_kernels_that_quadrature_gives(name):
    made, f, slope = FUNCTIONS[name]
    layer = made()
    net = stax.serial(stax.Dense(9, 1.3, 0.2), layer, stax.Dense(1, 0.9, 0.4))
    for y in (Y, None):
        K, Kx, Ky = (0.04 + 1.69 * a @ b.T / 4 for a, b in ((X, X if y is None else y), (X, X), (Y, Y)))
        own = (Kx.diagonal(), Kx.diagonal() if y is None else Ky.diagonal())
        entries = [(i, j) for i in range(3) for j in range(K.shape[1]) if y is not None or j < i]
        nngp, ntk = net[2](X, y, "nngp"), net[2](X, y, "ntk")
        for i, j in entries:
            F, F_dot = (expectation(g, own[0][i], own[1][j], K[i, j]) for g in (f, slope))
            assert nngp[i, j] == pytest.approx(0.16 + 0.81 * F, rel=1e-9)
            assert ntk[i, j] == pytest.approx(0.16 + 0.81 * F + 0.81 * K[i, j] * F_dot, rel=1e-9)
    _, apply_fn, _ = layer
    assert np.abs(apply_fn((), X).numpy() - f(X)).max() < 1e-14


#: net: (made, as the program writes it, inputs)
NETS = {
    "dense": (lambda: stax.serial(stax.Dense(512, 1.5, 0.1), stax.Relu(), stax.Dense(1, 1.5, 0.1)), "dense:w=1.5,b=0.1 relu dense:w=1.5,b=0.1", X, Y),
    "standard": (lambda: stax.serial(stax.Dense(64, 1.5, 0.1, parameterization="standard"), stax.Relu(), stax.Dense(1, 1.2, None, 0, -1, "STANDARD")),
                 "dense:64,w=1.5,b=0.1,standard relu dense:1,w=1.2,standard", X, Y),
    "conv": (lambda: stax.serial(stax.Conv(16, (3, 2), (2, 1), "SAME", 1.4, 0.1), stax.Relu(), stax.Flatten(), stax.Dense(1)),
             "conv:3x2,stride=2x1,same,w=1.4,b=0.1 relu flatten dense", IMAGES, OTHERS),
    "circular, gap": (lambda: stax.serial(stax.Conv(16, (3, 3), padding="CIRCULAR", W_std=1.4), stax.Erf(), stax.GlobalAvgPool(), stax.Dense(1, 1.1, 0.2)),
                      "conv:3x3,circular,w=1.4 erf gap dense:w=1.1,b=0.2", IMAGES, OTHERS),
    "conv, standard": (lambda: stax.serial(stax.Conv(16, (3, 3), b_std=0.1, dimension_numbers=("NHWC", "HWIO", "NHWC"), parameterization="standard"), stax.Relu(), stax.GlobalAvgPool(),
                                           stax.Dense(1, parameterization="standard")), "conv:3x3,width=16,b=0.1,standard relu gap dense:1,standard", IMAGES, OTHERS),
    "pools": (lambda: stax.serial(stax.AvgPool((2, 2), (2, 1)), stax.Conv(8, (2, 2), padding=stax.Padding.SAME), stax.Relu(), stax.SumPool((2, 1), padding="SAME"), stax.Flatten(),
                                  stax.Dense(1)), "avgpool:2x2,stride=2x1 conv:2x2,same relu avgpool:2x1,same scale:2 flatten dense", IMAGES, OTHERS),
    "signals": (lambda: stax.serial(stax.Conv(8, (3,), (2,)), stax.Relu(), stax.GlobalAvgPool(), stax.Dense(1)), "conv:3,stride=2 relu gap dense", SIGNALS, SIGNALS[:1] + 1),
    "layer norm": (lambda: stax.serial(stax.Dense(8), stax.LayerNorm(), stax.Relu(), stax.Dense(8), stax.LayerNorm(-1, 0.3), stax.Relu(), stax.Dense(1)),
                   "dense layernorm relu dense layernorm:0.3 relu dense", X, Y),
    "residual": (lambda: stax.serial(stax.Dense(8, 1.2), stax.FanOut(2), stax.parallel(stax.Identity(), stax.serial(stax.Relu(), stax.Dense(8, 0.7, 0.1))), stax.FanInSum(), stax.Relu(),
                                     stax.Dense(1)), "dense:w=1.2 residual(relu dense:w=0.7,b=0.1) relu dense", X, Y),
    "repeat": (lambda: stax.serial(stax.repeat(stax.serial(stax.Dense(8, 1.2), stax.Relu()), 3), stax.Dense(1)), "dense:w=1.2 relu dense:w=1.2 relu dense:w=1.2 relu dense", X, Y),
    "attention": (lambda: stax.serial(stax.GlobalSelfAttention(4, 5, 6, 7, True, 1.1, 1.2, 1.3, 1.4, 0.1), stax.Relu(), stax.GlobalAvgPool(), stax.Dense(1)),
                  "attention:w_key=1.1,w_value=1.2,w_query=1.3,w_out=1.4,b=0.1 relu gap dense", SIGNALS, SIGNALS[:1] + 1),
    "attention, identity": (lambda: stax.serial(stax.GlobalSelfAttention(4, 5, 6, 7, False, attention_mechanism="IDENTITY"), stax.Flatten(), stax.Dense(1)),
                            "attention:identity,scale=sqrt flatten dense", IMAGES, OTHERS),
}


def by_program(tmp_path, limit, text, x, y=None):
    files = ["-o", tmp_path / "K.npy"]
    for name, inputs in (("x", x), ("y", y)):
        if inputs is not None:
            np.save(tmp_path / f"{name}.npy", np.ascontiguousarray(np.moveaxis(inputs, -1, 1)))
            files += [f"--{name}", tmp_path / f"{name}.npy"]
    program.run("kernel", limit, "--net", text, *files)
    return np.load(tmp_path / "K.npy")


@pytest.mark.parametrize("name", NETS)
def test_networks_have_the_kernels_of_the_program(tmp_path, name):
    made, text, x, y = NETS[name]
    _, _, kernel_fn = made()
    for limit, other in (("nngp", y), ("ntk", y), ("ntk", None)):
        expected = by_program(tmp_path, limit, text, x, other)
        found = kernel_fn(x, other, limit)
        assert found.shape == expected.shape and np.abs(found - expected).max() <= 1e-12 * np.abs(expected).max()


def test_a_convolutional_network_has_the_numbers_of_the_theory():
    x = np.array([[1, 2, 3, 4], [1, -1, 1, 0.5]]).reshape(2, 4, 1)
    layers = [stax.Conv(1, (3,), None, "SAME", math.sqrt(2), math.sqrt(0.1)), stax.Relu()] * 2
    for end, K, T, own in ((stax.Flatten(), 2.520238993219, 4.616743427489, 32.05), (stax.GlobalAvgPool(), 2.203680430935, 3.623372252618, 20.048423052932)):
        both = stax.serial(*layers, end, stax.Dense(1, math.sqrt(2), math.sqrt(0.1)))[2](x)
        assert (both.nngp[0, 1], both.ntk[0, 1], both.ntk[0, 0]) == pytest.approx((K, T, own), abs=1e-11)


def deep_relu(layers):
    hidden = [stax.Dense(8, math.sqrt(2)), stax.Relu()] * (layers - 2)
    return stax.serial(stax.Dense(8), stax.Relu(), *hidden, stax.Dense(1, math.sqrt(2)))


def test_deep_relu_networks_on_the_sphere():
    x = np.array([[1, 0], [0.3, math.sqrt(0.91)]]) * math.sqrt(2)
    both = deep_relu(5)[2](x)
    assert (both.nngp[0, 1], both.ntk[0, 1]) == pytest.approx((0.732161916784791, 1.76582657532255), abs=1e-13)
    single = random.standard_normal((20, 16)).astype(np.float32)
    single *= 4 / np.linalg.norm(single.astype(float), axis=1, keepdims=True).astype(np.float32)
    K = deep_relu(21)[2](single, None, "ntk")
    length = (single.astype(float) ** 2).sum(1) / 16
    assert K.dtype == np.float32 and np.abs(K.diagonal() / (21 * length) - 1).max() < 1e-6


def test_what_is_asked_for_is_what_comes():
    _, _, kernel_fn = stax.serial(stax.Dense(8, 1.5, 0.1), stax.Relu(), stax.Dense(1))
    both, pair, one = kernel_fn(X, Y), kernel_fn(X, Y, ("ntk", "nngp")), kernel_fn(X, Y, ("ntk",))
    assert both._fields == ("nngp", "ntk") and pair._fields == ("ntk", "nngp") and one._fields == ("ntk",)
    assert both.nngp.shape == (3, 2) and (both.nngp == kernel_fn(X, Y, "nngp")).all() and (both.ntk == pair[0]).all() and (one.ntk == both.ntk).all()
    many = random.standard_normal((300, 4))
    for symmetric in (kernel_fn(many, None, "ntk"), kernel_fn(many, many, "ntk")):
        assert (symmetric == symmetric.T).all()
        assert np.abs(symmetric - kernel_fn(many, many.copy(), "ntk")).max() < 1e-6  # two copies of one input have an angle known to the root of eps only
    assert np.abs(kernel_fn(many, None, "ntk", memory=1 << 20) - kernel_fn(many, None, "ntk")).max() < 1e-12  # in smaller tiles
    with pytest.raises(pathkernel.InvalidInput, match="allow more memory"):
        kernel_fn(many, None, "ntk", memory=1 << 19)


def test_arrays_give_arrays_and_tensors_give_tensors():
    _, _, kernel_fn = stax.serial(stax.Dense(8, 1.5, 0.1), stax.Relu(), stax.Dense(1))
    K = kernel_fn(X, Y, "ntk")
    for dtype in (torch.float32, torch.float64):
        found = kernel_fn(torch.tensor(X, dtype=dtype), torch.tensor(Y, dtype=dtype), "ntk")
        assert isinstance(found, torch.Tensor) and found.dtype == dtype and np.abs(found.numpy() - K).max() < (1e-5 if dtype == torch.float32 else 1e-14)
    assert isinstance(K, np.ndarray) and K.dtype == np.float64 and kernel_fn(X.astype(np.float32), None, "ntk").dtype == np.float32
    assert kernel_fn([[1, 2], [3, 4]], None, "ntk").dtype == np.float64
    x = torch.tensor(X, requires_grad=True)
    kernel_fn(x, torch.tensor(Y), "ntk").sum().backward()
    step = np.zeros_like(X)
    step[1, 2] = 1e-6
    assert x.grad[1, 2].item() == pytest.approx((kernel_fn(X + step, Y, "ntk") - kernel_fn(X - step, Y, "ntk")).sum() / 2e-6, rel=1e-7)


def test_kernels_of_layers_are_kernels():
    layer = stax.serial(stax.Dense(8, 1.5, 0.1), stax.Relu(), stax.Dense(1))
    kernel = stax.kernel(layer, "ntk")
    assert (kernel.gram(X, Y) == layer[2](X, Y, "ntk")).all()
    assert pathkernel.kernels.parse(str(kernel)) == kernel and str(kernel) == "ntk(dense:8,w=1.5,b=0.1 relu dense:1,w=1)"


def test_finite_networks_are_what_their_arguments_say():
    init_fn, apply_fn, _ = stax.serial(stax.Dense(5, 1.5, 0.3), stax.serial(stax.Relu(), stax.Dense(2, 0.7)))
    shape, params = init_fn(0, (-1, 4), dtype=torch.float64)
    (W, b), (nothing, (V,)) = params
    assert shape == (-1, 2) and nothing == () and W.shape == (5, 4) and b.shape == (5,) and V.shape == (2, 5) and all(p.requires_grad for p in (W, b, V))
    hidden = np.maximum(X @ W.detach().numpy().T * 1.5 / 2 + 0.3 * b.detach().numpy(), 0)
    assert np.abs(apply_fn(params, X, rng=0).detach().numpy() - hidden @ V.detach().numpy().T * 0.7 / math.sqrt(5)).max() < 1e-14
    assert apply_fn([list(params[0]), params[1]], torch.tensor(X)).equal(apply_fn(params, X))  # lists, as optimizers and files give them back
    (same, *_), (other, *_), (key, *_) = init_fn(0, (7, 4), dtype=torch.float64)[1], init_fn(1, (7, 4))[1], init_fn(np.array([0, 0], np.uint32), (7, 4), dtype=torch.float64)[1]
    assert same[0].equal(W) and key[0].equal(W) and other[0].dtype == torch.float32 and not other[0].double().equal(W)
    standard = stax.Dense(4000, 3.0, 0.5, parameterization="standard")
    _, (W, b) = standard[0](0, (1, 9))
    assert W.std().item() == pytest.approx(1, rel=0.05) and b.std().item() == pytest.approx(0.5, rel=0.05)
    assert standard[1]((W, b), X[:, :1].repeat(9, 1)).detach().numpy() == pytest.approx((X[:, :1].repeat(9, 1) @ W.detach().double().numpy().T + b.detach().double().numpy()), abs=1e-5)


def test_images_are_channels_last():
    init_fn, apply_fn, _ = stax.Conv(5, (3, 2), (2, 1), "VALID", 1.4, 0.2)
    shape, (W, b) = init_fn(0, (-1, 6, 5, 2), dtype=torch.float64)
    expected = torch.nn.functional.conv2d(torch.tensor(IMAGES).permute(0, 3, 1, 2), W * 1.4 / math.sqrt(12), b * 0.2, stride=(2, 1)).permute(0, 2, 3, 1)
    assert shape == (-1, 2, 4, 5) and W.shape == (5, 2, 3, 2) and (apply_fn((W, b), IMAGES) - expected).abs().max() < 1e-14
    for layer, after in ((stax.Conv(5, (3, 3), (2, 2), "SAME"), (3, 3, 5)), (stax.AvgPool((2, 2), (2, 2)), (3, 2, 2)), (stax.SumPool((2, 2)), (5, 4, 2)), (stax.GlobalAvgPool(), (2,)),
                         (stax.Flatten(), (60,)), (stax.Dense(7), (6, 5, 7)), (stax.LayerNorm(), (6, 5, 2)), (stax.GlobalSelfAttention(3, 4, 5, 6, b_std=0.1), (6, 5, 3)),
                         (stax.GlobalSelfAttention(3, 4, 5, 6, False), (6, 5, 3))):
        shape, params = layer[0](0, (8, 6, 5, 2))
        assert shape == (8, *after) and layer[1](params, IMAGES).shape == (3, *after)
    (query, key, value, out, b) = stax.GlobalSelfAttention(3, 4, 5, 6, False, b_std=0.1)[0](0, (8, 6, 5, 2))[1]
    assert [tuple(p.shape) for p in (query, key, value, out, b)] == [(24, 2), (24, 2), (30, 2), (3, 30), (3,)]
    assert np.abs(stax.SumPool((2, 3))[1]((), IMAGES).numpy() - 6 * stax.AvgPool((2, 3))[1]((), IMAGES).numpy()).max() < 1e-14
    assert stax.GlobalAvgPool()[1]((), IMAGES).numpy() == pytest.approx(IMAGES.mean((1, 2)))


def leaves(params):
    return [params] if isinstance(params, torch.Tensor) else [leaf for part in params for leaf in leaves(part)]


def tangent_kernel(apply_fn, params, x):
    """Of one output, by torch.func."""
    jacobian = leaves(torch.func.jacrev(lambda p: apply_fn(p, x)[:, 0])(params))
    return sum(J.flatten(1) @ J.flatten(1).T for J in jacobian)


WIDE = {
    "dense": (lambda w, out: stax.serial(stax.Dense(w, 1.5, 0.3), stax.Relu(), stax.Dense(w, 1.2, 0.2), stax.Erf(), stax.Dense(out, 1.1, 0.4)), X),
    "standard": (lambda w, out: stax.serial(stax.Dense(w, 1.5, 0.3, parameterization="standard"), stax.Relu(), stax.Dense(out, 1.1, 0.4, parameterization="standard")), X),
    "sign": (lambda w, out: stax.serial(stax.Dense(w, 1.5), stax.Sign(), stax.Dense(out, 1.1)), X),
    "images": (lambda w, out: stax.serial(stax.Conv(w, (3, 3), None, "SAME", 1.5, 0.3), stax.Gelu(), stax.AvgPool((2, 2), (2, 2)), stax.FanOut(2),
                                          stax.parallel(stax.Identity(), stax.serial(stax.Conv(w, (2, 2), padding="CIRCULAR"), stax.LayerNorm())), stax.FanInSum(),
                                          stax.GlobalAvgPool(), stax.Dense(out)), IMAGES),
}


@pytest.mark.parametrize("name", WIDE)
def test_finite_networks_converge_to_the_kernels(name):
    """The error of a network's own kernels falls as the root of its width: to a quarter from 24 to 384."""
    made, x = WIDE[name]
    x = torch.tensor(x)
    errors = {}
    for width in (24, 384):
        squares = {"nngp": [], "ntk": []}
        init_fn, apply_fn, kernel_fn = made(width, width)
        variance = kernel_fn(x, None, "nngp").diagonal()
        for seed in range(80):
            with torch.no_grad():
                outputs = apply_fn(init_fn(seed, (-1, *x.shape[1:]), dtype=torch.float64)[1], x)
            squares["nngp"].append(((outputs**2).mean(1) / variance - 1) ** 2)
        init_fn, apply_fn, kernel_fn = made(width, 1)
        limit = kernel_fn(x, None, "ntk")
        scale = limit.diagonal().sqrt()
        for seed in range(20):
            finite = tangent_kernel(apply_fn, init_fn(seed, (-1, *x.shape[1:]), dtype=torch.float64)[1], x)
            squares["ntk"].append(((finite - limit) / torch.outer(scale, scale)) ** 2)
        errors[width] = {name: torch.stack(s).mean().sqrt().item() for name, s in squares.items()}
    for limit in ("nngp", "ntk"):
        assert errors[384][limit] < 0.12 and 2.5 < errors[24][limit] / errors[384][limit] < 6.5, errors


def test_tangent_kernels_of_finite_networks_by_the_tape_and_by_torch_func():
    init_fn, apply_fn, _ = WIDE["images"][0](6, 1)
    _, params = init_fn(0, (-1, 6, 5, 2), dtype=torch.float64)

    class Finite(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.weights = torch.nn.ParameterList(leaves(params))

        def forward(self, x):
            given = iter(self.weights)
            refill = lambda p: next(given) if isinstance(p, torch.Tensor) else tuple(refill(part) for part in p)
            return apply_fn(refill(params), x)

    x = torch.tensor(IMAGES)
    found = pathkernel.tangent_kernel(Finite(), x, form="trace")
    assert (torch.as_tensor(found) - tangent_kernel(apply_fn, params, x)).abs().max() < 1e-12


def test_attention_that_is_estimated_says_so():
    _, _, kernel_fn = stax.serial(stax.GlobalSelfAttention(4, 5, 6, 7, linear_scaling=False), stax.GlobalAvgPool(), stax.Dense(1))
    with pytest.raises(pathkernel.InvalidInput, match="say how many draws"):
        kernel_fn(SIGNALS)
    both = kernel_fn(SIGNALS, None, draws=3)
    assert both.ntk.gram.shape == (3, 3) and isinstance(both.ntk.gram, np.ndarray)
    assert (both.nngp.standard_error > 0).all() and (both.nngp.standard_error < 0.05 * np.abs(both.nngp.gram).max()).all()


net = lambda *layers: stax.serial(*layers)[2]
DENSE = stax.Dense(4)

REFUSED = {
    "Dropout of neural-tangents is not in pathkernel: leave it out": lambda: stax.Dropout(0.9),
    "GlobalSumPool .*multiply W_std": lambda: stax.GlobalSumPool(),
    "use ElementwiseNumerical": lambda: stax.Elementwise(lambda x: x),
    "Dense: batch_axis=1 is not there, only 0": lambda: stax.Dense(3, batch_axis=1),
    "Conv: dimension_numbers=.*transpose": lambda: stax.Conv(3, (3, 3), dimension_numbers=("NCHW", "OIHW", "NCHW")),
    r"Dense: s=\(1, 2\)": lambda: stax.Dense(3, s=(1, 2)),
    "'ntk' or 'standard'": lambda: stax.Dense(3, parameterization="mup"),
    "out_dim is 0": lambda: stax.Dense(0),
    "W_std is 'a'": lambda: stax.Dense(3, "a"),
    "b_std is nan": lambda: stax.Dense(3, 1, float("nan")),
    "zero or more": lambda: stax.Dense(3, -1.0),
    "padding='FULL' is not there; there are CIRCULAR, SAME, VALID": lambda: stax.Conv(3, (3, 3), padding="FULL"),
    "one number per axis": lambda: stax.Conv(3, 3),
    "normalize_edges": lambda: stax.AvgPool((2, 2), None, "SAME", True),
    "LayerNorm: axis=1": lambda: stax.LayerNorm(1),
    "approximate=True": lambda: stax.Gelu(True),
    "pos_emb_type='SUM'": lambda: stax.GlobalSelfAttention(3, 4, 5, 6, pos_emb_type="SUM"),
    "attention_mechanism='RELU' is not there; there are SOFTMAX, IDENTITY": lambda: stax.GlobalSelfAttention(3, 4, 5, 6, attention_mechanism="RELU"),
    "degree is -1": lambda: stax.Monomial(-1),
    "rectified": lambda: stax.RectifiedMonomial(3),
    "below zero": lambda: stax.Gaussian(1, 1),
    "fn fails on a torch tensor": lambda: stax.ElementwiseNumerical(math.tanh, 25),
    "one number for each": lambda: stax.ElementwiseNumerical(torch.sum, 25),
    "is no layer": lambda: stax.serial(torch.tanh),
    "there are no layers": lambda: stax.serial(),
    "n is 0": lambda: stax.repeat(DENSE, 0),
    "get is 'cov1'.*diagonal": lambda: DENSE[2](X, None, "cov1"),
    r"get is \(\)": lambda: DENSE[2](X, None, ()),
    "get is 'ntkk', but it is 'nngp' or 'ntk'": lambda: stax.kernel(DENSE, "ntkk"),
    "mask_constant=0 is not there": lambda: DENSE[2](X, mask_constant=0),
    "pattern=1 is not there": lambda: DENSE[1]((), X, pattern=1),
    "this one is exact": lambda: DENSE[2](X, draws=3),
    "put a dense or conv layer before it": lambda: net(stax.Relu(), DENSE)(X),
    r"for images \[n, H, W, C\]": lambda: net(stax.Conv(3, (3, 3)), stax.Flatten())(X),
    "put flatten or gap": lambda: net(stax.Conv(3, (3, 3)))(IMAGES),
    "add faninsum": lambda: net(DENSE, stax.FanOut(2))(X),
    "correlated": lambda: net(DENSE, stax.FanOut(2), stax.parallel(stax.Relu(), stax.Relu()), stax.FanInSum(), DENSE)(X),
    "F is known to .* but 1e-10 is asked for": lambda: net(DENSE, stax.ElementwiseNumerical(lambda x: (x > 0.3).to(x.dtype), 25), DENSE)(X),
    "may differ only in the number of rows": lambda: DENSE[2](X, Y[:, :3]),
    "x1 is an array of": lambda: DENSE[2](np.array(["a"])),
    "a seed is expected": lambda: DENSE[0](0.5, (-1, 4)),
    "a seed is expected: an int": lambda: DENSE[0](-1, (-1, 4)),
    "that of a batch is expected": lambda: DENSE[0](0, (4,)),
    "dtype is torch.float16": lambda: DENSE[0](0, (-1, 4), dtype=torch.float16),
    "ends with 2 signals": lambda: stax.FanOut(2)[1]((), X),
    "parameters are too few": lambda: stax.Dense(4)[1]((), X),
    "the parameters hold dict": lambda: DENSE[1]({"W": 1}, X),
}


@pytest.mark.parametrize("message", REFUSED)
def test_refused(message):
    with pytest.raises(pathkernel.InvalidInput, match=message):
        REFUSED[message]()


def test_what_nobody_has_is_no_attribute():
    with pytest.raises(AttributeError, match="Dens"):
        stax.Dens  # noqa: B018
    assert set(stax.__all__) <= set(dir(stax))


def test_the_section_of_the_guide(tmp_path):
    section = (program.ROOT / "docs/kernels.md").read_text().split("## From Python: stax\n")[1].split("\n## ")[0]
    blocks = re.findall(r"(?s)```(python|text)\n(.*?)```", section)
    script = tmp_path / "guide.py"
    script.write_text("\n".join(code for kind, code in blocks if kind == "python"))
    build = os.path.abspath(os.environ.get("PATHKERNEL_BUILD", program.ROOT / "build"))
    done = subprocess.run([sys.executable, str(script)], cwd=tmp_path, env=dict(os.environ, PYTHONPATH=f"{build}/python"), capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    printed = iter(done.stdout.splitlines())
    expected = [line for kind, text in blocks if kind == "text" for line in text.splitlines()]
    assert expected
    for line in expected:
        assert any(says(line, other) for other in printed), f"not printed, in this order: {line}\nbut:\n{done.stdout}"
