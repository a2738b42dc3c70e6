"""How far kernels account for what training changed: theory 1's numbers, and the program's own runs."""

import copy
import math
import re

import numpy as np
import pytest
import torch
import torch.nn as nn

import program
from test_package import examples, mlp, pk, recorded


class Drawn(nn.Module):
    """The network of theory's checks: weights gain·N(0, 1/fan-in), biases 0.1·N(0, 1), from one generator."""

    def __init__(self, sizes, seed, gain):
        super().__init__()
        g = torch.Generator().manual_seed(seed)
        self.layers = nn.ModuleList(nn.Linear(a, b).double() for a, b in zip(sizes[:-1], sizes[1:]))
        with torch.no_grad():
            for layer in self.layers:
                layer.weight.copy_(gain * torch.randn(layer.weight.shape, generator=g, dtype=torch.float64) / math.sqrt(layer.weight.shape[1]))
                layer.bias.copy_(0.1 * torch.randn(layer.bias.shape, generator=g, dtype=torch.float64))

    def forward(self, x):
        for layer in self.layers[:-1]:
            x = torch.tanh(layer(x))
        return self.layers[-1](x)


@pytest.mark.parametrize("alpha, time_mean, fitted, negative", [(1.0, -5.323, 0.951, 0.436), (10.0, 0.959, 0.997, 0.449)])
def test_fidelity_has_theorys_numbers(tmp_path, alpha, time_mean, fitted, negative):
    g = torch.Generator().manual_seed(0)
    x = torch.randn(30, 4, generator=g, dtype=torch.float64)
    y = torch.sin(2 * x[:, 0]) + x[:, 1] * x[:, 2]
    z = torch.randn(120, 4, generator=g, dtype=torch.float64)
    model = Drawn([4, 48, 48, 1], 0, 1.3)
    with torch.no_grad():
        targets = torch.stack([model(x)[:, 0], y], 1)

    def scaled(outputs, targets):
        return 0.5 * (alpha * (outputs[:, 0] - targets[:, 0]) - targets[:, 1]) ** 2

    with pk.record(tmp_path / "run", model=model, optimizer=torch.optim.SGD(model.parameters(), lr=0.15 / alpha**2), loss=scaled, data=(x, targets)) as run:
        run.fit(400, 30, progress=False)
    found = run.fidelity(torch.stack([z[:60], z[60:]], 1).flatten(0, 1), progress=False)  # fitted on theory's first sixty
    path = found.kernels["path"]
    assert (round(path.time_mean, 3), round(path.least_squares, 3), round(path.negative, 3)) == (time_mean, fitted, negative)
    assert found.flow == pytest.approx(1, abs=1e-5 if alpha == 1 else 1e-12)
    for kernel in found.kernels.values():
        assert kernel.tautology < 1e-9, kernel
    assert found.kernels["noise"].least_squares < 0.2 < found.kernels["untrained"].least_squares
    assert math.isnan(found.kernels["gaussian"].time_mean)


def test_fidelity_here_and_in_the_program(tmp_path):
    run = recorded(tmp_path / "run", model=mlp(torch.float64), optimizer=None, data=examples(dtype=torch.float64), epochs=4)
    before = [p.detach().clone() for p in run._trained.network.module.parameters()]
    found = run.fidelity(examples(10, seed=4, dtype=torch.float64)[0], progress=False)
    assert (found.queries, found.examples, found.outputs, found.steps) == (10, 24, 3, 20)
    assert all(a.equal(b) for a, b in zip(before, run._trained.network.module.parameters()))
    assert set(found.kernels) == {"path", "untrained", "trained", "outputs", "gaussian", "noise"}
    with pytest.raises(pk.InvalidInput, match="eight queries or more"):
        run.fidelity(examples(7)[0])

    data = program.write_data(tmp_path / "data")
    program.run("train", "--data", data, "--model", "mlp:6-8-3", "--epochs", 2, "--batch", 8, "--lr", 0.1, "--threads", 1, "--out", tmp_path / "other")
    text = program.run("fidelity", tmp_path / "other", "--queries", "test:0-19", "-o", tmp_path / "f.csv").stdout
    assert "a Gaussian of random numbers" in text and "any kernel gives the same" in text
    told = program.run_json("fidelity", tmp_path / "other", "--queries", "test:0-19")
    assert told["flow"] == pytest.approx(1, abs=1e-4)
    lines = (tmp_path / "f.csv").read_text().splitlines()
    assert [line.split(",")[0] for line in lines[1:]] == [k["kernel"] for k in told["kernels"]]
    assert np.isclose(float(lines[1].split(",")[3]), told["kernels"][0]["time_mean"])
    program.run("train", "--data", data, "--model", "mlp:6-8-3", "--optimizer", "adam", "--epochs", 1, "--batch", 8, "--threads", 1, "--out", tmp_path / "adam")
    assert "no multiple of the gradient" in program.run("fidelity", tmp_path / "adam", "--queries", "test:0-19").stdout
    assert program.run_json("fidelity", tmp_path / "adam", "--queries", "test:0-19")["flow"] is None


def test_fidelity_follows_what_schedulers_do_to_the_momentum(tmp_path):
    """Of a linear model Σ c_i(x) is the change, however the rate and the momentum move along the run, and where the loss is climbed."""
    x, y = examples(dtype=torch.float64)
    for name, options, climbs in (("cycle", {"momentum": 0.9}, False), ("damped", {"momentum": 0.9, "dampening": 0.4}, False), ("up", {"momentum": 0.7, "nesterov": True, "maximize": True}, True)):
        torch.manual_seed(1)
        model = nn.Linear(5, 3).double()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.01, **options)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=0.1, total_steps=12, cycle_momentum=not climbs)

        def loss(outputs, targets, sign=-1 if climbs else 1):
            return sign * nn.functional.cross_entropy(outputs, targets, reduction="none")

        with pk.record(tmp_path / name, model=model, optimizer=optimizer, loss=loss, data=(x, y)) as run:
            run.fit(3, 6, scheduler=schedule, scheduler_every="step", progress=False)
        found = run.fidelity(examples(12, seed=5, dtype=torch.float64)[0], progress=False)
        assert found.flow == pytest.approx(1, abs=1e-12), name
        assert found.kernels["path"].time_mean == pytest.approx(1, abs=1e-12) and found.kernels["path"].negative == found.kernels["trained"].negative, name

    model = nn.Linear(5, 3).double()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    with pk.record(tmp_path / "rests", model=model, optimizer=optimizer, loss=nn.CrossEntropyLoss(), data=(x, y)) as run:
        for s in range(9):
            optimizer.param_groups[0]["momentum"] = 0 if s in (0, 4, 5) else 0.9
            run.step(range(s, s + 8))
    assert run.fidelity(examples(12, seed=5, dtype=torch.float64)[0], progress=False).flow == pytest.approx(1, abs=1e-12)

    model = nn.Linear(5, 3).double()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, dampening=0.5)
    for p in model.parameters():
        optimizer.state[p]["momentum_buffer"] = torch.zeros_like(p)  # so the first step is dampened, too
    run = recorded(tmp_path / "moving", model=model, optimizer=optimizer, data=(x, y), epochs=1)
    assert run.fidelity(examples(12, seed=5, dtype=torch.float64)[0], progress=False).flow == pytest.approx(1, abs=1e-12)

    model = nn.Linear(5, 3).double()
    groups = [{"params": [model.weight], "momentum": 0.5}, {"params": [model.bias]}]
    run = recorded(tmp_path / "two", model=model, optimizer=torch.optim.SGD(groups, lr=0.1, momentum=0.9), data=(x, y), epochs=1)
    with pytest.raises(pk.InvalidInput, match=r"fidelity: at step 0 the optimizer's groups of parameters have different momenta \(0.5 to 0.9\)"):
        run.fidelity(x[:8], progress=False)
    several = [torch.optim.SGD([model.weight], lr=0.1), torch.optim.Adam([model.bias], lr=0.1)]
    run = recorded(tmp_path / "three", model=model, optimizer=several, data=(x, y), epochs=1)
    with pytest.raises(pk.InvalidInput, match="some parameters are trained by SGD and others by Adam"):
        run.fidelity(x[:8], progress=False)


class Attentive(nn.Module):
    """Attention, a smooth activation, and a normalisation written out: torch.func's second derivative of the fused one is wrong (2.13)."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(3)
        self.first, self.attention, self.last = nn.Linear(4, 6), nn.MultiheadAttention(6, 2, batch_first=True), nn.Linear(6, 3)

    def forward(self, x):
        h = self.first(x)
        h = h + self.attention(h, h, h, need_weights=False)[0]
        h = h - h.mean(-1, keepdim=True)
        h = h / (h.square().mean(-1, keepdim=True) + 1e-5).sqrt()
        return self.last(torch.nn.functional.gelu(h).mean(1))


@pytest.mark.parametrize("order", [1, 2])
def test_taylorised_is_what_torch_func_trains(tmp_path, order):
    from torch.func import functional_call, grad, jvp
    model = Attentive().double()
    start = {k: v.detach().clone() for k, v in model.named_parameters()}
    g = torch.Generator().manual_seed(1)
    x, y = torch.randn(12, 5, 4, generator=g, dtype=torch.float64), torch.arange(12) % 3
    run = recorded(tmp_path / "run", model=model, optimizer=torch.optim.Adam(model.parameters(), lr=0.01), data=(x, y), epochs=2, batch_size=4)
    found = run.taylorised((x, y), order=order, count=3, progress=False)

    def polynomial(w, x):
        delta = {k: w[k] - start[k] for k in w}

        def f(p):
            return functional_call(model, p, (x,))

        def along(p):
            return jvp(f, (p,), (delta,))[1]

        value, first = jvp(f, (start,), (delta,))
        return value + first + (jvp(along, (start,), (delta,))[1] / 2 if order == 2 else 0)

    with torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH):
        w = {k: v.clone().requires_grad_() for k, v in start.items()}
        optimizer = torch.optim.Adam(w.values(), lr=0.01)
        for s in range(6):
            rows = run.logged(s)["indices"]
            slopes = grad(lambda w: nn.functional.cross_entropy(polynomial(w, x[rows]), y[rows]))({k: v.detach() for k, v in w.items()})
            for k in w:
                w[k].grad = slopes[k]
            optimizer.step()
            if s == 2:
                assert np.allclose(found.taylor_outputs[1], polynomial({k: v.detach() for k, v in w.items()}, x).numpy(), atol=1e-9)
        assert np.allclose(found.taylor_outputs[2], polynomial({k: v.detach() for k, v in w.items()}, x).numpy(), atol=1e-9)
    with torch.no_grad():
        assert np.allclose(found.outputs[2], model(x).numpy(), atol=1e-12)
    assert [m.step for m in found.moments] == [0, 3, 6] and 0 < found.moments[-1].distance < 1


def test_taylorised_here_and_in_the_program(tmp_path):
    run = recorded(tmp_path / "run", model=mlp(torch.float64), data=examples(dtype=torch.float64))
    with pytest.raises(pk.InvalidInput, match="the targets of the probe are needed"):
        run.taylorised(examples(8)[0])
    with pytest.raises(pk.InvalidInput, match="the order is 3"):
        run.taylorised(examples(8), order=3)
    with pytest.raises(pk.InvalidInput, match="labels from 0 to 8 do not fit a network with 3 outputs"):
        run.taylorised((examples(9)[0], torch.arange(9)), progress=False)
    with pytest.raises(pk.InvalidInput, match="kernel_evolution: labels from 0 to 8 do not fit a network with 3 outputs"):
        run.kernel_evolution((examples(9)[0], torch.arange(9)), progress=False)

    data = program.write_data(tmp_path / "data")
    program.run("train", "--data", data, "--model", "mlp:6-8-3", "--epochs", 2, "--batch", 8, "--lr", 0.1, "--threads", 1, "--out", tmp_path / "other")
    text = program.run("taylorise", tmp_path / "other", "--order", 2, "--probe", "test:all", "--count", 3, "-o", tmp_path / "t.csv").stdout
    assert "quadratic network are off by" in text
    told = program.run_json("taylorise", tmp_path / "other", "--probe", "test:all", "--steps", "0,3,9-10")
    assert [m["step"] for m in told["moments"]] == [0, 3, 9, 10] and told["order"] == 1
    assert 0 < told["moments"][-1]["distance"] < 0.5
    assert len((tmp_path / "t.csv").read_text().splitlines()) == 4
    assert "step 11 was asked for" in program.run("taylorise", tmp_path / "other", "--probe", "test:all", "--steps", "11", code=3).stderr


def test_probes_are_finite(tmp_path):
    run = recorded(tmp_path / "run", model=mlp(torch.float64), data=examples(dtype=torch.float64))
    x, y = examples(8, dtype=torch.float64)
    x[5, 2] = torch.nan
    with pytest.raises(pk.InvalidInput, match="kernel_evolution: the inputs to look at hold NaN or an infinite number in row 5"):
        run.kernel_evolution((x, y), progress=False)
    with pytest.raises(pk.InvalidInput, match="taylorised: the inputs to compare on hold NaN or an infinite number in row 5"):
        run.taylorised((x, y), progress=False)


def test_a_run_that_went_wrong_is_neither_lazy_nor_active(tmp_path):
    """A loss that rose by 44 decimal places, and with it the Jacobian, is no lazy training; and its numbers are no rows of digits."""
    data = program.write_data(tmp_path / "data")
    for name, rate, code in (("wrong", 1e4, 5), ("right", 0.3, 0)):
        program.run("train", "--data", data, "--model", "mlp:6-16-3", "--epochs", 20, "--batch", 8, "--lr", rate, "--threads", 1, "--out", tmp_path / name, code=code)
    ask = ("--probe", "train:all", "--count", 3)
    wrong = program.run("evolution", tmp_path / "wrong", *ask).stdout
    assert "its loss did not fall, so that the training was neither lazy nor active" in wrong and "lazy training" not in wrong
    assert "inf" not in wrong and "nan" not in wrong and max(map(len, re.findall(r"[0-9.]+", wrong))) <= 10, wrong
    right = program.run("evolution", tmp_path / "right", *ask).stdout
    assert "active training, the kernel is learned too" in right
    (tmp_path / "probe.npy").write_bytes((data / "test_x.npy").read_bytes())
    for command in ("evolution", "taylorise", "fidelity", "tangent"):
        which = {"tangent": "--x", "fidelity": "--queries"}.get(command, "--probe")
        refused = program.run(command, tmp_path / "right", which, tmp_path / "probe.npy", "-o", tmp_path / "probe.npy", code=3).stderr
        assert "is an input, and would be overwritten" in refused
    huge = program.run("fidelity", tmp_path / "wrong", "--queries", "test:all").stdout
    assert max(map(len, re.findall(r"[0-9.]+", huge))) <= 10, huge


def test_labels_that_do_not_count_are_left_out(tmp_path):
    """A loss's ignore_index, in the probe: the mean is over the others."""
    x, y = examples(dtype=torch.float64)
    run = recorded(tmp_path / "run", model=mlp(torch.float64), loss=nn.CrossEntropyLoss(ignore_index=7), data=(x, torch.where(torch.arange(24) % 5 == 0, 7, y)))
    labels = torch.where(torch.arange(12) < 4, 7, y[:12])
    probe = x[:12] + 0.1
    last = run.kernel_evolution((probe, labels), count=2, progress=False)[-1]
    with torch.no_grad():
        expected = nn.functional.cross_entropy(run._trained.network.module(probe), labels, ignore_index=7).item()
    assert last.loss == pytest.approx(expected, rel=1e-12)
    assert math.isnan(last.label_alignment)
    assert run.taylorised((probe, labels), count=2, progress=False).moments[-1].loss == pytest.approx(expected, rel=1e-12)


class Scaled(nn.Module):
    """alpha (f - f_0)."""

    def __init__(self, network, alpha):
        super().__init__()
        self.network, self.alpha = network, alpha
        self.start = [copy.deepcopy(network)]  # in a list: it does not learn

    def forward(self, x):
        with torch.no_grad():
            start = self.start[0](x)
        return self.alpha * (self.network(x) - start)


def theorys_problem():
    g = torch.Generator().manual_seed(0)
    x = torch.randn(24, 5, generator=g, dtype=torch.float64)
    return x, torch.sign(x[:, :1] * x[:, 1:2]), Drawn([5, 64, 64, 1], 0, 1.3)


#: step: S(K_t, K_0), entropy rank, participation, stable rank, label alignment, Δ(Df), Δ(L), lazy ratio, linearisation's error — the digits of theory 10
EVOLUTION = {1: {10: ("2.04e-04", 7.92, 5.59, 3.69, 0.063, 0.0722, 0.294, 0.2457, 0.0189), 50: ("1.08e-03", 7.97, 5.61, 3.69, 0.066, 0.2221, 0.664, 0.3347, 0.1307),
                 200: ("2.71e-03", 8.29, 5.82, 3.82, 0.074, 0.4215, 0.939, 0.4487, 0.2766), 1500: ("4.58e-03", 8.72, 6.09, 3.97, 0.079, 0.5394, 1.000, 0.5394, 0.3504)},
             30: {10: ("1.94e-07", 7.9, 5.57, 3.67, 0.06, 0.0024, 0.288, 0.0082, 0.0005), 50: ("1.40e-06", 7.9, 5.57, 3.67, 0.06, 0.0072, 0.629, 0.0114, 0.0032),
                  200: ("6.77e-06", 7.9, 5.57, 3.67, 0.06, 0.0151, 0.906, 0.0167, 0.012), 1500: ("1.55e-05", 7.91, 5.58, 3.67, 0.061, 0.0229, 1.000, 0.0229, 0.0226)}}


@pytest.mark.parametrize("alpha", EVOLUTION)
def test_kernel_evolution_has_theorys_numbers(tmp_path, alpha):
    x, y, network = theorys_problem()
    K = pk.tangent_kernel(network, x, form="trace")
    rate = 0.5 / float(torch.linalg.eigvalsh(K)[-1]) * 24
    model = Scaled(network, alpha)

    def half_square(outputs, targets):
        return 0.5 * (outputs - targets)[:, 0] ** 2

    with pk.record(tmp_path / "run", model=model, optimizer=torch.optim.SGD(model.parameters(), lr=rate / alpha**2), loss=half_square, data=(x, y)) as run:
        run.fit(1500, 24, progress=False)
    moments = {m.step: m for m in run.kernel_evolution((x, y), steps=(0, *EVOLUTION[alpha]), progress=False)}
    for step, (distance, *numbers) in EVOLUTION[alpha].items():
        m = moments[step]
        assert f"{m.distance:.2e}" == distance
        found = (m.rank_entropy, m.rank_participation, m.rank_stable, m.label_alignment, m.change_of_kernel, m.change_of_loss, m.lazy_ratio, m.linearisation_error)
        assert [round(v, d) for v, d in zip(found, (2, 2, 2, 3, 4, 3, 4, 4))] == list(numbers), (step, found)


def test_velocity_is_theorys(tmp_path):
    """‖K̇‖/‖K‖ at the start of gradient flow on ½(f − y)², from a step so small that it is one."""
    x, y, network = theorys_problem()
    with pk.record(tmp_path / "run", model=network, optimizer=torch.optim.SGD(network.parameters(), lr=1e-6), loss=lambda f, y: 0.5 * (f - y)[:, 0] ** 2, data=(x, y)) as run:
        run.fit(1, 24, progress=False)
    assert run.kernel_evolution((x, y), steps=(0,), progress=False)[0].velocity == pytest.approx(0.7379220961871539, rel=1e-4)
