"""Kernels against mpmath: the recursions of theory 6 in 40 digits, and expectations by quadrature, without a formula."""

import mpmath as mp
import numpy as np
import pytest

from test_package import pk  # noqa: F401 — puts the build's package first
from pathkernel import kernels

mp.mp.dps = 40


def relu(a, b, c):
    theta = mp.atan2(mp.sqrt(max(a * b - c * c, 0)), c)
    return mp.sqrt(a * b) * (mp.sin(theta) + (mp.pi - theta) * mp.cos(theta)) / (2 * mp.pi), (mp.pi - theta) / (2 * mp.pi)


def erf(a, b, c):
    return 2 / mp.pi * mp.asin(2 * c / mp.sqrt((1 + 2 * a) * (1 + 2 * b))), 4 / mp.pi / mp.sqrt((1 + 2 * a) * (1 + 2 * b) - 4 * c * c)


def sin(a, b, c):
    return mp.exp(-(a + b) / 2) * mp.sinh(c), mp.exp(-(a + b) / 2) * mp.cosh(c)


def gelu(a, b, c):
    D, P = (1 + a) * (1 + b) - c * c, mp.mpf(1) / 4 + mp.asin(c / mp.sqrt((1 + a) * (1 + b))) / (2 * mp.pi)
    F = c * P + (a * b + c * c * (1 / (1 + a) + 1 / (1 + b) - 1)) / (2 * mp.pi * mp.sqrt(D))
    return F, P + c * (1 / (1 + a) + 1 / (1 + b)) / (2 * mp.pi * mp.sqrt(D)) + c / (2 * mp.pi * D ** mp.mpf(1.5))


DUALS = {"relu": relu, "erf": erf, "sin": sin, "gelu": gelu}


def by_mpmath(dual, x, y, hidden, w2, b2):
    """(K, Θ) of two inputs after `hidden` layers."""
    def start(u, v):
        return b2 + w2 * mp.fdot([mp.mpf(float(p)) for p in u], [mp.mpf(float(q)) for q in v]) / len(u)

    a, b, c = start(x, x), start(y, y), start(x, y)
    theta = c
    for _ in range(hidden):
        F, slope = dual(a, b, c)
        a, b, c = b2 + w2 * dual(a, a, a)[0], b2 + w2 * dual(b, b, b)[0], b2 + w2 * F
        theta = c + w2 * theta * slope
    return c, theta


@pytest.mark.parametrize("name", DUALS)
@pytest.mark.parametrize("hidden", [1, 3, 20])
def test_deep_networks_keep_their_digits(name, hidden):
    """Also of inputs a millionth apart, and of an input with itself, where an arc cosine of the products would lose half of them."""
    random = np.random.default_rng(hidden)
    x = random.standard_normal((4, 6))
    x[1] = x[0] * (1 + 1e-6)
    x[2] = x[0] + 1e-6 * random.standard_normal(6)
    w, b = (1.2, 0.3)
    w2, b2 = mp.mpf(w) ** 2, mp.mpf(b) ** 2
    net = "dense " + f"{name} dense " * hidden
    found = {limit: getattr(kernels, limit)(net.strip(), w_std=w, b_std=b).gram(x) for limit in ("nngp", "ntk")}
    for i, j in ((0, 0), (0, 1), (0, 2), (1, 2), (0, 3), (2, 3), (3, 3)):
        K, theta = by_mpmath(DUALS[name], x[i], x[j], hidden, w2, b2)
        near = name == "relu" and i != j and 3 not in (i, j)
        bound = 1e-9 if near else 1e-12  # the angle between inputs 1e-6 apart is known to 2e-16/1e-6 from their products, whatever is done then
        assert abs(found["nngp"][i, j] / K - 1) < bound and abs(found["ntk"][i, j] / theta - 1) < bound, (name, hidden, i, j, float(found["ntk"][i, j] / theta - 1))


@pytest.mark.parametrize("name", ["erf", "sin", "gelu"])
def test_duals_are_expectations(name):
    """E φ(u)φ(v) by the trapezium rule in two dimensions, whose error for these entire functions falls exponentially."""
    phi = {"erf": mp.erf, "sin": mp.sin, "gelu": lambda u: u * mp.ncdf(u)}[name]
    a, b, c = mp.mpf("0.7"), mp.mpf("1.9"), mp.mpf("-0.8")
    with mp.workdps(18):
        h, nodes = mp.mpf("0.25"), [mp.mpf(k) / 4 for k in range(-32, 33)]
        weights = [h * mp.npdf(t) for t in nodes]
        expected = mp.fsum(p * phi(mp.sqrt(a) * s) * q * phi(c / mp.sqrt(a) * s + mp.sqrt(b - c * c / a) * t) for p, s in zip(weights, nodes) for q, t in zip(weights, nodes))
    L = np.linalg.cholesky(np.array([[0.7, -0.8], [-0.8, 1.9]]))  # inputs with these covariances behind a dense layer of two inputs
    found = kernels.nngp(f"dense {name} dense").gram(L * 2**0.5)[0, 1]
    assert abs(found - expected) < 1e-12 and abs(DUALS[name](a, b, c)[0] - expected) < 1e-12
