"""torch.optim.Muon, and several optimizers over one model: steps as torch makes them, complete, shares equal to a split of every state by force."""

import copy
import os
import pathlib
import sys

import numpy as np
import pytest
import torch
import torch.nn as nn
import torch.nn.functional as F

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(pathlib.Path(os.environ.get("PATHKERNEL_BUILD", ROOT / "build")) / "python"))
import pathkernel as pk  # noqa: E402
from pathkernel import _engine  # noqa: E402

NS = (3.4445, -4.7750, 2.0315)


def examples(n=24, seed=0, dtype=torch.float64):
    g = torch.Generator().manual_seed(seed)
    return torch.randn(n, 5, generator=g, dtype=dtype), torch.arange(n) % 3


def network(dtype=torch.float64):
    """A tall matrix, a wide one, and vectors beside them."""
    torch.manual_seed(1)
    return nn.Sequential(nn.Linear(5, 8, bias=False), nn.Tanh(), nn.Linear(8, 6), nn.Tanh(), nn.Linear(6, 3)).to(dtype)


def optimizers(model, **muon):
    """As Muon is used: matrices of hidden layers, and another optimizer for the rest."""
    hidden = [model[0].weight, model[2].weight]
    rest = [model[2].bias, *model[4].parameters()]
    return [torch.optim.Muon(hidden, **{"lr": 0.05, "weight_decay": 0.1, **muon}), torch.optim.AdamW(rest, lr=0.02, weight_decay=0.05)]


def recorded(folder, model, optimizer, data, epochs=3, batch_size=7, **options):
    with pk.record(folder, model=model, optimizer=optimizer, loss=nn.CrossEntropyLoss(), data=data, **options) as run:
        run.fit(epochs, batch_size, progress=False)
    return run


def assert_complete(ledger, tolerance):
    size = np.abs(ledger.contributions).sum(0)
    assert (np.abs(ledger.residual) <= tolerance * size).all(), np.abs(ledger.residual) / size
    assert ledger.certificate.replay_exact and ledger.certificate.optimizer_mismatch <= 1


VARIANTS = {
    "as torch has it": {},
    "without Nesterov": {"nesterov": False},
    "scaled as AdamW": {"adjust_lr_fn": "match_rms_adamw", "momentum": 0.3},
    "without decay": {"weight_decay": 0.0},
    "three steps of another polynomial": {"ns_steps": 3, "ns_coefficients": (2.0, -1.5, 0.5), "eps": 1e-5},
}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("variant", VARIANTS)
def test_is_complete(tmp_path, variant, dtype):
    model, data = network(dtype), examples(dtype=dtype)
    theirs = copy.deepcopy(model)
    run = recorded(tmp_path / "run", model, optimizers(model, **VARIANTS[variant]), data)
    by_hand = optimizers(theirs, **VARIANTS[variant])
    for s in range(run.steps):
        rows = run.logged(s)["indices"]
        for o in by_hand:
            o.zero_grad()
        F.cross_entropy(theirs(data[0][rows]), data[1][rows]).backward()
        for o in by_hand:
            o.step()
    assert all(torch.allclose(a, b, rtol=1e-4, atol=1e-5) for a, b in zip(model.parameters(), theirs.parameters()))
    assert run.verify(progress=False) == 12
    for precision in ("double",) if dtype == torch.float64 else ("float", "double"):
        for convention in ("propagate", "ledger"):
            ledger = run.explain(examples(4, 3, dtype), "logits", precision=precision, convention=convention, progress=False)
            assert_complete(ledger, 1e-6 if precision == "float" else 1e-12)
            assert 1e-6 < np.abs(ledger.rounding).max() < 0.5 * np.abs(ledger.contributions).sum(0).max()  # what bfloat16 made of the matrices, said


def test_with_momentum_factored_and_sets_and_an_average(tmp_path):
    """Without decay and Nesterov the matrix's pushes stay factored; a set of queries and an average take the dense ways."""
    model = network()
    run = recorded(tmp_path / "run", model, optimizers(model, weight_decay=0.0, nesterov=False), examples(), ema=0.8, clip_norm=0.5)
    queries = examples(6, 3)
    for network_asked in ("weights", "average"):
        one = run.explain(queries, "logit:1", network=network_asked, progress=False)
        assert_complete(one, 1e-12)
        mean = run.explain(queries, "logit:1", network=network_asked, aggregate="mean", progress=False)
        assert np.allclose(mean.contributions[:, 0], one.contributions.mean(1), atol=1e-12)


def exact_matrix(n, steps=5):
    """S of the step, from the singular value decomposition."""
    small = n.T if n.shape[0] > n.shape[1] else n
    u, sigma, _ = torch.linalg.svd(small, full_matrices=False)
    x = sigma / n.norm()
    slope = torch.ones_like(x)
    for _ in range(steps):
        y = slope * x
        slope = slope * (NS[0] + NS[1] * y**2 + NS[2] * y**4)
    return u @ torch.diag(slope / n.norm()) @ u.T


def times(S, pieces):
    return pieces @ S if pieces.shape[1] > pieces.shape[2] else S @ pieces


def split_by_force(folder, model, data, queries, steps, lr, mu, decay):
    """Every state as a sum of pieces, one per draw, one for the initial weights, one for what is rounding; [D + 2, Q] of logit 1."""
    recording = _engine.Recording(str(folder))
    names = [name for name, _ in model.named_parameters()]
    at = [dict(recording.parameters(s)) for s in range(steps + 1)]
    draws = [recording.step(s)["indices"] for s in range(steps)]
    D, (x, y) = sum(map(len, draws)), data
    memory = {k: torch.zeros(D + 2, *at[0][k].shape, dtype=torch.float64) for k in names}
    weights = {k: v.clone() for k, v in memory.items()}
    for k in names:
        weights[k][D] = at[0][k]
    nodes, gauss = np.polynomial.legendre.leggauss(16)
    split, first = torch.zeros(D + 2, len(queries), dtype=torch.float64), 0

    def loss_of_one(w, xi, yi):
        return F.cross_entropy(torch.func.functional_call(model, w, (xi[None],)), yi[None])

    for s, rows in enumerate(draws):
        now, then = at[s], at[s + 1]
        g = torch.func.vmap(torch.func.grad(loss_of_one), (None, 0, 0))({k: now[k] for k in names}, x[rows], y[rows])
        G = {k: torch.zeros(len(queries), *now[k].shape, dtype=torch.float64) for k in names}
        for node, weight in zip(nodes, gauss):
            w = {k: now[k] + (then[k] - now[k]) * (node + 1) / 2 for k in names}
            jacobian = torch.func.jacrev(lambda w: torch.func.functional_call(model, w, (queries,))[:, 1])(w)
            for k in names:
                G[k] += weight / 2 * jacobian[k]
        for k in names:
            u = torch.zeros_like(memory[k])
            u[first : first + len(rows)] = g[k] / len(rows)
            if now[k].ndim == 2:
                memory[k] = mu * memory[k] + (1 - mu) * u
                n = mu * memory[k] + (1 - mu) * u
                eta = lr * max(1, now[k].shape[0] / now[k].shape[1]) ** 0.5
                delta = -eta * times(exact_matrix(n.sum(0)), n) - lr * decay * weights[k]
            else:
                memory[k] = 0.9 * memory[k] + u
                delta = -lr * memory[k]
            delta[D + 1] += then[k] - now[k] - delta.sum(0)
            weights[k] = weights[k] + delta
            split += torch.einsum("dw,qw->dq", delta.flatten(1), G[k].flatten(1))
        first += len(rows)
    return split, torch.cat(draws)


def test_shares_equal_a_split_of_every_state(tmp_path):
    torch.manual_seed(2)
    model = nn.Sequential(nn.Linear(5, 8, bias=False), nn.Tanh(), nn.Linear(8, 6, bias=False), nn.Tanh(), nn.Linear(6, 3)).double()
    matrices, vectors = [p for p in model.parameters() if p.ndim == 2], [p for p in model.parameters() if p.ndim != 2]
    data, (queries, _) = examples(18), examples(3, 4)
    given = [torch.optim.Muon(matrices, lr=0.05, momentum=0.9, weight_decay=0.2), torch.optim.SGD(vectors, lr=0.05, momentum=0.9)]
    run = recorded(tmp_path / "run", model, given, data, checkpoint_every=1)
    split, drawn = split_by_force(tmp_path / "run", model, data, queries, run.steps, 0.05, 0.9, 0.2)
    shares = torch.zeros(18, 3, dtype=torch.float64).index_add_(0, drawn, split[:-2]).numpy()
    ledger = run.explain((queries, torch.zeros(3, dtype=torch.long)), "logit:1", rule="gauss:16", progress=False)
    assert np.abs(shares).max() > 1e-2 and split[-1].abs().max() > 1e-4
    assert np.abs(ledger.contributions - shares).max() <= 1e-10
    assert np.abs(ledger.decay - split[-2].numpy()).max() <= 1e-10
    assert np.abs(ledger.rounding - split[-1].numpy()).max() <= 1e-10


def test_several_optimizers_are_resumed_scheduled_and_recognised(tmp_path):
    whole = network()
    expected = recorded(tmp_path / "whole", whole, optimizers(whole), examples())

    def schedulers(given):
        return [torch.optim.lr_scheduler.LambdaLR(o, lambda e: 0.5**e) for o in given]

    cut = network()
    with pytest.raises(KeyboardInterrupt), pk.record(tmp_path / "cut", model=cut, optimizer=optimizers(cut), loss=nn.CrossEntropyLoss(), data=examples()) as run:
        run.fit(1, 7, progress=False)
        raise KeyboardInterrupt
    again = network()
    with pk.resume(tmp_path / "cut", model=again, optimizer=optimizers(again), loss=nn.CrossEntropyLoss(), data=examples(), progress=False) as run:
        run.fit(3, 7, progress=False)
    assert all(torch.equal(a, b) for a, b in zip(again.parameters(), whole.parameters()))

    model = network()
    given = optimizers(model)
    with pk.record(tmp_path / "scheduled", model=model, optimizer=given, loss=nn.CrossEntropyLoss(), data=examples()) as run:
        run.fit(2, 7, scheduler=schedulers(given), progress=False)
    assert [g["lr"] for o in given for g in o.param_groups] == [0.05 / 4, 0.02 / 4]
    assert run.verify(progress=False) == 8

    with run_own_loop(tmp_path / "own", network()) as own:
        assert own.verify(progress=False) == 4

    model = network()
    parts = {"model": model, "loss": nn.CrossEntropyLoss(), "data": examples()}
    muon, adamw = optimizers(model)
    with pytest.raises(pk.InvalidInput, match="optimizer's name is adamw, but muon was recorded"):
        pk.open(expected.folder, optimizer=[adamw, muon], **parts)
    other = torch.optim.Adam([model[2].bias, *model[4].parameters()])
    with pytest.raises(pk.InvalidInput, match="group 1 belongs to Adam, but to AdamW"):
        pk.open(expected.folder, optimizer=[muon, other], **parts).verify(progress=False)
    with pytest.raises(pk.InvalidInput, match="optimizer's ns_steps of group 0 is"):
        pk.open(expected.folder, optimizer=optimizers(model, ns_steps=3), **parts)
    with pytest.raises(pk.InvalidInput, match="belongs to group 0 as well"):
        pk.record(tmp_path / "both", optimizer=[muon, torch.optim.AdamW(model.parameters())], **parts)
    with pytest.raises(pk.InvalidInput, match="'2.bias' of the model is not among"):
        pk.record(tmp_path / "missing", optimizer=[muon], **parts)
    with pytest.raises(pk.InvalidInput, match="optimizer is a str"):
        pk.record(tmp_path / "text", optimizer=["muon"], **parts)
    with pytest.raises(pk.InvalidInput, match="empty list"):
        pk.record(tmp_path / "none", optimizer=[], **parts)


def run_own_loop(folder, model):
    """Steps that the caller makes; the run itself is returned, closed."""
    x, y = examples()
    given = optimizers(model)
    with pk.record(folder, model=model, optimizer=given, loss=nn.CrossEntropyLoss(), data=(x, y)) as run:
        for rows in torch.arange(24).split(6):
            with run.recording(rows):
                for o in given:
                    o.zero_grad()
                F.cross_entropy(model(x[rows]), y[rows]).backward()
                for o in given:
                    o.step()
    return run
