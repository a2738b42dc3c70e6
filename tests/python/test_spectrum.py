"""`pathkernel spectrum` against mpmath, which shares nothing with it, and its pages in a real browser."""

import csv
import json
import random

import mpmath
import pytest
from mpmath import mp

import program
from test_pages import browse, needs_browser, needs_program, page_data

pytestmark = needs_program


def kappa(name, depth, theta):
    """theory 6, sphere form, in the angle"""
    k0 = lambda a: 1 - a / mp.pi
    k1 = lambda a: (mp.sin(a) + (mp.pi - a) * mp.cos(a)) / mp.pi
    if name == "laplace":
        return mp.exp(-depth * 2 * mp.sin(theta / 2))
    angle, process, tangent = theta, mp.cos(theta), mp.cos(theta)
    for _ in range(2, depth + 1):
        tangent = tangent * k0(angle) + k1(angle)
        process = k0(angle) if name == "step" else k1(angle)
        angle = mp.acos(process)
    return {"ntk": tangent, "nngp": process, "step": process}[name]


def eigenvalue(name, depth, dim, k):
    """The Funk-Hecke integral, by mpmath's own quadrature and Gegenbauer polynomials."""
    with mp.workdps(50):
        alpha = mp.mpf(dim - 2) / 2
        at_one = mp.gegenbauer(k, alpha, 1)
        constant = mp.gamma(mp.mpf(dim) / 2) / (mp.sqrt(mp.pi) * mp.gamma(mp.mpf(dim - 1) / 2))
        # s² = θ/π takes care of the step kernel's root
        integrand = lambda s: (kappa(name, depth, mp.pi * s**2) * mp.gegenbauer(k, alpha, mp.cos(mp.pi * s**2)) / at_one
                               * mp.sin(mp.pi * s**2) ** (dim - 2) * 2 * mp.pi * s)
        return constant * mp.quad(integrand, mp.linspace(0, 1, 4))


def draws():
    chosen = random.Random(20261121)
    for name, depths in (("ntk", (2, 6)), ("nngp", (2, 5)), ("step", (2, 3)), ("laplace", (1, 3))):
        for _ in range(3):
            dim = chosen.choice((3, 4, 5, 8, 13, 24))
            yield name, chosen.randint(*depths), dim, chosen.randint(0, 24)


@pytest.mark.parametrize("name, depth, dim, k", list(draws()))
def test_agrees_with_mpmath(name, depth, dim, k):
    shape = ("--scale", depth) if name == "laplace" else ("--depth", depth)
    spectrum = program.run_json("spectrum", name, *shape, "--dim", dim, "--k-max", k, "--digits", 30)["kernels"][0]
    found, expected = spectrum["eigenvalues"][k], eigenvalue(name, depth, dim, k)
    with mp.workdps(50):
        if found["mu"] == "0":
            assert abs(expected) < mp.mpf(10) ** -40
        else:
            assert abs(mp.mpf(found["mu"]) / expected - 1) < mp.mpf(10) ** -28
        polynomials = mp.mpf(2 * k + dim - 2) / (k + dim - 2) * mp.binomial(k + dim - 2, k) if k else 1
        assert mp.mpf(found["multiplicity"]) == mp.nint(polynomials)


def test_a_decimal_scale_is_that_decimal_number():
    found = program.run_json("spectrum", "laplace", "--scale", "0.1", "--dim", 3, "--k-max", 2, "--digits", 40)["kernels"][0]["eigenvalues"][2]
    with mp.workdps(50):
        c = mp.mpf("0.1")
        expected = mp.quad(lambda a: mp.exp(-2 * c * mp.sin(a / 2)) * (3 * mp.cos(a) ** 2 - 1) / 2 * mp.sin(a), [0, mp.pi]) / 2
        assert abs(mp.mpf(found["mu"]) / expected - 1) < mp.mpf(10) ** -39


def test_writes_csv(tmp_path):
    done = program.run("spectrum", "ntk", "--depth", 3, "--dim", 4, "--k-max", 30, "--digits", 20, "-o", tmp_path / "mu.csv")
    rows = list(csv.DictReader((tmp_path / "mu.csv").open()))
    assert list(rows[0]) == ["k", "multiplicity", "mu"]
    assert [int(r["k"]) for r in rows] == list(range(31))
    assert [int(r["multiplicity"]) for r in rows] == [(k + 1) ** 2 for k in range(31)]
    assert all(len(r["mu"].split("e")[0]) == 21 for r in rows), "20 digits and a point"
    assert rows[3]["mu"].startswith("9.16183884861")
    assert "theory: -4" in done.stdout and "20 digits" in done.stdout


def test_compare_says_deep_equals_shallow(tmp_path):
    done = program.run("spectrum", "compare", "--dim", 5, "--k-max", 160, "--depths", "2,3,4", "-o", tmp_path / "exponents.csv")
    rows = list(csv.DictReader((tmp_path / "exponents.csv").open()))
    assert len(rows) == 2 * 5 and len(done.stdout.splitlines()) == 2 + 5 + 1
    for row in rows:
        if row["exponent"] == "zero":
            assert "depth 2" in row["kernel"] and row["parity"] == "odd" and row["predicted"] == "zero"
            continue
        assert float(row["predicted"]) == (-4.5 if "step" in row["kernel"] else -5)
        assert abs(float(row["exponent"]) - float(row["predicted"])) <= float(row["error"]) < 0.1


def test_learning_curve_and_hermite():
    points = program.run_json("spectrum", "learning-curve", "ntk", "--depth", 2, "--dim", 6, "--target", "0,1,0,1", "--sizes", "10,1000")["points"]
    assert points[1]["learned"][1] > 0.99 and points[1]["learned"][3] == 0, "one hidden layer without biases has no cubic"
    assert points[1]["error"] > 1
    coefficients = program.run_json("spectrum", "hermite", "relu", "--terms", 5)["coefficients"]
    assert coefficients[1] == 0.5 and coefficients[2] == pytest.approx(0.5 / mpmath.sqrt(mpmath.pi), abs=1e-15)


@pytest.mark.parametrize("arguments, code, message", [
    (("conv", "--dim", 4), 2, "is not zonal"),
    (("attention", "--dim", 4), 2, "is not zonal"),
    (("nkt", "--dim", 4), 2, "unknown kernel 'nkt': expected one of arc0"),
    (("ntk", "--dim", 4), 2, "ntk needs --depth"),
    (("laplace", "--dim", 4, "--depth", 2), 2, "--depth says nothing about laplace"),
    (("arc1", "--dim", 4, "--scale", 2), 2, "--scale says nothing about arc1"),
    (("ntk", "--depth", 3), 2, "--dim is required"),
    (("--dim", 4), 2, "KERNEL is missing"),
    (("compare", "--dmi", 4), 2, "did you mean --dim?"),
    (("ntk", "--depth", 3, "--dim", 2), 3, "On the circle, d = 2"),
    (("ntk", "--depth", 3, "--dim", 4, "--k-max", 50, "--nodes", 40), 3, "k_max = 50 is beyond 40 nodes"),
    (("ntk", "--depth", 3, "--dim", 4, "--digits", 101), 3, "beyond the working precision"),
    (("hermite", "swish"), 3, "unknown activation 'swish'"),
])
def test_refuses(arguments, code, message, tmp_path):
    assert message in program.run("spectrum", *arguments, code=code).stderr


@needs_browser
def test_pages_show_the_numbers(tmp_path):
    program.run("spectrum", "compare", "--dim", 4, "--k-max", 120, "--depths", "2,3", "--plot", tmp_path / "compare.html")
    program.run("spectrum", "gaussian", "--dim", 64, "--k-max", 200, "--plot", tmp_path / "gaussian.html")
    text = (tmp_path / "compare.html").read_text()
    assert [k["name"] for k in page_data(text)["kernels"]][1:] == ["ReLU NTK of depth 2", "ReLU NTK of depth 3", "step kernel of depth 3"]
    shown, console = browse(tmp_path / "compare.html", tmp_path / "profile")
    assert console == []
    exponents = shown.values("exponents")
    assert len(exponents) == 7 and exponents[:5] == pytest.approx([-4] * 5, abs=1e-4) and exponents[5:] == pytest.approx([-3.5] * 2, abs=0.1)
    for chart in ("eigenvalues", "ratios", "slopes"):
        assert any(e["tag"] == "svg" and chart in e["inside"] for e in shown.all), chart
    dots = [e for e in shown.all if e["tag"] == "circle" and "eigenvalues" in e["inside"]]
    assert all("NaN" not in json.dumps(e) for e in dots) and len(dots) > 100
    shown, console = browse(tmp_path / "gaussian.html", tmp_path / "profile")
    assert console == [] and any("no power law" in e["text"] for e in shown.all)
