"""Parameters that do not lie row by row in memory: kernels go by that, so it is part of what a run is repeated from."""

import copy

import numpy as np
import pytest
import torch
import torch.nn as nn

from test_package import assert_complete, examples, pk, sgd

from pathkernel import _engine


def transposed(dtype=torch.float32):
    torch.manual_seed(1)
    net = nn.Sequential(nn.Linear(5, 48), nn.Tanh(), nn.Linear(48, 3))
    net[0].weight = nn.Parameter(0.5 * torch.randn(5, 48).t())
    net[2].weight = nn.Parameter(0.1 * torch.randn(48, 3).t())
    return net.to(dtype), examples(24, dtype=dtype)


def channels_last(dtype=torch.float32):
    torch.manual_seed(1)
    net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 6, 1), nn.Flatten(), nn.Linear(6 * 16, 3)).to(dtype, memory_format=torch.channels_last)
    g = torch.Generator().manual_seed(0)
    return net, (torch.randn(24, 3, 6, 6, generator=g, dtype=dtype), torch.arange(24) % 3)


def householder(dtype=torch.float32):
    torch.manual_seed(1)
    layer = nn.utils.parametrizations.orthogonal(nn.Linear(5, 7), orthogonal_map="householder")
    return nn.Sequential(layer, nn.Tanh(), nn.Linear(7, 3)).to(dtype), examples(24, dtype=dtype)


NETWORKS = {"transposed": transposed, "channels_last": channels_last, "householder": householder}
OPTIMIZERS = {"momentum": sgd, "adamw": lambda model: torch.optim.AdamW(model.parameters(), lr=0.01)}


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("network", NETWORKS)
def test_what_lies_otherwise_is_repeated_as_it_was(tmp_path, network, optimizer):
    mine, (x, y) = NETWORKS[network]()
    theirs = copy.deepcopy(mine)
    state = [*mine.parameters(), *mine.buffers()]
    assert any(not t.is_contiguous() for t in state)
    strides = [t.stride() for t in state]
    with pk.record(tmp_path / "run", model=mine, optimizer=OPTIMIZERS[optimizer](mine), loss=nn.CrossEntropyLoss(), data=(x, y), checkpoint_every=4) as run:
        run.fit(2, 5, progress=False)
    steps = OPTIMIZERS[optimizer](theirs)
    for s in range(run.steps):
        rows = run.logged(s)["indices"]
        steps.zero_grad()
        nn.functional.cross_entropy(theirs(x[rows]), y[rows]).backward()
        steps.step()
    assert all(torch.equal(a, b) for a, b in zip(mine.parameters(), theirs.parameters()))
    for checkpoint in (0, 8):  # on the disk as in training
        assert [t.stride() for _, t in _engine.Recording(str(tmp_path / "run")).parameters(checkpoint)] == strides
    assert run.verify(progress=False) == run.steps
    assert [t.stride() for t in (*mine.parameters(), *mine.buffers())] == strides


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("network", NETWORKS)
def test_it_is_explained_completely(tmp_path, network, optimizer):
    """Wherever the engine makes one row of a parameter's numbers, it is in the order of its indices."""
    model, (x, y) = NETWORKS[network](torch.float64)
    with pk.record(tmp_path / "run", model=model, optimizer=OPTIMIZERS[optimizer](model), loss=nn.CrossEntropyLoss(), data=(x, y)) as run:
        run.fit(1, 5, progress=False)
    for convention in ("propagate", "ledger"):
        ledger = run.explain(x[:3], "logit:1", convention=convention, progress=False)
        assert_complete(ledger)
        assert (np.abs(ledger.rounding) <= 1e-11 * np.abs(ledger.contributions).sum(0)).all()


@pytest.mark.parametrize("network", NETWORKS)
def test_an_interrupted_run_goes_on_in_the_same_layout(tmp_path, network):
    model, data = NETWORKS[network]()
    with pk.record(tmp_path / "whole", model=model, optimizer=OPTIMIZERS["adamw"](model), loss=nn.CrossEntropyLoss(), data=data) as whole:
        whole.fit(2, 5, progress=False)
    model, data = NETWORKS[network]()
    begun = pk.record(tmp_path / "run", model=model, optimizer=OPTIMIZERS["adamw"](model), loss=nn.CrossEntropyLoss(), data=data, checkpoint_every=2)
    begun.fit(0.8, 5, progress=False).close(complete=False)
    model, data = NETWORKS[network]()
    with pk.resume(tmp_path / "run", model=model, optimizer=OPTIMIZERS["adamw"](model), loss=nn.CrossEntropyLoss(), data=data, progress=False) as run:
        run.fit(2, 5, progress=False)
    assert [run.logged(s)["hash"] for s in range(run.steps)] == [whole.logged(s)["hash"] for s in range(whole.steps)]


@pytest.mark.parametrize("norm", [False, True])
def test_pooling_of_images_in_channels_last(tmp_path, norm):
    """torch pools to 1×1 by a mean and as_strided, whose rows are told by where they lie."""
    g = torch.Generator().manual_seed(5)
    x, y = torch.randn(16, 3, 6, 6, generator=g, dtype=torch.float64).contiguous(memory_format=torch.channels_last), torch.arange(16) % 3
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8) if norm else nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 3)).double()
    model = model.to(memory_format=torch.channels_last)
    with pk.record(tmp_path / "run", model=model, optimizer=sgd(model), loss=nn.CrossEntropyLoss(), data=(x, y)) as run:
        run.fit(1, 8, progress=False)
    ledger = run.explain(x[:3], "logit:1", progress=False)
    assert_complete(ledger)
    plain = run.explain(x[:3].contiguous(), "logit:1", progress=False)
    assert np.allclose(ledger.contributions, plain.contributions, rtol=1e-10, atol=1e-13)
    assert torch.allclose(run.tangent_kernel(x[:3], progress=False), run.tangent_kernel(x[:3].contiguous(), progress=False), rtol=1e-10)


class Strided(nn.Module):
    """Reads every second number of its hidden layer by as_strided, from the one that it is told."""

    def __init__(self, first):
        super().__init__()
        torch.manual_seed(1)
        self.hidden, self.last, self.first = nn.Linear(5, 8), nn.Linear(3, 3), first

    def forward(self, x):
        h = torch.tanh(self.hidden(x))[:, 2:]
        return self.last(h.as_strided((h.shape[0], 3), (8, 2), self.first))


def test_as_strided_follows_the_storage(tmp_path):
    (x, y), model = examples(20, dtype=torch.float64), Strided(first=3).double()
    with pk.record(tmp_path / "run", model=model, optimizer=sgd(model), loss=nn.CrossEntropyLoss(), data=(x, y)) as run:
        run.fit(1, 5, progress=False)
    assert_complete(run.explain(x[:3], "logit:1", progress=False))
    model = Strided(first=1).double()  # its first column is none of h's
    with pk.record(tmp_path / "outside", model=model, optimizer=sgd(model), loss=nn.CrossEntropyLoss(), data=(x, y)) as run:
        run.fit(1, 5, progress=False)
    with pytest.raises(pk.InvalidInput, match="as_strided"):
        run.explain(x[:3], "logit:1", progress=False)
