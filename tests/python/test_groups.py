"""Groups of parameters with settings of their own: what a group climbs, clipped; scores that weigh each group by its learning rate."""

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


def network():
    torch.manual_seed(1)
    return nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 3)).double()


def examples(n=16, seed=0):
    g = torch.Generator().manual_seed(seed)
    return torch.randn(n, 4, generator=g, dtype=torch.float64), torch.arange(n) % 3


@pytest.mark.parametrize("clip", [{"clip_norm": 0.1}, {"clip_value": 0.02}])
@pytest.mark.parametrize("optimizer", [lambda p: torch.optim.SGD(p, lr=0.05, momentum=0.9, weight_decay=0.1, maximize=True), lambda p: torch.optim.AdamW(p, lr=0.01, maximize=True)])
def test_climbing_and_clipped(tmp_path, optimizer, clip):
    model, data = network(), examples()
    with pk.record(tmp_path / "run", model=model, optimizer=optimizer(model.parameters()), loss=nn.CrossEntropyLoss(), data=data, **clip) as run:
        run.fit(epochs=3, batch_size=5, progress=False)
    ledger = run.explain(data[0][:3], "logits", progress=False)
    assert (np.abs(ledger.residual) <= 1e-12 * np.abs(ledger.contributions).sum(0)).all() and np.abs(ledger.rounding).max() < 1e-12
    loss = run.explain(data, "loss", aggregate="mean", progress=False)
    assert loss.contributions.sum() > 0, "examples push the loss up where the optimizer climbs"


@pytest.mark.parametrize("order", [1, -1])
def test_tracin_weighs_each_group_by_its_learning_rate(tmp_path, order):
    """Σ_c −η_c ⟨∇ℓ_i, ∇m_q⟩ with η of each parameter's own group, whichever comes first; negative where a group climbs."""
    model, data, (queries, _) = network(), examples(), examples(3, 5)
    groups = [{"params": list(model[0].parameters()), "lr": 0.1}, {"params": list(model[2].parameters()), "lr": 0.3, "maximize": True}][::order]
    with pk.record(tmp_path / "run", model=model, optimizer=torch.optim.SGD(groups, lr=1.0), loss=nn.CrossEntropyLoss(), data=data, checkpoint_every=2) as run:
        run.fit(epochs=1, batch_size=4, progress=False)
    scores = run.tracin(queries, "logit:1", checkpoints=1, progress=False)  # of the final network

    def gradients(value):
        return torch.autograd.grad(value, list(model.parameters()))

    eta = [0.1, 0.1, -0.3, -0.3]
    asked = [gradients(model(q[None])[0, 1]) for q in queries]
    for i, (x, y) in enumerate(zip(*data)):
        g = gradients(F.cross_entropy(model(x[None]), y[None]))
        for q, h in enumerate(asked):
            assert scores.contributions[i, q] == pytest.approx(-sum(e * float((a * b).sum()) for e, a, b in zip(eta, g, h)), rel=1e-10, abs=1e-14)
