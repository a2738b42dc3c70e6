"""Fine-tuning in function space from Python and by the program: against Jacobians of torch.func, a live module, a run, files; the representer expansion."""

import numpy as np
import program
import pytest
import torch
import torch.nn as nn
from scipy.optimize import minimize
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from test_package import examples, mlp, pk, recorded

from pathkernel import machines


def jacobian(model, x):
    """[n, O, P]"""
    weights = list(model.parameters())
    return torch.stack([torch.stack([torch.cat([g.flatten() for g in torch.autograd.grad(z, weights, retain_graph=True)]) for z in row]) for row in model(x)])


@pytest.fixture
def net():
    return mlp(torch.float64)


X, Y = examples(9, dtype=torch.float64)
NEW = examples(4, seed=3, dtype=torch.float64)[0]
TARGETS = torch.stack([X[:, 0].sin(), X[:, 1], X[:, 2] * X[:, 3]], 1)


def test_regression_is_the_gaussian_process_of_the_jacobian(net):
    J, J_new, s0, noise = jacobian(net, X).flatten(0, 1), jacobian(net, NEW), 0.5, 0.02
    own, own_new = net(X).detach(), net(NEW).detach()
    K = s0 * J @ J.T + noise * torch.eye(27, dtype=torch.float64)
    for start, m, m_new in (("network", own, own_new), ("zero", TARGETS.mean(0), TARGETS.mean(0))):
        machine = machines.FineTunedRegressor(net, prior=s0, noise=noise, start=start).fit(X, TARGETS)
        mean, deviation = machine.predict(NEW, return_std=True)
        K_new = s0 * torch.einsum("qow,rw->qor", J_new, J)
        assert np.abs(mean - (m_new + K_new @ torch.linalg.solve(K, (TARGETS - m).flatten())).detach().numpy()).max() <= 1e-10
        variance = s0 * J_new.square().sum(2) - (K_new * torch.linalg.solve(K, K_new.flatten(0, 1).T).T.view_as(K_new)).sum(2)
        assert np.abs(deviation**2 - variance.numpy()).max() <= 1e-10
        v = torch.cat([t.flatten() for t in machine.change_.values()])
        assert torch.allclose(v, s0 * J.T @ torch.linalg.solve(K, (TARGETS - m).flatten()), rtol=1e-9, atol=1e-12)
        free = machines.FineTunedRegressor(net, prior=s0, noise=noise, start=start, method="cg", tol=1e-11).fit(X.numpy(), TARGETS.numpy())
        assert np.abs(free.predict(NEW) - mean).max() <= 1e-8 and free.numbers_["residual"] <= 1e-9 and free.log_marginal_likelihood_value_ is None
    assert not any(p.grad is not None for p in net.parameters()) and net.training


def test_classification_is_the_linear_networks_optimum(net):
    J, s0 = jacobian(net, X).detach().numpy(), 3.0
    own, y = net(X).detach().numpy(), Y.numpy()

    def energy(v):
        f = own + J @ v
        top = f - f.max(1, keepdims=True)
        log_p = top - np.log(np.exp(top).sum(1, keepdims=True))
        p = np.exp(log_p)
        p[np.arange(len(y)), y] -= 1
        return -log_p[np.arange(len(y)), y].sum() + v @ v / (2 * s0), np.einsum("iow,io->w", J, p) + v / s0

    best = minimize(energy, np.zeros(J.shape[2]), jac=True, method="L-BFGS-B", options={"ftol": 1e-16, "gtol": 1e-11, "maxiter": 5000})
    machine = machines.FineTunedClassifier(net, prior=s0).fit(X, np.array(["a", "b", "c"])[y])
    v = torch.cat([t.flatten() for t in machine.change_.values()]).numpy()
    assert np.abs(v - best.x).max() <= 1e-6 * np.abs(best.x).max() and energy(v)[0] <= best.fun + 1e-12
    assert np.abs(machine.decision_function(NEW) - (net(NEW).detach().numpy() + jacobian(net, NEW).detach().numpy() @ v)).max() <= 1e-10
    probabilities, error = machine.predict_proba(NEW, return_error=True)
    assert np.allclose(probabilities.sum(1), 1) and 0 < error < 0.02
    assert list(machine.classes_) == ["a", "b", "c"] and machine.score(X, np.array(["a", "b", "c"])[y]) == 1
    assert (machine.predict(NEW) == machine.classes_[machine.decision_function(NEW).argmax(1)]).all()
    free = machines.FineTunedClassifier(net, prior=s0, method="cg", tol=1e-11).fit(X, y)
    assert np.abs(free.decision_function(NEW) - machine.decision_function(NEW)).max() <= 1e-7
    assert np.allclose(free.predict_proba(NEW), torch.softmax(torch.from_numpy(free.decision_function(NEW)), 1))


def test_two_classes_by_one_output():
    net = mlp(torch.float64, classes=1)
    y = (X[:, 0] > 0).long()
    machine = machines.FineTunedClassifier(net, prior=20.0, start="zero").fit(X, y)
    J, J_new = (jacobian(net, x).detach().squeeze(1).numpy() for x in (X, NEW))
    same = machines.GaussianProcessClassifier("precomputed").fit(20 * J @ J.T, y)
    assert np.abs(machine.predict_proba(NEW) - same.predict_proba(20 * J_new @ J.T, K_new=20 * (J_new**2).sum(1))).max() <= 1e-8
    assert machine.log_marginal_likelihood_value_ == pytest.approx(same.log_marginal_likelihood_value_, abs=1e-8)


def test_the_evidence_chooses(net):
    machine = machines.FineTunedRegressor(net).fit(X, TARGETS)
    others = [machines.FineTunedRegressor(net, prior=machine.prior_ * p, noise=machine.noise_ * q).fit(X, TARGETS) for p, q in ((10, 1), (0.1, 1), (1, 10), (1, 0.1))]
    assert all(machine.log_marginal_likelihood_value_ >= other.log_marginal_likelihood_value_ - 1e-9 for other in others[:2])
    classifier = machines.FineTunedClassifier(net, prior=[0.01, 1, 100]).fit(X, Y)
    assert classifier.prior_ in (0.01, 1, 100)


class Two(nn.Module):
    """Tokens and numbers together, with a frozen part and dropout."""

    def __init__(self):
        super().__init__()
        self.tokens, self.first, self.last, self.drop = nn.Embedding(7, 4), nn.Linear(3, 4), nn.Linear(4, 2), nn.Dropout(0.5)
        self.first.requires_grad_(False)

    def forward(self, ids, numbers):
        return self.last(self.drop(torch.tanh(self.tokens(ids).mean(1) + self.first(numbers))))


def test_any_module_and_what_is_frozen_stays(tmp_path):
    torch.manual_seed(0)
    net = Two()
    ids, numbers, y = torch.randint(7, (8, 5)), torch.randn(8, 3), torch.arange(8) % 2
    machine = machines.FineTunedClassifier(net, prior=1.0).fit((ids, numbers), y)
    assert set(machine.change_) == {"tokens.weight", "last.weight", "last.bias"} and net.last.weight.dtype == torch.float32 and net.training
    free = machines.FineTunedClassifier(net, prior=1.0, method="cg").fit((ids, numbers), y)
    assert np.abs(machine.decision_function((ids, numbers)) - free.decision_function((ids, numbers))).max() < 1e-6
    with pytest.raises(pk.InvalidInput, match="one input an example, but this network takes 2"):
        machine.save(tmp_path / "m")


def test_from_a_run_and_through_files(tmp_path):
    run = recorded(tmp_path / "run", epochs=4)
    trained = run.trained_model()
    assert all(torch.equal(a, b) for a, b in zip(trained.parameters(), run._trained.network.module.parameters()))
    again = pk.open(tmp_path / "run", model=mlp(), data=examples())
    with torch.no_grad():
        next(again._trained.network.module.parameters()).add_(1)  # its weights do not matter
    a, b = (machines.FineTunedClassifier(model, prior=1.0).fit(X.float(), 2 - Y) for model in (again, trained))
    assert np.array_equal(a.predict_proba(NEW), b.predict_proba(NEW))
    assert not np.array_equal(a.decision_function(NEW), machines.FineTunedClassifier(run.trained_model(0), prior=1.0).fit(X.float(), 2 - Y).decision_function(NEW))
    with pytest.raises(pk.InvalidInput, match="keeps weights of the steps 0,"):
        run.trained_model(1)
    a.save(tmp_path / "kept")
    c = machines.FineTunedClassifier.load(tmp_path / "kept", mlp())
    assert np.allclose(c.predict_proba(NEW), a.predict_proba(NEW), rtol=1e-12) and list(c.classes_) == [0, 1, 2]
    with pytest.raises(pk.InvalidInput, match="another '0.bias' than the model"):
        machines.FineTunedClassifier.load(tmp_path / "kept", nn.Sequential(nn.Linear(5, 9), nn.Tanh(), nn.Linear(9, 3)))
    with pytest.raises(pk.InvalidInput, match="no FineTunedRegressor"):
        machines.FineTunedRegressor.load(tmp_path / "kept", mlp())
    with pytest.raises(pk.InvalidInput, match="FineTunedClassifier.load"):
        machines.load(tmp_path / "kept")
    assert clone(b).get_params()["prior"] == 1.0
    assert clone(a).model is again and np.array_equal(clone(a).fit(X.float(), 2 - Y).predict_proba(NEW), a.predict_proba(NEW))
    found = GridSearchCV(machines.FineTunedClassifier(again), {"prior": [1e-8, 1.0]}, cv=3, scoring="neg_log_loss").fit(X.float().numpy(), Y.numpy())
    assert found.best_estimator_.model is again and np.isfinite(found.cv_results_["mean_test_score"]).all()


def test_under_inference_mode(net):
    outside = pk.tangent_kernel(net, X, form="trace")
    expected = machines.FineTunedRegressor(net, prior=1.0, noise=0.1).fit(X, TARGETS).predict(NEW)
    with torch.inference_mode():
        assert torch.equal(pk.tangent_kernel(net, X * 1.0, form="trace"), outside)
        assert np.array_equal(machines.FineTunedRegressor(net, prior=1.0, noise=0.1).fit(X * 1.0, TARGETS).predict(NEW * 1.0), expected)


def test_what_is_wrong_is_named(net):
    fit = machines.FineTunedRegressor
    for make, words in ((lambda: fit("no model").fit(X, TARGETS), "model is a str"), (lambda: fit(net, start="here").fit(X, TARGETS), "start is 'here'"),
                        (lambda: fit(net, method="magic").fit(X, TARGETS), "method is 'magic'"), (lambda: fit(net, prior=0).fit(X, TARGETS), "the prior is 0"),
                        (lambda: fit(net).fit(X, TARGETS[:, 0]), "the network has 3 outputs"), (lambda: fit(net, prior=1, noise=0).fit(torch.cat([X, X]), torch.cat([TARGETS, TARGETS])), "singular"),
                        (lambda: fit(net).fit(X, TARGETS * float("nan")), "not finite"), (lambda: fit(net, memory=1000).fit(X, TARGETS), "9 examples with 3 outputs take"),
                        (lambda: fit(net, method="cg").fit(X, TARGETS), "one prior and one noise"),
                        (lambda: fit(net, prior=1.0, noise=1e-6, method="cg", rank=0, iterations=3).fit(X, TARGETS), "stands at a residual of"),
                        (lambda: fit(net, prior=1.0, noise=0.1, method="cg").fit(X, TARGETS).predict(NEW, return_std=True), "no variance"),
                        (lambda: machines.FineTunedClassifier(net).fit(X, Y, classes=[0, 1]), "none of the classes given"),
                        (lambda: machines.FineTunedClassifier(net).fit(X, Y, classes=[0, 1, 0]), "each is expected once"),
                        (lambda: fit(net).fit(X[:, :1], TARGETS), r"does not take X \(float\d\d \[9, 1"),
                        (lambda: fit(net).fit(X.to(torch.int64), TARGETS), r"does not take X \(int64"),
                        (lambda: machines.FineTunedClassifier(net).fit(X, Y % 2), "there are 2 classes, but the network's 3 outputs"),
                        (lambda: fit(nn.Tanh()).fit(X, TARGETS), "no parameters")):
        with pytest.raises(pk.InvalidInput, match=words):
            make()


def test_the_program_fine_tunes_a_recording(tmp_path):
    data, task = program.write_data(tmp_path / "data"), program.write_data(tmp_path / "task", examples=20, seed=5)
    program.run("train", "--data", data, "--model", "mlp:6-8-3", "--epochs", 3, "--batch", 8, "--lr", 0.1, "--threads", 1, "--out", tmp_path / "run")
    source = ("--data", task)
    shown = program.run("machine", "fit", "finetune", "--run", tmp_path / "run", *source, "--prior", 2, "-o", tmp_path / "m").stdout
    assert "tangent kernel of mlp:6-8-3 relu" in shown and "prior 2" in shown and "log evidence" in shown
    program.run("machine", "predict", tmp_path / "m", *source, "-o", tmp_path / "p.npy", "--probabilities", tmp_path / "q.npy", "--outputs", tmp_path / "f.npy", "--variance", tmp_path / "v.npy")
    net = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3))
    for p, (_, tensor) in zip(net.parameters(), pk._engine.Recording(str(tmp_path / "run")).parameters(15)):
        p.data.copy_(tensor)
    here = machines.FineTunedClassifier(net, prior=2.0).fit(np.load(task / "train_x.npy"), np.load(task / "train_y.npy"))
    x = np.load(task / "test_x.npy")
    assert np.allclose(np.load(tmp_path / "f.npy"), here.decision_function(x), rtol=1e-9, atol=1e-9)
    assert np.allclose(np.load(tmp_path / "q.npy"), here.predict_proba(x), atol=1e-9) and (np.load(tmp_path / "v.npy") >= 0).all()
    assert program.run_json("machine", "score", tmp_path / "m", *source)["accuracy"] == here.score(x, np.load(task / "test_y.npy"))
    free = program.run_json("machine", "fit", "finetune", "--run", tmp_path / "run", *source, "--prior", 2, "--matrix-free", "-o", tmp_path / "free")
    assert free["numbers"]["converged"] == 1 and free["numbers"]["residual"] < 1e-7
    program.run("machine", "predict", tmp_path / "free", *source, "-o", tmp_path / "p.npy", "--outputs", tmp_path / "g.npy")
    assert np.allclose(np.load(tmp_path / "g.npy"), np.load(tmp_path / "f.npy"), rtol=1e-5, atol=1e-6)


def test_the_program_takes_a_recordings_kernel_for_any_machine(tmp_path):
    data = program.write_data(tmp_path / "data")
    program.run("train", "--data", data, "--model", "mlp:6-8-3", "--epochs", 2, "--batch", 8, "--lr", 0.1, "--threads", 1, "--out", tmp_path / "run", "--dtype", "double")
    program.run("tangent", tmp_path / "run", "--x", "train:all", "--form", "trace", "-o", tmp_path / "K.npy")
    program.run("tangent", tmp_path / "run", "--x", "test:all", "--y", "train:all", "--form", "trace", "-o", tmp_path / "k.npy")
    program.run("tangent", tmp_path / "run", "--x", "test:all", "--form", "trace", "-o", tmp_path / "own.npy")
    for kind, options in (("ridge", ("--lambda", 0.1)), ("svm", ("--C", 3)), ("gp-classifier", ())):
        program.run("machine", "fit", kind, "--run", tmp_path / "run", "--data", data, *options, "-o", tmp_path / "m")
        program.run("machine", "fit", kind, "--gram", tmp_path / "K.npy", "--y", data / "train_y.npy", *options, "-o", tmp_path / "g")
        program.run("machine", "predict", tmp_path / "m", "--data", data, "-o", tmp_path / "a.npy", "--outputs", tmp_path / "fa.npy")
        diagonal = tmp_path / "d.npy"
        np.save(diagonal, np.load(tmp_path / "own.npy").diagonal())
        program.run("machine", "predict", tmp_path / "g", "--gram", tmp_path / "k.npy", *(("--gram-diagonal", diagonal) if kind == "gp-classifier" else ()), "-o", tmp_path / "b.npy",
                    "--outputs", tmp_path / "fb.npy")
        assert np.allclose(np.load(tmp_path / "fa.npy"), np.load(tmp_path / "fb.npy"), rtol=1e-8, atol=1e-9), kind
    start = program.run_json("machine", "fit", "ridge", "--run", tmp_path / "run", "--at", "start", "--data", data, "--lambda", 0.1, "-o", tmp_path / "s")
    assert start["numbers"]["leave_one_out_rmse"] != program.run_json("machine", "fit", "ridge", "--run", tmp_path / "run", "--data", data, "--lambda", 0.1, "-o", tmp_path / "s")["numbers"]["leave_one_out_rmse"]
    wide = program.write_data(tmp_path / "wide", inputs=(7,))
    for arguments, words in ((("ridge", "--run", tmp_path / "run", "--kernel", "rbf", "--data", data), "--run is in place of a kernel"),
                             (("finetune", "--kernel", "rbf", "--data", data), "give --run FOLDER, not a kernel"),
                             (("finetune", "--run", tmp_path / "run", "--at", "path", "--data", data), "--at 'path' is not understood"),
                             (("finetune", "--run", tmp_path / "run", "--data", wide), "takes 6 numbers per example, but an example has 7"),
                             (("finetune", "--run", tmp_path / "none", "--data", data), "none")):
        assert words in program.run("machine", "fit", *arguments, "-o", tmp_path / "n", code=3).stderr
    assert "--every 5 goes with --at path" in program.run("tangent", tmp_path / "run", "--at", "end", "--every", 5, "-o", tmp_path / "K.npy", code=3).stderr


def test_the_representer_expansion_is_the_ledger(tmp_path):
    model = mlp(torch.float64)
    run = recorded(tmp_path / "run", model=model, optimizer=torch.optim.SGD(model.parameters(), lr=0.2), data=examples(dtype=torch.float64))
    ledger = run.explain(NEW, precision="double", progress=False)
    steps = run.representer(NEW, progress=False)
    total = np.zeros_like(ledger.contributions)
    for s in steps:
        np.add.at(total, s.examples.numpy(), s.contributions.numpy())
    assert np.abs(total - ledger.contributions).max() <= 1e-10 * np.abs(ledger.contributions).max()
    assert steps[0].alpha.shape == (5, 3) and steps[0].kernel.shape == (4, 5, 3)
    other = run.representer(NEW[:1] * 2, "logit:0", progress=False)
    assert all(torch.equal(a.alpha, b.alpha) for a, b in zip(steps, other))
    assert [s.step for s in run.representer(NEW, start=2, until=4, progress=False)] == [2, 3]
    with pytest.raises(pk.InvalidInput, match="the same for all inputs"):
        recorded(tmp_path / "momentum").representer(NEW.float(), progress=False)
