"""Machines through the program: scikit-learn's and LIBSVM's numbers, names and files consistent with `kernel` and `train`, and what is refused."""

import numpy as np
import program
import pytest
from scipy.spatial.distance import cdist
from sklearn.decomposition import KernelPCA
from sklearn.gaussian_process import GaussianProcessClassifier, GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel, WhiteKernel
from sklearn.kernel_ridge import KernelRidge
from sklearn.svm import SVC

random = np.random.default_rng(0)
X = random.standard_normal((60, 3))
NEW = random.standard_normal((15, 3))
TWO = np.stack([np.sin(X[:, 0]), X[:, 1] ** 2], 1) + 0.1 * random.standard_normal((60, 2))
Y = TWO[:, 0]
BINARY = np.where(Y > np.median(Y), 1, -1)
THREE = np.digitize(X[:, 0] + 0.3 * random.standard_normal(60), [-0.4, 0.4]) + 7


@pytest.fixture
def files(tmp_path):
    for name, array in dict(x=X, new=NEW, y=Y, two=TWO, binary=BINARY, three=THREE, K=rbf(X, X), K_new=rbf(NEW, X), k_new=np.ones(15)).items():
        np.save(tmp_path / f"{name}.npy", array)
    return tmp_path


def rbf(a, b, lengthscale=1.5):
    return np.exp(-cdist(a, b, "sqeuclidean") / (2 * lengthscale**2))


def fit(files, kind, y, *options, kernel=("--kernel", "rbf:1.5"), **run):
    targets = ("--y", files / f"{y}.npy") if y else ()
    return program.run_json("machine", "fit", kind, "--x", files / "x.npy", *targets, *kernel, *options, "-o", files / "m", **run)


def predict(files, *options, x="new"):
    program.run("machine", "predict", files / "m", "--x", files / f"{x}.npy", "-o", files / "p.npy", *options)
    return np.load(files / "p.npy")


def test_ridge_is_scikit_learns(files):
    fit(files, "ridge", "two", "--lambda", 0.3, "--no-center")
    theirs = KernelRidge(alpha=0.3, kernel="precomputed").fit(rbf(X, X), TWO)
    assert np.abs(predict(files) - theirs.predict(rbf(NEW, X))).max() <= 1e-12
    shown = fit(files, "ridge", "two", "--lambda", 0.3)
    mean = TWO.mean(0)
    assert np.abs(predict(files) - mean - KernelRidge(alpha=0.3, kernel="precomputed").fit(rbf(X, X), TWO - mean).predict(rbf(NEW, X))).max() <= 1e-12
    left_out = []
    for i in range(60):
        less = np.arange(60) != i
        left_out.append(np.linalg.solve(rbf(X, X)[np.ix_(less, less)] + 0.3 * np.eye(59), (TWO - mean)[less]).T @ rbf(X[less], X[[i]])[:, 0])
    assert shown["numbers"]["leave_one_out_rmse"] == pytest.approx(np.sqrt(np.mean((TWO - mean - left_out) ** 2)), rel=1e-10)


def test_gaussian_process_regression_is_scikit_learns(files):
    shown = fit(files, "gp", "y", "--noise", 0.02, "--no-center")
    theirs = GaussianProcessRegressor(RBF(1.5), alpha=0.02, optimizer=None).fit(X, Y)
    mean, deviation = theirs.predict(NEW, return_std=True)
    assert np.abs(predict(files, "--variance", files / "v.npy") - mean).max() <= 1e-11
    assert np.abs(np.load(files / "v.npy") - deviation**2).max() <= 1e-11
    assert shown["numbers"]["log_evidence"] == pytest.approx(theirs.log_marginal_likelihood_value_, abs=1e-10)


def test_hyperparameters_reach_scikit_learns_evidence(files):
    shown = fit(files, "gp", "y", "--noise", 0.1, "--no-center", "--optimise", kernel=("--kernel", "1*rbf:1.5"))
    kernel = ConstantKernel(1.0) * RBF(1.5) + WhiteKernel(0.1)
    theirs = GaussianProcessRegressor(kernel, alpha=0, n_restarts_optimizer=3, random_state=0).fit(X, Y)
    assert shown["numbers"]["log_evidence"] >= theirs.log_marginal_likelihood_value_ - 1e-6
    scale, lengthscale = (float(part) for part in shown["kernel"].replace("rbf:lengthscale=", "").split("*"))
    found = theirs.kernel_.theta.copy()
    found[:] = np.log([scale, lengthscale, shown["numbers"]["noise"]])
    value, slope = theirs.log_marginal_likelihood(found, eval_gradient=True)
    assert value == pytest.approx(shown["numbers"]["log_evidence"], abs=1e-8) and np.abs(slope).max() <= 1e-3


def test_classification_by_gaussian_process_is_scikit_learns(files):
    shown = fit(files, "gp-classifier", "binary")
    theirs = GaussianProcessClassifier(RBF(1.5), optimizer=None, max_iter_predict=500).fit(X, BINARY)
    classes = predict(files, "--probabilities", files / "p2.npy", "--outputs", files / "f.npy")
    assert (classes == theirs.predict(NEW)).all()
    assert shown["numbers"]["log_evidence"] == pytest.approx(theirs.log_marginal_likelihood_value_, abs=1e-8)
    mean, _ = theirs.base_estimator_.latent_mean_and_variance(NEW)
    assert np.abs(np.load(files / "f.npy") - mean).max() <= 1e-6  # they stop Newton's method at 1e-10 of the objective
    assert np.abs(np.load(files / "p2.npy") - theirs.predict_proba(NEW)).max() <= 5e-3  # they approximate the integral


def test_support_vectors_are_scikit_learns(files):
    for y, labels in (("binary", BINARY), ("three", THREE)):
        shown = fit(files, "svm", y, "--C", 2, "--tolerance", 1e-8)
        theirs = SVC(C=2, kernel="precomputed", tol=1e-8, decision_function_shape="ovo").fit(rbf(X, X), labels)
        assert (predict(files, "--outputs", files / "f.npy") == theirs.predict(rbf(NEW, X))).all()
        decisions = theirs.decision_function(rbf(NEW, X))
        sign = -1 if y == "binary" else 1  # for two classes scikit-learn's positive side is the second
        assert np.abs(np.load(files / "f.npy") - sign * decisions).max() <= 1e-6
        assert shown["numbers"]["support_vectors"] == theirs.n_support_.sum() and shown["numbers"]["gap"] < 1e-5
    fit(files, "svm", "three", "--probability")
    classes = predict(files, "--probabilities", files / "p3.npy")
    shares = np.load(files / "p3.npy")
    assert shares.shape == (15, 3) and np.abs(shares.sum(1) - 1).max() <= 1e-12 and (shares.argmax(1) + 7 == classes).mean() > 0.7


def test_principal_components_are_scikit_learns(files):
    fit(files, "pca", None, "--components", 4)
    theirs = KernelPCA(4, kernel="precomputed").fit(rbf(X, X)).transform(rbf(NEW, X))
    ours = predict(files)
    assert np.abs(ours * np.sign((ours * theirs).sum(0)) - theirs).max() <= 1e-10


def test_training_dynamics_are_the_steps(files):
    fit(files, "dynamics", "two", "--rate", 0.05, "--steps", 70, "--momentum", 0.8, "--no-center")
    alpha, push = np.zeros((60, 2)), np.zeros((60, 2))
    for _ in range(70):
        push = 0.8 * push + rbf(X, X) @ alpha - TWO
        alpha -= 0.05 * push
    assert np.abs(predict(files) - rbf(NEW, X) @ alpha).max() <= 1e-12
    fit(files, "dynamics", "two", "--no-center", kernel=("--kernel", "laplace:2"))
    end = np.exp(-cdist(NEW, X) / 2) @ np.linalg.solve(np.exp(-cdist(X, X) / 2), TWO)
    assert np.abs(predict(files) - end).max() <= 1e-9


def test_methods_for_many_examples(files):
    fit(files, "ridge", "two", "--lambda", 0.3)
    exact = predict(files)
    shown = fit(files, "ridge", "two", "--lambda", 0.3, "--method", "cg", "--tolerance", 1e-11)
    assert shown["numbers"]["residual"] < 1e-10 and np.abs(predict(files) - exact).max() <= 1e-9
    shown = fit(files, "ridge", "two", "--lambda", 0.3, "--method", "nystroem", "--landmarks", 60)
    assert shown["numbers"]["unexplained"] < 1e-10 and np.abs(predict(files) - exact).max() <= 1e-7
    fewer = fit(files, "ridge", "two", "--lambda", 0.3, "--method", "nystroem", "--landmarks", 20)["numbers"]["unexplained"]
    assert 1e-6 < fewer < 0.5
    shown = fit(files, "ridge", "two", "--lambda", 0.3, "--method", "random-features", "--directions", 1000)
    assert 0.005 < shown["numbers"]["kernel_error"] < 0.04 and np.abs(predict(files) - exact).max() <= 0.3


def test_a_gram_matrix_from_anywhere(files):
    matrix = ("--gram", files / "K.npy", "--y", files / "three.npy")
    for kind, options in (("ridge", ("--lambda", 0.2)), ("svm", ()), ("gp", ()), ("gp-classifier", ()), ("dynamics", ("--time", 3))):
        program.run("machine", "fit", kind, *matrix, *options, "-o", files / "g")
        queries = ("--gram", files / "K_new.npy", "--gram-diagonal", files / "k_new.npy")
        program.run("machine", "predict", files / "g", *queries, "-o", files / "pg.npy", "--outputs", files / "fg.npy")
        fit(files, kind, "three", *options)
        assert (predict(files, "--outputs", files / "f.npy") == np.load(files / "pg.npy")).all()
        # LIBSVM stops at 1e-3 of its conditions, and a last digit of the kernel can change its way there
        assert np.abs(np.load(files / "f.npy") - np.load(files / "fg.npy")).max() <= (5e-3 if kind == "svm" else 1e-10)


def test_scores(files):
    fit(files, "ridge", "y")
    ours = predict(files, x="x")
    shown = program.run_json("machine", "score", files / "m", "--x", files / "x.npy", "--y", files / "y.npy")
    assert shown["root_mean_square"] == pytest.approx(np.sqrt(np.mean((ours - Y) ** 2)), rel=1e-12)
    assert shown["r_squared"] == pytest.approx(1 - np.sum((ours - Y) ** 2) / np.sum((Y - Y.mean()) ** 2), rel=1e-12)
    fit(files, "svm", "three")
    right = (predict(files, x="x") == THREE).mean()
    assert f"accuracy {right:.6g}" in program.run("machine", "score", files / "m", "--x", files / "x.npy", "--y", files / "three.npy").stdout


@pytest.mark.skipif(not program.has_digits(), reason="no digits; run `make data`")
def test_a_data_set_by_name(tmp_path):
    shown = program.run("machine", "fit", "ridge", "--data", "digits", "--limit", 300, "--kernel", "ntk", "--net", "flatten dense relu dense", "-o", tmp_path / "m").stdout
    assert "leave one out: root mean square error" in shown and "% right" in shown and "has the smallest leave-one-out error of" in shown
    assert program.run_json("machine", "score", tmp_path / "m", "--data", "digits")["accuracy"] > 0.92


@pytest.mark.parametrize(
    "arguments, message",
    [
        (("ridge", "--x", "x", "--y", "y"), "--kernel is missing"),
        (("ridge", "--x", "x", "--kernel", "rbf"), "--y FILE.npy is missing"),
        (("ridge", "--kernel", "rbf"), "none of --data, --x and --gram were given"),
        (("ridge", "--x", "x", "--gram", "K", "--y", "y"), "several of --data, --x and --gram were given"),
        (("ridge", "--gram", "K", "--y", "y", "--kernel", "rbf"), "--gram is in place of a kernel"),
        (("ridge", "--gram", "wide", "--y", "y"), "a square one [n, n] is expected"),
        (("ridge", "--gram", "negative", "--y", "y", "--lambda", 5), "not positive semi-definite: it has the eigenvalue -1"),
        (("ridge", "--x", "x", "--y", "y", "--kernel", "linear", "--lambda", 0), "(lambda is 0) is singular in float64"),
        (("ridge", "--x", "x", "--y", "y", "--kernel", "rbf", "--memory", "20KiB"), "the matrix of 60 x 60 numbers takes 28.1 KiB"),
        (("ridge", "--x", "x", "--y", "y", "--kernel", "rbf", "--memory", "40KiB"), "(3 matrices of n x n float64 numbers), but 40.0 KiB are allowed"),
        (("ridge", "--x", "x", "--y", "short", "--kernel", "rbf"), "x.npy has 60 rows; one target for each example is expected"),
        (("ridge", "--x", "nan", "--y", "y", "--kernel", "rbf"), "NaN or an infinite number in row 7"),
        (("svm", "--x", "x", "--y", "y", "--kernel", "rbf"), "svm is for classes, but the targets are numbers"),
        (("gp", "--gram", "K", "--y", "y", "--optimise"), "--optimise changes the kernel"),
        (("ridge", "--x", "x", "--y", "y", "--kernel", "rbf", "--method", "cg"), "--method cg needs one --lambda"),
        (("ridge", "--x", "x", "--y", "y", "--kernel", "ntk"), "which network?"),
        (("dynamics", "--x", "x", "--y", "y", "--kernel", "rbf", "--rate", 50, "--steps", 10000), "diverges; rates below"),
        (("dynamics", "--x", "x", "--y", "y", "--kernel", "rbf", "--rate", 100, "--steps", 1), "diverges; rates below"),
        (("ridge", "--x", "number", "--y", "y", "--kernel", "rbf"), "number.npy holds a single number"),
        (("ridge", "--x", "x", "--y", "number", "--kernel", "rbf"), "number.npy holds a single number"),
        (("ridge", "--gram", "number", "--y", "y"), "number.npy holds a single number"),
    ],
)
def test_errors_are_said_clearly(files, arguments, message):
    np.save(files / "negative.npy", np.diag(np.r_[np.ones(59), -1]))
    np.save(files / "short.npy", Y[:50])
    np.save(files / "number.npy", np.float64(3))
    np.save(files / "wide.npy", rbf(X, NEW))
    np.save(files / "nan.npy", np.where(np.arange(60)[:, None] == 7, np.nan, X))
    paths = [files / f"{a}.npy" if a in ("x", "y", "K", "wide", "negative", "short", "nan", "number") else a for a in arguments]
    failed = program.run("machine", "fit", *paths, "-o", files / "m", code=3)
    assert message in failed.stderr and failed.stderr.startswith("pathkernel: ")
    assert not (files / "m").exists()


def test_wrong_questions_are_refused(files):
    fit(files, "ridge", "y")
    ask = ("machine", "predict", files / "m")
    out = ("-o", files / "p.npy")
    assert "no machine.safetensors" in program.run("machine", "predict", files, "--x", files / "x.npy", *out, code=3).stderr
    assert "may differ only in the number of rows" in program.run(*ask, "--x", files / "two.npy", *out, code=3).stderr
    assert "--variance: a ridge has none" in program.run(*ask, "--x", files / "new.npy", *out, "--variance", files / "v.npy", code=3).stderr
    assert "ends in .npy" in program.run(*ask, "--x", files / "new.npy", "-o", files / "p.txt", code=3).stderr
    fit(files, "svm", "three")
    np.save(files / "other.npy", THREE + 1)
    assert "has the label 10" in program.run("machine", "score", files / "m", "--x", files / "x.npy", "--y", files / "other.npy", code=3).stderr
    program.run("machine", "fit", "svm", "--x", files / "x.npy", "--y", files / "three.npy", "--kernel", "rbf", "--C", -1, "-o", files / "n", code=2)
    kinds = "tree is none of ridge, gp, gp-classifier, svm, pca, dynamics, finetune"
    assert kinds in program.run("machine", "fit", "tree", "--x", files / "x.npy", "-o", files / "n", code=2).stderr
    assert "ridg is none of ridge, gp, " in (failed := program.run("machine", "fit", "ridg", code=2).stderr) and "did you mean ridge?" in failed
    assert "fits is none of fit, predict, score; did you mean fit?" in program.run("machine", "fits", "ridge", code=2).stderr


def test_inputs_are_not_overwritten(files):
    fit(files, "gp", "y")
    (files / "link.npy").symlink_to(files / "new.npy")
    (files / "sub").mkdir()
    before = {path: path.read_bytes() for path in files.glob("*.npy")}
    ask = ("machine", "predict", files / "m", "--x", files / "new.npy")
    for out in (("-o", files / "new.npy"), ("-o", files / "sub" / ".." / "link.npy"), ("-o", files / "p.npy", "--variance", files / "new.npy")):
        assert "is an input, and would be overwritten" in program.run(*ask, *out, code=3).stderr
    grams = ("machine", "predict", files / "m", "--gram", files / "K_new.npy", "--gram-diagonal", files / "k_new.npy")
    assert "k_new.npy is an input" in program.run(*grams, "-o", files / "k_new.npy", code=3).stderr
    assert "is named for two outputs" in program.run(*ask, "-o", files / "p.npy", "--outputs", files / "sub" / ".." / "p.npy", code=3).stderr
    assert {path: path.read_bytes() for path in files.glob("*.npy")} == before
