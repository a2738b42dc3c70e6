"""Parameters whose gradient is nothing but what is left of terms that cancel, under optimizers that divide by its size."""

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

OPTIMIZERS = {
    "adagrad": lambda p: torch.optim.Adagrad(p, lr=0.01),
    "rmsprop": lambda p: torch.optim.RMSprop(p, lr=0.01),
    "rmsprop, momentum": lambda p: torch.optim.RMSprop(p, lr=0.01, momentum=0.9),
    "nadam": lambda p: torch.optim.NAdam(p, lr=0.01),
    "adadelta": lambda p: torch.optim.Adadelta(p, lr=0.5),
    "adamw": lambda p: torch.optim.AdamW(p, lr=0.01),
}


class Attention(nn.Module):
    """The keys' bias moves all logits of a query alike, which softmax does not see: its gradient is zero but for rounding."""

    def __init__(self):
        super().__init__()
        self.attention, self.head = nn.MultiheadAttention(8, 2, batch_first=True), nn.Linear(8, 3)

    def forward(self, x):
        return self.head(self.attention(x, x, x, need_weights=False)[0].mean(1))


def normed(bias=True):
    """So does batch norm not see a bias before it."""
    return nn.Sequential(nn.Linear(8, 16, bias=bias), nn.BatchNorm1d(16), nn.Tanh(), nn.Linear(16, 3))


def ledger_of(folder, model, optimizer, inputs, dtype, precision):
    model, data = model.to(dtype), (inputs.to(dtype), torch.arange(len(inputs)) % 3)
    with pk.record(folder, model=model, optimizer=optimizer(model.parameters()), loss=nn.CrossEntropyLoss(), data=data) as run:
        run.fit(epochs=2, batch_size=16, progress=False)
    return run.explain(data[0][:3], "logit:1", precision=precision, progress=False)


def assert_complete(ledger, tolerance, folder):
    assert (np.abs(ledger.residual) <= tolerance * np.abs(ledger.contributions).sum(0)).all() and ledger.certificate.replay_exact
    ledger.save(folder)
    assert np.array_equal(pk.load_ledger(folder).contributions, ledger.contributions)  # reading checks that every view adds up


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_bias_that_softmax_does_not_see(tmp_path, name, dtype):
    torch.manual_seed(0)
    inputs = torch.randn(48, 6, 8)
    ledger = ledger_of(tmp_path / "run", Attention(), OPTIMIZERS[name], inputs, dtype, None)
    assert_complete(ledger, 1e-6 if dtype == torch.float32 else 1e-12, tmp_path / "ledger")


@pytest.mark.parametrize("precision", ["float", "double"])
@pytest.mark.parametrize("name", ["adamw", "rmsprop", "adagrad"])
def test_a_bias_that_batch_norm_does_not_see(tmp_path, name, precision):
    """What its rounding did to the weights is the run's rounding, not a share that nobody has."""
    torch.manual_seed(3)
    inputs = torch.randn(96, 8)
    ledger = ledger_of(tmp_path / "run", normed(), OPTIMIZERS[name], inputs, torch.float32, precision)
    assert_complete(ledger, 1e-6 if precision == "float" else 1e-12, tmp_path / "ledger")
    assert np.abs(ledger.rounding).max() > 1e-6


def test_without_it_nothing_is_rounded_away(tmp_path):
    torch.manual_seed(3)
    inputs = torch.randn(96, 8)
    ledger = ledger_of(tmp_path / "run", normed(bias=False), OPTIMIZERS["adamw"], inputs, torch.float64, None)
    assert_complete(ledger, 1e-12, tmp_path / "ledger")
    assert np.abs(ledger.rounding).max() < 1e-9
