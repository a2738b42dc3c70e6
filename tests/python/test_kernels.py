"""`pathkernel kernel`: classical kernels against scikit-learn, infinitely wide networks against their recursion in NumPy, messages."""

import numpy as np
import program
import pytest
from sklearn.gaussian_process import kernels as gp
from sklearn.metrics import pairwise

random = np.random.default_rng(0)
X, Y = random.standard_normal((40, 3)), random.standard_normal((25, 3))
ARD = [1.0, 2.0, 0.5]


def gram(tmp_path, *arguments, x=X, y=None):
    """The matrix that the program writes."""
    np.save(tmp_path / "x.npy", x)
    files = ["--x", tmp_path / "x.npy", "-o", tmp_path / "K.npy"]
    if y is not None:
        np.save(tmp_path / "y.npy", y)
        files += ["--y", tmp_path / "y.npy"]
    program.run("kernel", *arguments, *files)
    return np.load(tmp_path / "K.npy")


def periodic_product(x, y):
    """scikit-learn's periodic kernel is of the distance in all dimensions; ours is the product of those of single dimensions."""
    return np.prod([gp.ExpSineSquared(1.3, 1.7)(x[:, [k]], y[:, [k]]) for k in range(x.shape[1])], axis=0)


AGAINST_SCIKIT_LEARN = {
    "linear": pairwise.linear_kernel,
    "linear + 2.25": gp.DotProduct(1.5),
    "polynomial --degree 4 --gamma 0.5 --coef0 0.7": lambda x, y: pairwise.polynomial_kernel(x, y, 4, 0.5, 0.7),
    "rbf --lengthscale 1.5": gp.RBF(1.5),
    "rbf --lengthscale 1 2 0.5": gp.RBF(ARD),
    "laplace --lengthscale 0.8 --norm 1": lambda x, y: pairwise.laplacian_kernel(x, y, 1 / 0.8),
    "laplace --lengthscale 0.8": gp.Matern(0.8, nu=0.5),
    "matern --nu 0.5 --lengthscale 1.2": gp.Matern(1.2, nu=0.5),
    "matern --nu 1.5 --lengthscale 1 2 0.5": gp.Matern(ARD, nu=1.5),
    "matern --nu 2.5 --lengthscale 0.7": gp.Matern(0.7, nu=2.5),
    "rq --lengthscale 1.2 --alpha 0.6": gp.RationalQuadratic(1.2, 0.6),
    "periodic --lengthscale 1.3 --period 1.7": periodic_product,
    "cosine": pairwise.cosine_similarity,
    "0.5*rbf:1.5 + linear*matern:1.5,2": 0.5 * gp.RBF(1.5) + gp.DotProduct(0) * gp.Matern(2, nu=1.5),
}


@pytest.mark.parametrize("text", AGAINST_SCIKIT_LEARN)
def test_classical_kernels_agree_with_scikit_learn(tmp_path, text):
    kernel = AGAINST_SCIKIT_LEARN[text]
    arguments = text.split() if " --" in text else [text]
    for y in (None, Y):
        expected = kernel(X, X if y is None else y)
        found = gram(tmp_path, *arguments, y=y)
        assert np.abs(found - expected).max() <= 1e-12 * np.abs(expected).max()
        assert y is not None or (found == found.T).all()
    single = gram(tmp_path, *arguments, "--dtype", "float32", y=Y)
    assert single.dtype == np.float32 and np.abs(single - expected).max() <= 1e-5 * np.abs(expected).max()


def test_periodic_is_scikit_learns_in_one_dimension(tmp_path):
    x = X[:, :1]
    assert np.abs(gram(tmp_path, "periodic:1.3,1.7", x=x) - gp.ExpSineSquared(1.3, 1.7)(x)).max() <= 1e-12
    assert (gram(tmp_path, "periodic:1.3,1.7", x=x[:, 0]) == gram(tmp_path, "periodic:1.3,1.7", x=x)).all()


def relu_ntk(x, layers, W2, b2):
    """Theory 6 in NumPy, with exact diagonals."""
    K = b2 + W2 * x @ x.T / x.shape[1]
    Theta = K.copy()
    for _ in range(layers):
        a = np.diag(K)
        s = np.sqrt(np.maximum(np.outer(a, a) - K * K, 0))
        np.fill_diagonal(s, 0)
        theta = np.arctan2(s, K)
        F, F_dot = (s + (np.pi - theta) * K) / (2 * np.pi), (np.pi - theta) / (2 * np.pi)
        K = b2 + W2 * F
        Theta = K + W2 * Theta * F_dot
    return K, Theta


def test_infinitely_wide_networks(tmp_path):
    network = ("--net", "dense relu dense relu dense", "--w-std", 1.5, "--b-std", 0.1)
    K, Theta = relu_ntk(np.vstack([X, Y]), 2, 2.25, 0.01)
    assert np.abs(gram(tmp_path, "ntk", *network) - Theta[:40, :40]).max() <= 1e-12 * Theta.max()
    assert np.abs(gram(tmp_path, "ntk", *network, y=Y) - Theta[:40, 40:]).max() <= 1e-12 * Theta.max()
    assert np.abs(gram(tmp_path, "nngp", *network, "--memory", "1MiB", "--threads", 2) - K[:40, :40]).max() <= 1e-12 * K.max()
    assert np.abs(gram(tmp_path, "ntk", *network, "--diagonal") - np.diag(Theta)[:40]).max() <= 1e-12 * Theta.max()
    written = gram(tmp_path, "ntk(dense:w=1.5,b=0.1 relu dense:w=1.5,b=0.1 relu dense:w=1.5,b=0.1)")
    assert (written == gram(tmp_path, "ntk", *network)).all()
    standard = gram(tmp_path, "ntk", "--net", "dense:64 relu dense:1", "--parametrization", "standard", "--w-std", 1.2)
    S = X @ X.T / 3
    F, _ = relu_ntk(X, 1, 1.44, 0)
    a = np.diag(1.44 * S)
    theta = np.arctan2(np.sqrt(np.maximum(np.outer(a, a) - (1.44 * S) ** 2, 0)) * (1 - np.eye(40)), 1.44 * S)
    expected = 64 * F / 1.44 + 1.44 * 3 * S * (np.pi - theta) / (2 * np.pi)
    assert np.abs(standard - expected).max() <= 1e-12 * expected.max()


def test_results_are_described(tmp_path):
    np.save(tmp_path / "x.npy", random.integers(0, 255, (5, 1, 6, 6), dtype=np.uint8))
    files = ("--x", tmp_path / "x.npy", "-o", tmp_path / "K.npy")
    shown = program.run_json("kernel", "ntk", "--net", "conv:3x3,same relu gap dense", *files)
    assert shown["shape"] == [5, 5] and shown["symmetric"] and shown["kernel"] == "ntk(conv:3x3,same,w=1 relu gap dense:w=1)"
    assert "float64 [5, 5], symmetric, rbf:lengthscale=2" in program.run("kernel", "rbf:2", *files).stdout
    attention = ("kernel", "ntk", "--net", "conv:3x3 attention:scale=sqrt,samples=20 gap dense", "--dtype", "float32")
    np.save(tmp_path / "x.npy", random.standard_normal((3, 2, 4, 4)))
    estimated = program.run(*attention, *files, "--draws", 4, "--errors", tmp_path / "errors.npy")
    errors = np.load(tmp_path / "errors.npy")
    assert f"from 4 draws: largest standard error {errors.max():.2g}" in estimated.stdout and errors.shape == (3, 3) and (errors > 0).all()


@pytest.mark.parametrize(
    "arguments, message",
    [
        (("rfb",), 'there is no kernel "rfb"; there are'),
        (("ntk",), 'which network? For example --net "dense relu dense relu dense"'),
        (("ntk", "--net", "dense rleu dense"), 'there is no layer "rleu"'),
        (("ntk", "--net", "dense relu dense", "--lengthscale", 2), "ntk: it has no --lengthscale"),
        (("rbf", "--net", "dense"), "go with ntk and nngp"),
        (("rbf", "--degree", 2), 'rbf does not understand "degree=2"; it takes lengthscale='),
        (("rbf:2", "--lengthscale", 2), "write it behind a colon"),
        (("rbf", "--lengthscale", 1, 2), "lengthscale has 2 numbers, but an input has 3"),
        (("rbf", "--lengthscale", -1), "above zero"),
        (("rbf", "--memory", "10"), "one pair of inputs takes"),
        (("rbf", "--errors", "e.npy"), "rbf:lengthscale=1 is exact"),
        (("ntk", "--net", "dense relu dense", "--parametrization", "standard"), "write them, e.g. dense:512,standard"),
        (("ntk", "--net", "conv:3x3 relu flatten dense"), "write one size for signals"),
    ],
)
def test_errors_are_said_clearly(tmp_path, arguments, message):
    np.save(tmp_path / "x.npy", X)
    failed = program.run("kernel", *arguments, "--x", tmp_path / "x.npy", "-o", tmp_path / "K.npy", code=3)
    assert message in failed.stderr and failed.stderr.startswith("pathkernel: ")
    assert not (tmp_path / "K.npy").exists()


def test_bad_files_are_named(tmp_path):
    np.save(tmp_path / "x.npy", np.where(np.arange(40)[:, None] == 7, np.nan, X))
    np.save(tmp_path / "y.npy", Y[:, :2])
    np.save(tmp_path / "good.npy", X)
    out = ("-o", tmp_path / "K.npy")
    assert "in row 7" in program.run("kernel", "rbf", "--x", tmp_path / "x.npy", *out, code=3).stderr
    assert "may differ only in the number of rows" in program.run("kernel", "rbf", "--x", tmp_path / "good.npy", "--y", tmp_path / "y.npy", *out, code=3).stderr
    np.save(tmp_path / "number.npy", np.float64(3))
    for which in (("--x", tmp_path / "number.npy"), ("--x", tmp_path / "good.npy", "--y", tmp_path / "number.npy")):
        assert "number.npy holds a single number" in program.run("kernel", "rbf", *which, *out, code=3).stderr
    assert "cannot read" in program.run("kernel", "rbf", "--x", tmp_path / "none.npy", *out, code=3).stderr
    assert "ends in .npy" in program.run("kernel", "rbf", "--x", tmp_path / "good.npy", "-o", tmp_path / "K.txt", code=3).stderr
    program.run("kernel", "rbf", "--x", tmp_path / "good.npy", *out, "--dtype", "float16", code=2)
    overflow = program.run("kernel", "nngp(dense:w=40 exp dense)", "--x", tmp_path / "good.npy", *out, code=3)
    assert "is inf; numbers this large overflow in float64" in overflow.stderr
    assert sorted(p.name for p in tmp_path.iterdir()) == ["good.npy", "number.npy", "x.npy", "y.npy"]


def test_inputs_are_not_overwritten(tmp_path):
    np.save(tmp_path / "x.npy", X)
    np.save(tmp_path / "y.npy", Y)
    (tmp_path / "link.npy").symlink_to(tmp_path / "y.npy")
    ask = ("kernel", "ntk", "--net", "conv:3 attention:samples=5 gap dense", "--x", tmp_path / "x.npy")
    for inputs in (("kernel", "rbf", "--x", tmp_path / "x.npy", "-o", tmp_path / "x.npy"), ("kernel", "rbf", "--x", "x.npy", "-o", tmp_path / "x.npy"),
                   ("kernel", "rbf", "--x", tmp_path / "x.npy", "--y", tmp_path / "y.npy", "-o", tmp_path / "link.npy"), (*ask, "-o", tmp_path / "K.npy", "--errors", tmp_path / "x.npy")):
        assert "is an input, and would be overwritten" in program.run(*inputs, code=3, cwd=tmp_path).stderr
    assert "is named for two outputs" in program.run(*ask, "-o", tmp_path / "K.npy", "--errors", tmp_path / "K.npy", code=3).stderr
    assert np.array_equal(np.load(tmp_path / "x.npy"), X) and np.array_equal(np.load(tmp_path / "y.npy"), Y)
