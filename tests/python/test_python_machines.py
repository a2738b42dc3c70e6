"""pathkernel.machines: scikit-learn's checks of estimators, scikit-learn's numbers, and files that are the program's."""

import copy
import gc
import os
import pathlib
import pickle
import subprocess
import sys

import numpy as np
import program
import pytest
import torch
from scipy.spatial.distance import cdist
from sklearn import decomposition, gaussian_process, kernel_ridge, svm
from sklearn.gaussian_process.kernels import RBF, ConstantKernel, WhiteKernel
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

sys.path.insert(0, str(pathlib.Path(os.environ.get("PATHKERNEL_BUILD", program.ROOT / "build")) / "python"))
import pathkernel as pk  # noqa: E402
from pathkernel import kernels, machines, stax  # noqa: E402

random = np.random.default_rng(0)
X, NEW = random.standard_normal((60, 3)), random.standard_normal((15, 3))
TWO = np.stack([np.sin(X[:, 0]), X[:, 1] ** 2], 1) + 0.1 * random.standard_normal((60, 2))
Y = TWO[:, 0]
WORDS = np.where(Y > np.median(Y), "warm", "cold")
THREE = np.digitize(X[:, 0] + 0.3 * random.standard_normal(60), [-0.4, 0.4]) + 7


def rbf(a, b, lengthscale=1.5):
    return np.exp(-cdist(a, b, "sqeuclidean") / (2 * lengthscale**2))


K, K_NEW = rbf(X, X), rbf(NEW, X)

ESTIMATORS = [machines.Ridge(), machines.Ridge(alpha=0.1), machines.Ridge(alpha=0.1, method="cg"), machines.RidgeClassifier(), machines.FeatureRidge(components=100),
              machines.FeatureRidge(components=200, method="random-features"), machines.FeatureRidgeClassifier(components=100), machines.WideNetwork(), machines.WideNetworkClassifier(),
              machines.GaussianProcessRegressor(), machines.GaussianProcessClassifier(), machines.SupportVectorClassifier(), machines.SupportVectorClassifier(probability=True),
              machines.KernelPCA()]


@parametrize_with_checks(ESTIMATORS)
def test_scikit_learns_checks(estimator, check):
    check(estimator)


def test_ridge_is_scikit_learns():
    ours = machines.Ridge("rbf:1.5", 0.3, center=False).fit(X, TWO)
    theirs = kernel_ridge.KernelRidge(alpha=0.3, kernel="precomputed").fit(K, TWO)
    assert np.abs(ours.predict(NEW) - theirs.predict(K_NEW)).max() <= 1e-12 and np.abs(ours.dual_coef_ - theirs.dual_coef_).max() <= 1e-11
    mean = Y.mean()
    ours = machines.Ridge(kernels.rbf(1.5), 0.3).fit(torch.from_numpy(X), torch.from_numpy(Y))
    theirs.fit(K, Y - mean)
    assert np.abs(ours.predict(torch.from_numpy(NEW)) - mean - theirs.predict(K_NEW)).max() <= 1e-12
    assert np.abs(ours.contributions(NEW).sum(1) - theirs.predict(K_NEW)).max() <= 1e-12
    assert ours.score(X, Y) == pytest.approx(1 - np.sum((ours.predict(X) - Y) ** 2) / np.sum((Y - mean) ** 2), rel=1e-12)
    for i in (0, 7):
        less = np.arange(60) != i
        alone = kernel_ridge.KernelRidge(alpha=0.3, kernel="precomputed").fit(K[np.ix_(less, less)], (Y - mean)[less])
        assert ours.leave_one_out_[i] == pytest.approx(alone.predict(K[[i]][:, less])[0], abs=1e-11)
        assert np.abs(ours.removals(NEW)[:, i] - (theirs.predict(K_NEW) - alone.predict(K_NEW[:, less]))).max() <= 1e-11


def test_the_path_of_ridge_takes_the_best():
    lambdas = [1e-4, 0.01, 0.1, 1.0, 10.0]
    path = machines.Ridge("rbf:1.5", lambdas).fit(X, TWO)
    errors = [np.mean((machines.Ridge("rbf:1.5", a).fit(X, TWO).leave_one_out_ - TWO + TWO.mean(0)) ** 2) for a in lambdas]
    assert path.alpha_ == lambdas[int(np.argmin(errors))] and path.numbers_["leave_one_out_rmse"] == pytest.approx(np.sqrt(min(errors)), rel=1e-9)
    exact = machines.Ridge("rbf:1.5", 0.1).fit(X, Y).predict(NEW)
    assert np.abs(machines.Ridge("rbf:1.5", 0.1, method="cg", tol=1e-12).fit(X, Y).predict(NEW) - exact).max() <= 1e-10
    assert np.abs(machines.FeatureRidge("rbf:1.5", 0.1, components=60).fit(X, Y).predict(NEW) - exact).max() <= 1e-7
    few = machines.FeatureRidge("rbf:1.5", 0.1, components=20, random_state=3).fit(X, Y)
    assert 1e-6 < few.numbers_["unexplained"] < 0.5
    random_features = machines.FeatureRidge("rbf:1.5", 0.1, components=2000, method="random-features").fit(X, Y)
    assert 0.005 < random_features.numbers_["kernel_error"] < 0.03 and np.abs(random_features.predict(NEW) - exact).max() <= 0.3


def test_classes_are_one_number_each():
    one_hot = (THREE[:, None] == [7, 8, 9]) - 1 / 3
    scores = K_NEW @ np.linalg.solve(K + 0.3 * np.eye(60), one_hot) + 1 / 3
    ours = machines.RidgeClassifier("rbf:1.5", 0.3).fit(X, THREE)
    assert np.abs(ours.decision_function(NEW) - scores).max() <= 1e-12 and (ours.predict(NEW) == scores.argmax(1) + 7).all()
    assert np.abs(ours.contributions(NEW).sum(1) + 1 / 3 - scores).max() <= 1e-12
    two = machines.RidgeClassifier("rbf:1.5", 0.3).fit(X, WORDS)
    assert two.decision_function(NEW).shape == (15,) and ((two.decision_function(NEW) > 0) == (two.predict(NEW) == "warm")).all()


def test_gaussian_process_regression_is_scikit_learns():
    theirs = gaussian_process.GaussianProcessRegressor(2.0 * RBF(1.5), alpha=0.02, optimizer=None).fit(X, Y)
    ours = machines.GaussianProcessRegressor(2.0 * kernels.rbf(1.5), 0.02, center=False).fit(X, Y)
    assert ours.log_marginal_likelihood_value_ == pytest.approx(theirs.log_marginal_likelihood_value_, abs=1e-10)
    for option in ("return_std", "return_cov"):
        (mean, spread), (their_mean, their_spread) = ours.predict(NEW, **{option: True}), theirs.predict(NEW, **{option: True})
        assert np.abs(mean - their_mean).max() <= 1e-11 and np.abs(spread - their_spread).max() <= 1e-9
    value, slopes = machines.log_marginal_likelihood(2.0 * kernels.rbf(1.5), X, Y, 0.02)
    both = gaussian_process.GaussianProcessRegressor(2.0 * RBF(1.5) + WhiteKernel(0.02), alpha=0, optimizer=None).fit(X, Y)
    their_value, gradient = both.log_marginal_likelihood(both.kernel_.theta, eval_gradient=True)  # in the logarithms of scale, lengthscale, noise
    assert value == pytest.approx(their_value, abs=1e-10) and list(slopes) == ["scale", "lengthscale", "noise"]
    assert np.allclose(list(slopes.values()), gradient, rtol=1e-8)
    mean, std = machines.GaussianProcessRegressor("rbf:1.5", 0.02).fit(X, TWO).predict(NEW, return_std=True)
    assert mean.shape == std.shape == (15, 2) and (std[:, 0] == std[:, 1]).all()


def test_hyperparameters_are_as_good_as_scikit_learns():
    theirs = gaussian_process.GaussianProcessRegressor(ConstantKernel(1.0) * RBF(1.0) + WhiteKernel(0.1), alpha=0, n_restarts_optimizer=3, random_state=0).fit(X, Y)
    kernel = 1.0 * kernels.rbf(1.0)
    ours = machines.GaussianProcessRegressor(kernel, 0.1, optimise=True, center=False).fit(X, Y)
    assert ours.log_marginal_likelihood_value_ >= theirs.log_marginal_likelihood_value_ - 1e-4
    assert ours.kernel_ != kernel == 1.0 * kernels.rbf(1.0) and ours.search_["converged"] and ours.noise_ == ours.search_["noise"]
    assert ours.kernel_.hyperparameters["lengthscale"] == pytest.approx(theirs.kernel_.k1.k2.length_scale, rel=1e-2)
    held = machines.GaussianProcessRegressor(kernel, 0.1, optimise=True, restarts=0, fixed=["noise", "lengthscale"]).fit(X, Y)
    assert held.noise_ == 0.1 and held.kernel_.hyperparameters["lengthscale"] == 1 != held.kernel_.hyperparameters["scale"]


def test_samples_have_the_posterior_s_covariance():
    ours = machines.GaussianProcessRegressor("rbf:1.5", 0.02).fit(X, Y)
    mean, covariance = ours.predict(NEW[:4], return_cov=True)
    drawn = ours.sample_y(NEW[:4], 20000)
    assert drawn.shape == (4, 20000) and np.abs(drawn.mean(1) - mean).max() < 0.02 and np.abs(np.cov(drawn) - covariance).max() < 0.02
    assert np.array_equal(drawn, ours.sample_y(NEW[:4], 20000)) and not np.array_equal(drawn, ours.sample_y(NEW[:4], 20000, random_state=1))
    assert machines.GaussianProcessRegressor("rbf:1.5", 0.02).fit(X, TWO).sample_y(NEW, 5).shape == (15, 2, 5)


def test_gaussian_process_classification_is_scikit_learns():
    theirs = gaussian_process.GaussianProcessClassifier(4.0 * RBF(1.5), optimizer=None).fit(X, WORDS)
    ours = machines.GaussianProcessClassifier(4.0 * kernels.rbf(1.5)).fit(X, WORDS)
    assert ours.classes_.tolist() == ["cold", "warm"] and (ours.predict(NEW) == theirs.predict(NEW)).all()
    assert ours.log_marginal_likelihood_value_ == pytest.approx(theirs.log_marginal_likelihood_value_, abs=1e-6)
    assert np.abs(ours.predict_proba(NEW) - theirs.predict_proba(NEW)).max() <= 1e-4  # theirs is approximate: a sum of five error functions
    three = machines.GaussianProcessClassifier(4.0 * kernels.rbf(1.5)).fit(X, THREE)
    shares, error = three.predict_proba(NEW, return_error=True)
    assert shares.shape == (15, 3) and np.abs(shares.sum(1) - 1).max() <= 1e-12 and 0 < error < 0.02 and set(three.predict(X)) == {7, 8, 9} and three.score(X, THREE) > 0.8


@pytest.mark.parametrize("labels", [WORDS, THREE], ids=["two", "three"])
def test_support_vectors_are_scikit_learns(labels):
    theirs = svm.SVC(C=2.0, kernel="precomputed", tol=1e-8).fit(K, labels)
    ours = machines.SupportVectorClassifier("rbf:1.5", 2.0, tol=1e-8).fit(X, labels)
    assert (ours.predict(NEW) == theirs.predict(K_NEW)).all() and (ours.support_ == theirs.support_).all() and (ours.n_support_ == theirs.n_support_).all()
    assert np.abs(ours.dual_coef_ - theirs.dual_coef_).max() <= 1e-6 and np.abs(ours.intercept_ - theirs.intercept_).max() <= 1e-6
    theirs.decision_function_shape = "ovo"
    assert np.abs(ours.pair_decisions(NEW) - theirs.decision_function(K_NEW).reshape(15, -1) * (-1 if len(ours.classes_) == 2 else 1)).max() <= 1e-6
    assert hasattr(ours, "decision_function") == (len(ours.classes_) == 2) and not hasattr(ours, "predict_proba")
    shares = machines.SupportVectorClassifier("rbf:1.5", probability=True).fit(X, labels).predict_proba(NEW)
    assert shares.shape == (15, len(ours.classes_)) and np.abs(shares.sum(1) - 1).max() <= 1e-12
    assert (ours.classes_[shares.argmax(1)] == ours.predict(NEW)).mean() > 0.7


def test_principal_components_are_scikit_learns():
    theirs = decomposition.KernelPCA(4, kernel="precomputed").fit(K)
    ours = machines.KernelPCA("rbf:1.5", 4).fit(X)
    mine, other = ours.transform(NEW), theirs.transform(K_NEW)
    assert np.abs(mine * np.sign((mine * other).sum(0)) - other).max() <= 1e-10
    assert np.abs(ours.explained_variance_ * 60 - theirs.eigenvalues_).max() <= 1e-11
    assert machines.KernelPCA("rbf:1.5", None).fit(X).explained_variance_ratio_.sum() == pytest.approx(1, abs=1e-12)
    assert list(ours.get_feature_names_out()) == [f"kernelpca{k}" for k in range(4)]


def test_wide_networks_are_the_steps():
    ntk = kernels.ntk("dense relu dense", w_std=1.4, b_std=0.1)
    theta, theta_new = ntk.gram(X), ntk.gram(NEW, X)
    alpha, push = np.zeros((60, 2)), np.zeros((60, 2))
    for _ in range(70):
        push = 0.8 * push + theta @ alpha - TWO
        alpha -= 0.005 * push
    ours = machines.WideNetwork(ntk, rate=0.005, steps=70, momentum=0.8, center=False).fit(X, TWO)
    assert np.abs(ours.predict(NEW) - theta_new @ alpha).max() <= 1e-10
    end = machines.WideNetwork(ntk, center=False).fit(X, TWO)
    assert np.abs(end.predict(NEW) - theta_new @ np.linalg.solve(theta, TWO)).max() <= 1e-8
    with pytest.raises(pk.InvalidInput, match="diverges; rates below"):
        machines.WideNetwork(ntk, rate=10.0, steps=10000).fit(X, Y)


MACHINES = {
    "ridge": (machines.Ridge("rbf:1.5", 0.1), TWO),
    "ridge, one target": (machines.Ridge("rbf:1.5", 0.1), Y),
    "ridge, classes": (machines.RidgeClassifier("rbf:1.5 + 0.5*linear", 0.1), WORDS),
    "nystroem": (machines.FeatureRidge("rbf:1.5", 0.1, components=20), Y),
    "random features": (machines.FeatureRidge("matern:1.5,2", 0.1, components=30, method="random-features"), TWO),
    "features, classes": (machines.FeatureRidgeClassifier("rbf:1.5", 0.1, components=20), THREE),
    "gp": (machines.GaussianProcessRegressor("2*rbf:1.5", 0.05), Y),
    "laplace": (machines.GaussianProcessClassifier("rbf:1.5"), WORDS),
    "laplace, three": (machines.GaussianProcessClassifier("rbf:1.5"), THREE),
    "svm": (machines.SupportVectorClassifier("rbf:1.5", probability=True), THREE),
    "pca": (machines.KernelPCA("rbf:1.5", 3), None),
    "wide": (machines.WideNetwork("ntk(dense relu dense)", time=3.0), TWO),
    "wide, classes": (machines.WideNetworkClassifier("ntk(dense relu dense)", rate=0.01, steps=50), THREE),
}


def answers(machine, x=NEW):
    found = [machine.transform(x) if hasattr(machine, "transform") else machine.predict(x)]
    if hasattr(machine, "predict_proba"):
        found.append(machine.predict_proba(x))
    if isinstance(machine, machines.GaussianProcessRegressor):
        found.extend(machine.predict(x, return_std=True) + machine.predict(x, return_cov=True)[1:])
    return found


def same(ours, theirs):
    assert len(ours) == len(theirs)
    for a, b in zip(ours, theirs):
        assert a.shape == b.shape
        assert (a == b).all() if a.dtype.kind in "iU" else np.abs(a - b).max() <= 1e-13 * (1 + np.abs(b).max())


@pytest.mark.parametrize("name", MACHINES)
def test_machines_are_kept(name, tmp_path):
    machine, y = MACHINES[name]
    machine.fit(X, y)
    machine.save(tmp_path / "m")
    loaded = machines.load(tmp_path / "m")
    assert type(loaded) is type(machine) and loaded.numbers_ == machine.numbers_ and str(loaded.kernel) == str(machine.kernel_)
    for other in (loaded, pickle.loads(pickle.dumps(machine)), copy.deepcopy(machine)):
        same(answers(other), answers(machine))
    if isinstance(machine, machines.Ridge):
        assert np.abs(loaded.removals(NEW) - machine.removals(NEW)).max() <= 1e-9
    # the program opens it
    np.save(tmp_path / "new.npy", NEW)
    program.run("machine", "predict", tmp_path / "m", "--x", tmp_path / "new.npy", "-o", tmp_path / "p.npy")
    theirs, mine = np.load(tmp_path / "p.npy"), answers(machine)[0]
    if mine.dtype.kind == "U":
        mine = np.searchsorted(machine.classes_, mine)
    assert np.abs(theirs.reshape(mine.shape) - mine).max() <= 1e-12
    loaded.fit(X, y)  # with the settings that the file tells
    if name not in ("svm", "gp", "wide", "wide, classes"):
        same(answers(loaded)[:1], answers(machine)[:1])


@pytest.mark.parametrize("kind, y, options, name", [
    ("ridge", TWO, ("--lambda", 0.1), "Ridge"), ("ridge", THREE, ("--lambda", 0.1), "RidgeClassifier"), ("ridge", Y, ("--lambda", 0.1, "--method", "nystroem", "--landmarks", 20), "FeatureRidge"),
    ("gp", Y, ("--noise", 0.05), "GaussianProcessRegressor"), ("gp-classifier", THREE, (), "GaussianProcessClassifier"), ("svm", THREE, ("--C", 3), "SupportVectorClassifier"),
    ("pca", None, ("--components", 3), "KernelPCA"), ("dynamics", TWO, ("--time", 2), "WideNetwork")])
def test_machines_of_the_program_open_here(kind, y, options, name, tmp_path):
    for file, array in (("x", X), ("y", y), ("new", NEW)):
        if array is not None:
            np.save(tmp_path / f"{file}.npy", array)
    targets = () if y is None else ("--y", tmp_path / "y.npy")
    program.run("machine", "fit", kind, "--x", tmp_path / "x.npy", *targets, "--kernel", "rbf:1.5", *options, "-o", tmp_path / "m")
    program.run("machine", "predict", tmp_path / "m", "--x", tmp_path / "new.npy", "-o", tmp_path / "p.npy")
    machine = machines.load(tmp_path / "m")
    assert type(machine).__name__ == name
    mine = answers(machine)[0]
    assert np.abs(np.load(tmp_path / "p.npy").reshape(mine.shape) - mine).max() <= 1e-12
    if kind == "svm":
        assert machine.C == 3 and machine.get_params()["kernel"] == kernels.rbf(1.5)


@pytest.mark.parametrize("machine, y", [(machines.Ridge(alpha=0.1), TWO), (machines.SupportVectorClassifier(C=2.0), THREE), (machines.GaussianProcessRegressor(noise=0.05), Y),
                                        (machines.GaussianProcessClassifier(), WORDS), (machines.KernelPCA(), None), (machines.WideNetwork(time=1.0), Y)], ids=lambda m: type(m).__name__)
def test_a_precomputed_gram_matrix(machine, y, tmp_path):
    machine = copy.deepcopy(machine)
    expected = copy.deepcopy(machine).set_params(kernel="rbf:1.5").fit(X, y)
    machine.set_params(kernel="precomputed").fit(K, y)
    options = {"K_new": np.ones(15)} if isinstance(machine, (machines.GaussianProcessClassifier, machines.GaussianProcessRegressor)) else {}
    ask = "transform" if isinstance(machine, machines.KernelPCA) else "predict"
    machine.save(tmp_path / "m")
    for one in (machine, machines.load(tmp_path / "m")):
        mine, other = getattr(one, ask)(K_NEW, **options), getattr(expected, ask)(NEW)
        assert (mine == other).all() if mine.dtype.kind in "iU" else np.abs(mine - other).max() <= 1e-9
    if isinstance(machine, machines.GaussianProcessRegressor):
        assert np.abs(machine.predict(K_NEW) - expected.predict(NEW)).max() <= 1e-9
        _, covariance = machine.predict(K_NEW, return_cov=True, K_new=rbf(NEW, NEW))
        assert np.abs(covariance - expected.predict(NEW, return_cov=True)[1]).max() <= 1e-12
        with pytest.raises(pk.InvalidInput, match="K_new"):
            machine.predict(K_NEW, return_std=True)
    if isinstance(machine, machines.Ridge):
        assert np.abs(machine.removals(K_NEW, K) - expected.removals(NEW)).max() <= 1e-10


def test_in_scikit_learns_tools():
    search = GridSearchCV(make_pipeline(StandardScaler(), machines.SupportVectorClassifier()), {"supportvectorclassifier__kernel": [kernels.rbf(0.1), kernels.rbf(2.0), "linear"],
                                                                                              "supportvectorclassifier__C": [0.01, 10.0]}).fit(X, THREE)
    assert search.best_score_ > 0.7 and search.best_params_["supportvectorclassifier__C"] == 10
    folds = GridSearchCV(machines.Ridge("precomputed"), {"alpha": [0.01, 100.0]}).fit(K, Y)  # cut in rows and columns
    assert folds.best_params_["alpha"] == 0.01


def test_images_and_their_kernels():
    images = random.standard_normal((20, 2, 4, 4))
    labels = (images[:, 0].mean((1, 2)) > 0).astype(int)
    machine = machines.RidgeClassifier(kernels.ntk("conv:3x3,same relu gap dense"), 1e-3).fit(images, labels)
    assert machine.score(images, labels) == 1
    with pytest.raises(ValueError, match="features|may differ"):
        machine.predict(images[:, :1])


def gelu(x):
    """Not the one that the engine knows by this name."""
    return x * torch.sigmoid(1.702 * x) + torch.sin(x)


def test_functions_of_ones_own_stay_what_they_are(tmp_path):
    def kernel_of(function):
        return stax.kernel(stax.serial(stax.Dense(1), stax.ElementwiseNumerical(function, 25), stax.Dense(1)), "nngp")

    own = kernel_of(gelu)
    gram, between = own.gram(X), own.gram(NEW, X)
    assert np.abs(gram - kernels.nngp("dense:1 gelu dense:1").gram(X)).max() > 0.1
    for same in (own + 0.0, 1.0 * own, own.copy(), own.replace({}), copy.deepcopy(own), kernels.parse(str(own))):
        assert np.abs(same.gram(X) - gram).max() < 1e-14
    assert own == own.copy() and own != kernel_of(gelu) and own != kernel_of(lambda x: gelu(x))
    expected = between @ np.linalg.solve(gram + 0.1 * np.eye(60), Y - Y.mean()) + Y.mean()
    machine = machines.Ridge(own, 0.1).fit(X, Y)
    assert np.abs(machine.predict(NEW) - expected).max() < 1e-10
    assert np.abs(machines.Ridge(kernel_of(lambda x: gelu(x)), 0.1).fit(X, Y).predict(NEW) - expected).max() < 1e-10
    evidence = [machines.log_marginal_likelihood(k, X, Y, 0.1)[0] for k in (own, kernels.nngp("dense:1 gelu dense:1"))]
    L = np.linalg.cholesky(gram + 0.1 * np.eye(60))
    by_hand = -0.5 * np.square(np.linalg.solve(L, Y)).sum() - np.log(L.diagonal()).sum() - 30 * np.log(2 * np.pi)
    assert evidence[0] == pytest.approx(by_hand, rel=1e-9) and abs(evidence[1] - by_hand) > 0.1
    assert GridSearchCV(machines.Ridge(own), {"alpha": [0.1, 1.0]}, cv=2).fit(X, Y).best_params_
    for kept in (lambda: machine.save(tmp_path / "own"), lambda: pickle.dumps(own), lambda: pickle.dumps(machine)):
        with pytest.raises(pk.InvalidInput, match="of your own|of the program's own"):
            kept()
    assert not (tmp_path / "own").exists()
    text = str(own)
    del own, machine, same
    gc.collect()
    with pytest.raises(pk.InvalidInput, match="function of a program's own is known by its number only there"):
        kernels.parse(text)


def test_shapes_and_labels_after_a_file(tmp_path):
    for name, machine in (("ridge", machines.Ridge()), ("gp", machines.GaussianProcessRegressor()), ("features", machines.FeatureRidge()), ("wide", machines.WideNetwork())):
        for targets in (Y, Y[:, None], TWO):
            machine.fit(X, targets).save(tmp_path / name)
            assert machines.load(tmp_path / name).predict(NEW).shape == machine.predict(NEW).shape == (15, *targets.shape[1:])
    truth = Y > np.median(Y)
    for name, machine in (("classes", machines.RidgeClassifier()), ("svm", machines.SupportVectorClassifier())):
        machine.fit(X, truth).save(tmp_path / name)
        assert machines.load(tmp_path / name).score(X, truth) == machine.score(X, truth)


def test_what_cannot_be_is_said(tmp_path):
    def refused(match, call, error=pk.InvalidInput):
        with pytest.raises(error, match=match):
            call()

    refused("is singular in float64", lambda: machines.Ridge("linear", 0.0).fit(X, Y))
    refused("the eigenvalue -1", lambda: machines.Ridge("precomputed", 5.0).fit(np.diag(np.r_[np.ones(59), -1]), Y))
    refused("not symmetric", lambda: machines.Ridge("precomputed", 5.0).fit(K + np.triu(K), Y))
    refused("a square one", lambda: machines.Ridge("precomputed").fit(K[:, :50], Y))
    refused("\"precomputed\" is expected", lambda: machines.Ridge(3).fit(X, Y))
    refused("there is no kernel|there is no", lambda: machines.Ridge("rfb").fit(X, Y))
    refused("takes 28.1 KiB", lambda: machines.Ridge(memory=20000).fit(X, Y))
    refused("\"exact\" or \"cg\"", lambda: machines.Ridge(method="newton").fit(X, Y))
    refused("descent, which wants a rate", lambda: machines.WideNetwork(steps=3).fit(X, Y))
    refused("goes by steps; steps=3 and time=4", lambda: machines.WideNetwork(rate=0.01, steps=3, time=4).fit(X, Y))
    refused("goes by steps; steps=0", lambda: machines.WideNetworkClassifier(rate=0.01).fit(X, THREE))
    refused("complex64; real numbers", lambda: kernels.rbf().gram(torch.ones(3, 2) + 1j))
    refused("one alpha", lambda: machines.Ridge(method="cg").fit(X, Y))
    refused("after 2 iterations", lambda: machines.Ridge("rbf:1.5", 1e-6, method="cg", iterations=2, rank=1).fit(X, Y))
    refused("not \"precomputed\"", lambda: machines.FeatureRidge("precomputed").fit(K, Y))
    refused("optimise changes the kernel", lambda: machines.GaussianProcessRegressor("precomputed", optimise=True).fit(K, Y))
    refused("there is no hyper-parameter \"width\"", lambda: machines.GaussianProcessRegressor(optimise=True, fixed=["width"]).fit(X, Y))
    refused(r"y has 1 class \(1.0\)", lambda: machines.SupportVectorClassifier().fit(X, np.ones(60)))
    refused("no machine.safetensors", lambda: machines.load(tmp_path))
    machine = machines.Ridge().fit(X, Y)
    machine.save(tmp_path / "m")
    file = tmp_path / "m/machine.safetensors"
    content = bytearray(file.read_bytes())
    content[-3] ^= 1
    file.write_bytes(content)
    refused("checksum", lambda: machines.load(tmp_path / "m"), pk.CorruptData)
    refused("not fitted", lambda: machines.Ridge().save(tmp_path / "n"), ValueError)


def test_without_scikit_learn_it_says_so():
    script = "import sys; sys.modules['sklearn'] = None\nimport pathkernel.kernels\ntry:\n    import pathkernel.machines\nexcept ImportError as e:\n    print(e)"
    build = os.environ.get("PATHKERNEL_BUILD", program.ROOT / "build")
    done = subprocess.run([sys.executable, "-c", script], env=dict(os.environ, PYTHONPATH=str(pathlib.Path(build) / "python")), capture_output=True, text=True, timeout=120)
    assert 'pip install "pathkernel[machines]"' in done.stdout, done.stderr
