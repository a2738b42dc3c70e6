"""pathkernel.kernels: the program's numbers from Python, in numpy and torch, with gradients; kernels as values; random features; the engine's networks, as stax uses them."""

import os
import pathlib
import pickle
import sys
import warnings

import numpy as np
import program
import pytest
import torch
from sklearn.gaussian_process import kernels as gp
from sklearn.metrics import pairwise

sys.path.insert(0, str(pathlib.Path(os.environ.get("PATHKERNEL_BUILD", program.ROOT / "build")) / "python"))
import pathkernel as pk  # noqa: E402
from pathkernel import _engine, kernels  # noqa: E402

random = np.random.default_rng(0)
X, Y = random.standard_normal((40, 3)), random.standard_normal((25, 3))
ARD = [1.0, 2.0, 0.5]

AGAINST_SCIKIT_LEARN = [
    (kernels.linear(), pairwise.linear_kernel),
    (kernels.linear(ARD), lambda x, y: (x / ARD) @ (y / ARD).T),
    (kernels.polynomial(4, 0.5, 0.7), lambda x, y: pairwise.polynomial_kernel(x, y, 4, 0.5, 0.7)),
    (kernels.rbf(1.5), gp.RBF(1.5)),
    (kernels.rbf(ARD), gp.RBF(ARD)),
    (kernels.laplace(0.8, norm=1), lambda x, y: pairwise.laplacian_kernel(x, y, 1 / 0.8)),
    (kernels.laplace(0.8), gp.Matern(0.8, nu=0.5)),
    (kernels.matern(1.5, ARD), gp.Matern(ARD, nu=1.5)),
    (kernels.matern(2.5, 0.7), gp.Matern(0.7, nu=2.5)),
    (kernels.rational_quadratic(1.2, 0.6), gp.RationalQuadratic(1.2, 0.6)),
    (kernels.cosine(), pairwise.cosine_similarity),
    (kernels.constant(2.0), lambda x, y: np.full((len(x), len(y)), 2.0)),
    (0.5 * kernels.rbf(1.5) + kernels.linear() * kernels.matern(1.5, 2.0) + 3, 0.5 * gp.RBF(1.5) + gp.DotProduct(0) * gp.Matern(2, nu=1.5) + gp.ConstantKernel(3)),
]


@pytest.mark.parametrize("ours, theirs", AGAINST_SCIKIT_LEARN, ids=lambda k: str(k) if isinstance(k, kernels.Kernel) else "")
def test_gram_matrices_are_scikit_learns(ours, theirs):
    expected = theirs(X, Y)
    assert np.abs(ours.gram(X, Y) - expected).max() <= 1e-12 * np.abs(expected).max()
    K = ours.gram(X)
    assert (K == K.T).all() and np.abs(K - theirs(X, X)).max() <= 1e-12 * np.abs(K).max()
    assert np.allclose(ours.diagonal(X), np.diag(K), rtol=1e-14)
    single = ours.gram(X.astype(np.float32), Y.astype(np.float32))
    assert single.dtype == np.float32 and np.abs(single - expected).max() <= 2e-5 * np.abs(expected).max()


def test_periodic_is_scikit_learns_in_one_dimension():
    assert np.abs(kernels.periodic(1.3, 1.7).gram(X[:, :1], Y[:, :1]) - gp.ExpSineSquared(1.3, 1.7)(X[:, :1], Y[:, :1])).max() <= 1e-12


def test_a_wide_network_is_the_programs(tmp_path):
    np.save(tmp_path / "x.npy", X)
    net = ("--net", "dense relu dense erf dense", "--w-std", 1.5, "--b-std", 0.1)
    program.run("kernel", "ntk", *net, "--x", tmp_path / "x.npy", "-o", tmp_path / "K.npy")
    kernel = kernels.ntk("dense relu dense erf dense", w_std=1.5, b_std=0.1)
    assert np.allclose(kernel.gram(X), np.load(tmp_path / "K.npy"), rtol=1e-13, atol=0)  # other numbers of threads cut other tiles
    assert str(kernel) == "ntk(dense:w=1.5,b=0.1 relu dense:w=1.5,b=0.1 erf dense:w=1.5,b=0.1)"
    # one hidden layer by hand (theory 6)
    K = 0.01 + 2.25 * X @ X.T / 3
    d = np.sqrt(np.diag(K))
    theta = np.arccos(np.clip(K / np.outer(d, d), -1, 1))
    F = np.outer(d, d) * (np.sin(theta) + (np.pi - theta) * np.cos(theta)) / (2 * np.pi)
    assert np.abs(kernels.nngp("dense relu dense", w_std=1.5, b_std=0.1).gram(X) - 0.01 - 2.25 * F).max() <= 1e-7
    widths = kernels.ntk("dense:7 relu dense", parametrization="standard")
    assert "standard" in str(widths) and widths.gram(X, Y).shape == (40, 25)


def test_numpy_torch_and_gradients():
    kernel = kernels.rbf(1.3) + 0.2 * kernels.ntk("dense relu dense")
    x = torch.from_numpy(X)
    assert isinstance(kernel.gram(x), torch.Tensor) and np.array_equal(kernel.gram(x).numpy(), kernel.gram(X))
    assert np.array_equal(kernel.gram(X.tolist()), kernel.gram(X)) and kernel.gram(np.arange(6).reshape(3, 2)).dtype == np.float64
    locked = X.copy()
    locked.setflags(write=False)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert np.array_equal(kernel.gram(locked), kernel.gram(X)) and np.array_equal(kernel.gram(X[::2]), kernel.gram(X[::2].copy()))
    log = torch.zeros((), dtype=torch.float64, requires_grad=True)
    x = x.clone().requires_grad_()
    value = kernel.replace({"0.lengthscale": 1.3 * log.exp()})(x, torch.from_numpy(Y)).sum()
    value.backward()
    step = 1e-6
    numeric = (kernel.replace({"0.lengthscale": 1.3 * np.exp(step)})(X, Y).sum() - kernel.replace({"0.lengthscale": 1.3 * np.exp(-step)})(X, Y).sum()) / (2 * step)
    assert log.grad.item() == pytest.approx(numeric, rel=1e-6) and x.grad.shape == x.shape


def test_kernels_are_values(tmp_path):
    kernel = 0.5 * kernels.rbf([1.0, 2.0, 0.1 + 0.2]) + kernels.linear() + 1
    assert kernel == kernels.parse(str(kernel)) == pickle.loads(pickle.dumps(kernel)) == eval(repr(kernel), {"pathkernel": pk})
    assert list(kernel.hyperparameters) == list(kernel.copy().hyperparameters)
    nested = 2 * ((kernels.rbf() + 1) * kernels.linear() * 3 + kernels.cosine())
    assert list(nested.hyperparameters) == list(nested.copy().hyperparameters) and np.array_equal(nested.gram(X), nested.copy().gram(X))
    assert np.allclose(nested.gram(X), 2 * ((kernels.rbf().gram(X) + 1) * (X @ X.T) * 3 + pairwise.cosine_similarity(X)), rtol=1e-13)
    assert hash(kernel) == hash(kernel.copy()) and kernel != kernels.rbf() and kernel != "rbf"
    assert list(kernel.hyperparameters) == ["0.scale", "0.lengthscale", "1.lengthscale", "2.value"]
    assert kernel.hyperparameters["0.lengthscale"].tolist() == [1.0, 2.0, 0.1 + 0.2]
    changed = kernel.replace({"0.scale": 2})
    assert changed.hyperparameters["0.scale"] == 2 and kernel.hyperparameters["0.scale"] == 0.5
    assert np.allclose(sum([kernels.rbf(), kernels.linear()]).gram(X), kernels.rbf().gram(X) + kernels.linear().gram(X))
    K = kernel.gram(X, out=tmp_path / "K.npy")
    assert isinstance(K, np.memmap) and np.array_equal(K, kernel.gram(X)) and np.array_equal(np.load(tmp_path / "K.npy"), K)
    told = []
    kernel.gram(X, progress=lambda *a: told.append(a))
    assert told[-1][0] == "Gram matrix" and told[-1][1] == told[-1][2] == len(told)


def test_a_random_kernel_has_error_bars():
    images = random.standard_normal((4, 2, 3))
    kernel = kernels.nngp("conv:1 attention:scale=sqrt,samples=50 gap dense")
    assert kernel.is_random and not kernels.rbf().is_random
    mean, error = kernel.estimate(images, draws=8)
    more, _ = kernel.estimate(images, draws=200)
    assert (error > 0).all() and np.abs(mean - more).max() < 6 * error.max()


def test_random_features():
    fourier = kernels.RandomFeatures.fourier(kernels.matern(1.5, 2.0), 3, 2000)
    gram, error = fourier.gram(X, Y)
    phi = fourier(X)
    assert phi.shape == (40, 4000) == (40, fourier.features) and np.abs(phi @ fourier(Y).T - gram).max() <= 1e-12
    off = np.abs(gram - kernels.matern(1.5, 2.0).gram(X, Y)) / error
    assert off.max() < 6 and 0.3 < np.sqrt((off**2).mean()) < 2
    relu = kernels.RandomFeatures.of_activation("relu", 3, 4000, w_std=1.5, b_std=0.1)
    gram, error = relu.gram(torch.from_numpy(X))
    exact = torch.from_numpy((kernels.nngp("dense:w=1.5,b=0.1 relu dense:w=1").gram(X)))
    assert (gram == gram.T).all() and ((gram - exact).abs() / error).max() < 6
    assert kernels.RandomFeatures.arc_cosine(1, 3, 10)(X).shape == (40, 10)


def test_networks_of_the_engine():
    """What stax is made of: layers as objects, K and Θ in one pass, positions, finite networks."""
    layers = [*_engine.layers("dense:16", 1.5, 0.1), _engine.elementwise("mine", torch.sin, torch.cos), *_engine.layers("dense", 1.5, 0.1)]
    network, written = _engine.Network(layers), _engine.Network(_engine.layers("dense:16 sin dense", 1.5, 0.1))
    assert "mine" in network.specification
    x, y = torch.from_numpy(X / 3), torch.from_numpy(Y / 3)
    mine, theirs = network.propagate(x, y), written.propagate(x, y)
    for name in ("K", "Theta"):
        assert (mine[name] - theirs[name]).abs().max() <= 1e-9 and mine["space"] == []
    assert torch.equal(theirs["Theta"], kernels.ntk("dense:16 sin dense", 1.5, 0.1)(x, y)) and written.propagate(x, tangent=False)["Theta"] is None
    assert (network.kernel("ntk").matrix(x, memory=1 << 20) - written.kernel("ntk").matrix(x)).abs().max() <= 1e-9  # Python called from the engine's threads
    assert torch.allclose(written.propagate(x, diagonal=True)["K"], written.propagate(x)["K"].diagonal(), rtol=1e-14)
    images = torch.randn(2, 3, 4, 4, dtype=torch.float64)
    assert _engine.Network(_engine.layers("conv:3x3,same relu")).propagate(images)["space"] == [4, 4]
    residual = _engine.Network([*_engine.layers("dense fanout:2"), _engine.parallel([_engine.serial(_engine.layers("relu dense")), *_engine.layers("identity")]), *_engine.layers("faninsum")])
    assert torch.allclose(residual.kernel("ntk").matrix(x), _engine.Network(_engine.layers("dense residual(relu dense)")).kernel("ntk").matrix(x), rtol=1e-13)
    parameters = written.draw([3], width=16, outputs=2, seed=3)
    assert [name for name, _ in parameters] == ["0.W", "0.b", "2.W", "2.b"]
    (w, b, v, c) = (p for _, p in parameters)
    by_hand = torch.sin(x @ w.T * 1.5 / 3**0.5 + 0.1 * b) @ v.T * 1.5 / 4 + 0.1 * c
    outputs = written.apply([w, b, v, c], x)
    assert (outputs - by_hand).abs().max() <= 1e-13
    outputs.sum().backward()
    assert w.grad.abs().sum() > 0
    with pytest.raises(pk.InvalidInput, match="1 parameters are too few"):
        written.apply([w], x)


def test_what_cannot_be_is_said():
    def refused(match, call, error=pk.InvalidInput):
        with pytest.raises(error, match=match):
            call()

    refused("there is no", lambda: kernels.parse("rfb"))
    refused("which has|may differ|numbers", lambda: kernels.rbf().gram(X, Y[:, :2]))
    refused("NaN", lambda: kernels.rbf().gram(np.where(np.arange(40)[:, None] == 3, np.nan, X)))
    refused("array of <U1", lambda: kernels.rbf().gram(np.array([["a"]])))
    refused("has 2 numbers, but an input has 3", lambda: kernels.rbf([1, 2]).gram(X))
    refused("lengthscale", lambda: kernels.rbf(-1.0))
    refused("width", lambda: kernels.rbf().replace({"width": 1}))
    refused("takes 12.5 KiB", lambda: kernels.rbf().gram(X, memory=1000))
    refused("ntk or standard", lambda: kernels.ntk("dense", parametrization="mean-field"))
    refused("are 3 layers", lambda: kernels.RandomFeatures.of_activation("dense relu dense", 3, 10))
    refused("exact; compute it once", lambda: kernels.rbf().estimate(X))
    refused("not with str", lambda: kernels.rbf() + "linear", TypeError)
