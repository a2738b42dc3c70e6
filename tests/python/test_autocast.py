"""Training under torch.autocast: the path is what it was, bit for bit; it is explained in whole numbers, and what half precision did is said as rounding."""

import contextlib
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


class Net(nn.Module):
    """Convolution, norm, attention, dense layers; batch norm where asked."""

    def __init__(self, inside=False, batch_norm=False):
        super().__init__()
        torch.manual_seed(1)
        self.inside = inside
        self.conv, self.normed = nn.Conv1d(3, 8, 3, padding=1), nn.BatchNorm1d(8) if batch_norm else nn.GroupNorm(2, 8)
        self.norm, self.attention, self.out = nn.LayerNorm(8), nn.MultiheadAttention(8, 2, batch_first=True), nn.Linear(8, 3)

    def compute(self, x):
        h = F.gelu(self.normed(self.conv(x))).transpose(1, 2)
        h = h + self.attention(self.norm(h), self.norm(h), self.norm(h), need_weights=False)[0]
        return self.out(h.mean(1))

    def forward(self, x):
        with torch.autocast("cpu", torch.bfloat16, enabled=True) if self.inside else contextlib.nullcontext():
            return self.compute(x)


def examples(n=24, seed=0):
    g = torch.Generator().manual_seed(seed)
    return torch.randn(n, 3, 6, generator=g), torch.arange(n) % 3


def adamw(model):
    return torch.optim.AdamW(model.parameters(), lr=0.01, weight_decay=0.05)


def by_hand(model, rows_of_steps):
    """The loop of torch's own guide to autocast."""
    (x, y), optimizer = examples(), adamw(model)
    for rows in rows_of_steps:
        optimizer.zero_grad()
        with torch.autocast("cpu", torch.bfloat16):
            loss = F.cross_entropy(model(x[rows]), y[rows])
        loss.backward()
        optimizer.step()
    return model


def assert_complete(ledger, tolerance):
    assert (np.abs(ledger.residual) <= tolerance * np.abs(ledger.contributions).sum(0)).all(), np.abs(ledger.residual) / np.abs(ledger.contributions).sum(0)
    assert ledger.certificate.replay_exact and ledger.certificate.optimizer_mismatch <= 1


@pytest.mark.parametrize("where", ["around the model", "inside the model", "steps of the caller's own"])
def test_the_path_is_torchs_and_rounding_is_said(tmp_path, where):
    (x, y), model, inside = examples(), Net(inside=where == "inside the model"), where == "inside the model"
    optimizer = adamw(model)
    steps = list(torch.arange(24).repeat(3).split(6))
    options = {} if inside else {"autocast": torch.bfloat16}
    with pk.record(tmp_path / "run", model=model, optimizer=optimizer, loss=nn.CrossEntropyLoss(), data=(x, y), **options) as run:
        for rows in steps:
            if "own" not in where:
                run.step(rows)
                continue
            with run.recording(rows):
                optimizer.zero_grad()
                with torch.autocast("cpu", torch.bfloat16):
                    loss = F.cross_entropy(model(x[rows]), y[rows])
                loss.backward()
                optimizer.step()
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), by_hand(Net(), steps).parameters()))

    again = Net(inside)
    opened = pk.open(tmp_path / "run", model=again, optimizer=adamw(again), loss=nn.CrossEntropyLoss(), data=(x, y))
    assert opened.verify(progress=False) == 12
    queries, plain = examples(4, 3), Net()
    plain.load_state_dict(model.state_dict())
    final = plain.double()(queries[0].double()).detach().flatten()
    for precision in ("float", "double"):
        ledger = opened.explain(queries, "logits", precision=precision, progress=False)
        assert_complete(ledger, 1e-6 if precision == "float" else 1e-12)
        assert np.allclose(ledger.final, final, atol=1e-5)  # the weights of the path, in whole numbers
        share = np.abs(ledger.rounding) / np.abs(ledger.contributions).sum(0)
        assert share.max() > 5e-6 and share.max() < 0.05, share  # float32 alone: below 1e-6


def test_half_precision_changes_shares_by_its_rounding_only(tmp_path):
    """A first step is the same path in both: shares of it differ by half precision's rounding."""
    x, y = examples()
    shares = []
    for name, options in (("half", {"autocast": torch.bfloat16}), ("whole", {})):
        model = Net()
        with pk.record(tmp_path / name, model=model, optimizer=torch.optim.SGD(model.parameters(), lr=0.1), loss=nn.CrossEntropyLoss(), data=(x, y), **options) as run:
            run.step(range(12))
        shares.append(run.explain(examples(4, 3), "logits", progress=False).contributions)
    assert 1e-5 < np.abs(shares[0] - shares[1]).max() / np.abs(shares[1]).max() < 0.03


def test_with_batch_norm_in_training_mode(tmp_path):
    model = Net(batch_norm=True)
    with pk.record(tmp_path / "run", model=model, optimizer=adamw(model), loss=nn.CrossEntropyLoss(), data=examples(), autocast=torch.bfloat16) as run:
        run.fit(3, 6, progress=False)
    assert run.verify(progress=False) == 12
    ledger = run.explain(examples(4, 3), "logits", progress=False)
    assert_complete(ledger, 1e-6)
    share = np.abs(ledger.rounding) / np.abs(ledger.contributions).sum(0)
    assert (share > 1e-6).all() and (share < 0.1).all(), share


def test_other_half_precision_is_refused(tmp_path):
    model = Net()
    with pytest.raises(pk.InvalidInput, match="torch.bfloat16 is expected"):
        pk.record(tmp_path / "run", model=model, optimizer=adamw(model), loss=nn.CrossEntropyLoss(), data=examples(), autocast=torch.float16)


NORMED = {
    "rows": lambda: nn.Sequential(nn.Linear(48, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Linear(32, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Linear(32, 3)),
    "pooled": lambda: nn.Sequential(nn.Unflatten(1, (3, 4, 4)), nn.Conv2d(3, 6, 3, padding=1, bias=False), nn.BatchNorm2d(6), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(24, 3)),
}


@pytest.mark.parametrize("optimizer", [lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9), lambda p: torch.optim.AdamW(p, lr=0.01)])
@pytest.mark.parametrize("name", NORMED)
def test_batch_norm_before_relu_and_pooling(tmp_path, name, optimizer):
    """Values near zero fall on the other side in bfloat16: the gradient is off in places, which is rounding, and the account is complete."""
    g = torch.Generator().manual_seed(5)
    torch.manual_seed(0)
    model, data = NORMED[name](), (torch.randn(64, 48, generator=g), torch.arange(64) % 3)
    with pk.record(tmp_path / "run", model=model, optimizer=optimizer(model.parameters()), loss=nn.CrossEntropyLoss(), data=data, autocast=torch.bfloat16) as run:
        run.fit(epochs=3, batch_size=16, progress=False)
    ledger = run.explain(data[0][:4], "logits", precision="double", progress=False)
    assert (np.abs(ledger.residual) <= 1e-12 * np.abs(ledger.contributions).sum(0)).all() and ledger.certificate.replay_exact
    assert 0 < np.abs(ledger.rounding).max() < 0.5 * np.abs(ledger.contributions).sum(0).max()
