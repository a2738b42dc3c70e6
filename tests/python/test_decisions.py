"""Measurements that are decisions themselves: all of their change is jumps. And constants of another precision in a rule."""

import os
import pathlib
import sys

import numpy as np
import pytest
import torch
import torch.nn as nn

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(pathlib.Path(os.environ.get("PATHKERNEL_BUILD", ROOT / "build")) / "python"))
import pathkernel as pk  # noqa: E402


@pytest.fixture
def trained(tmp_path):
    torch.manual_seed(0)
    data = torch.randn(30, 4, dtype=torch.float64), torch.arange(30) % 3
    model = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 3)).double()
    with pk.record(tmp_path / "run", model=model, optimizer=torch.optim.SGD(model.parameters(), lr=0.5), loss=nn.CrossEntropyLoss(), data=data) as run:
        run.fit(epochs=4, batch_size=6, progress=False)
    return run, data


MEASURES = {
    "right or wrong": lambda o, b: (o.argmax(1) == b.targets).double(),
    "the class": lambda o, b: o.argmax(1).double(),
    "rounded": lambda o, b: (o * 4).round(),
    "sign": lambda o, b: o[:, :2].sign(),
    "where": lambda o, b: torch.where(o[:, 0] > o[:, 1], 1.0, 0.0).double(),
    "second": lambda o, b: o.topk(2).indices[:, 1].double(),
}


@pytest.mark.parametrize("name", MEASURES)
def test_what_is_a_decision_jumps(trained, name):
    run, data = trained
    ledger = run.explain(data, MEASURES[name], progress=False)
    assert np.abs(ledger.jumps).max() >= 1 and np.array_equal(ledger.jumps, ledger.final - ledger.initial)
    assert np.abs(ledger.residual).max() == 0 and np.abs(ledger.contributions).max() == 0
    with_slope = run.explain(data, lambda o, b: (o.argmax(1) == b.targets).double() + o[:, 0], progress=False)
    right = run.explain(data, MEASURES["right or wrong"], progress=False)
    assert np.allclose(with_slope.jumps, right.jumps, rtol=0, atol=1e-3) and np.abs(with_slope.contributions).max() > 0.01


def test_a_residual_that_nobody_explains_is_said(trained):
    """The left rule has no jumps: what it misses of a decision is all there is."""
    run, data = trained
    ledger = run.explain(data, MEASURES["right or wrong"], rule="left", progress=False)
    changed = ledger.final != ledger.initial
    assert changed.any() and np.isinf(ledger.certificate.residual_to_contributions[changed]).all() and "adds up to inf" in str(ledger.certificate)


class Pooled(nn.Module):
    """A mean over what a mask leaves, the mask in float32."""

    def __init__(self, how):
        super().__init__()
        self.first, self.head, self.how = nn.Linear(4, 8), nn.Linear(8, 3), how
        self.register_buffer("scale", torch.tensor([0.3, 0.7, 1.1, 1.3, 1.7, 1.9, 2.3, 2.9]))

    def forward(self, x):
        h = torch.tanh(self.first(x))
        if self.how == "mask":
            mask = (x[..., 0] > -1).float()
            return self.head((h * mask[..., None]).sum(1) / mask.sum(1, keepdim=True).clamp(min=1))
        return self.head((h / self.scale).mean(1))


@pytest.mark.parametrize("how", ["mask", "scale"])
def test_constants_of_another_precision(tmp_path, how):
    torch.manual_seed(0)
    data = torch.randn(30, 5, 4, dtype=torch.float64), torch.arange(30) % 3
    model = Pooled(how).double()
    model.scale = model.scale.float()
    with pk.record(tmp_path / "run", model=model, optimizer=torch.optim.AdamW(model.parameters(), lr=0.01), loss=nn.CrossEntropyLoss(), data=data) as run:
        run.fit(epochs=2, batch_size=6, progress=False)
    ledger = run.explain(data[0][:4], "logits", progress=False)
    assert (np.abs(ledger.residual) <= 1e-12 * np.abs(ledger.contributions).sum(0)).all()
