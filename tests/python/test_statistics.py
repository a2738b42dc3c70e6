"""Shares of the buffers' term: what each example did through batch norm's running statistics, against a split of the statistics by force."""

import copy
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

NODES = 6


def network():
    """Batch norm on the inputs themselves without weights, on sequences, and of rows with a cumulative mean."""
    torch.manual_seed(1)
    return nn.Sequential(nn.BatchNorm1d(2, affine=False), nn.Conv1d(2, 3, 3, bias=False), nn.BatchNorm1d(3, momentum=0.3), nn.Tanh(), nn.Flatten(), nn.Linear(9, 5),
                         nn.BatchNorm1d(5, momentum=None), nn.Tanh(), nn.Linear(5, 3)).double()


def examples(n, seed):
    g = torch.Generator().manual_seed(seed)
    return torch.randn(n, 2, 5, generator=g, dtype=torch.float64) + 0.5, torch.arange(n) % 3


class SplitStatistics:
    """Every running statistic as a sum: one part of each example, and one of what it began with."""

    def __init__(self, model, n):
        self.model, self.inputs = model, {}
        self.norms = {name: m for name, m in model.named_modules() if isinstance(m, nn.BatchNorm1d)}
        self.parts = {f"{name}.{kind}": torch.zeros(n + 1, m.num_features, dtype=torch.float64) for name, m in self.norms.items() for kind in ("running_mean", "running_var")}
        for name, part in self.parts.items():
            part[n] = model.get_buffer(name)
        for name, m in self.norms.items():
            m.register_forward_pre_hook(lambda m, args, name=name: self.inputs.__setitem__(name, args[0].detach().clone()) if m.training else None)

    def step(self, rows):
        for name, m in self.norms.items():
            z = self.inputs[name].unsqueeze(-1).flatten(2)
            momentum = m.momentum if m.momentum is not None else 1 / float(m.num_batches_tracked)
            count = z.shape[0] * z.shape[2]
            off = (z - z.mean((0, 2), keepdim=True)).square().sum(2) / (count - 1)
            for kind, stat in (("running_mean", z.sum(2) / count), ("running_var", off)):
                part = self.parts[f"{name}.{kind}"]
                part *= 1 - momentum
                part[rows] += momentum * stat
                assert torch.allclose(part.sum(0), m.get_buffer(kind), rtol=1e-12, atol=1e-13)


def evaluated(model, state, x):
    """The network in eval mode; torch's own batch norm is not differentiable in its statistics."""
    for name, m in model.named_children():
        own = {k.split(".")[1]: v for k, v in state.items() if k.startswith(name + ".")}
        if isinstance(m, nn.BatchNorm1d):
            shape = (1, -1) + (1,) * (x.dim() - 2)
            x = (x - own["running_mean"].view(shape)) / torch.sqrt(own["running_var"].view(shape) + m.eps)
            x = x * own["weight"].view(shape) + own["bias"].view(shape) if m.affine else x
        else:
            x = torch.func.functional_call(m, own, (x,))
    return x


def buffer_gradients(model, before, after, inputs):
    """∫ ∂f/∂β along the straight joint segment of weights and buffers, f the logits; per buffer [Q, C]."""
    nodes, weights = np.polynomial.legendre.leggauss(NODES)
    total = {}
    for u, weight in zip((nodes + 1) / 2, weights / 2):
        state = {k: (before[k] + u * (after[k] - before[k])).requires_grad_() for k in before if before[k].is_floating_point()}
        logits = evaluated(model, state, inputs).reshape(-1)
        for q in range(logits.numel()):
            names = [k for k in state if "running" in k]
            for k, g in zip(names, torch.autograd.grad(logits[q], [state[k] for k in names], retain_graph=True)):
                total.setdefault(k, torch.zeros(logits.numel(), g.numel(), dtype=torch.float64))[q] += weight * g
    return total


@pytest.mark.parametrize("precision", ["double", "float"])
def test_shares_equal_a_split_of_the_statistics(tmp_path, precision):
    """float: a run in float32, whose statistics round; its shares are those of the split to that rounding."""
    dtype = torch.float64 if precision == "double" else torch.float32
    model, data, (queries, _) = network().to(dtype), examples(22, 0), examples(2, 5)
    data = (data[0].to(dtype), data[1])
    twin = copy.deepcopy(model)
    with pk.record(tmp_path / "run", model=model, optimizer=torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.8), loss=nn.CrossEntropyLoss(), data=data) as run:
        split = SplitStatistics(twin.double(), 22)
        shares = torch.zeros(23, 6, dtype=torch.float64)
        for rows in torch.randperm(22, generator=torch.Generator().manual_seed(2)).repeat(2).split(8):
            before = {k: v.clone().double() if v.is_floating_point() else v.clone() for k, v in model.state_dict().items()}
            twin.load_state_dict(before)
            old = {k: v.clone() for k, v in split.parts.items()}
            twin.train()
            twin(data[0][rows].double())
            if precision == "double":
                split.step(rows)
            run.step(rows)
            after = {k: v.clone().double() if v.is_floating_point() else v.clone() for k, v in model.state_dict().items()}
            if precision == "double":
                for k, G in buffer_gradients(twin, before, after, queries).items():
                    shares += (split.parts[k] - old[k]) @ G.T
    ledger = run.explain(queries.to(dtype), "logits", rule=f"gauss:{NODES}", precision="double", statistics=True, progress=False)
    sizes = np.abs(ledger.statistics).sum(0) + np.abs(ledger.first_statistics)
    other = ledger.buffers - ledger.statistics.sum(0) - ledger.first_statistics
    assert np.abs(ledger.statistics).max() > 1e-4 and ledger.certificate.replay_exact
    if precision == "float":
        assert 0 < np.abs(other).max() <= 1e-5 * sizes.max()
        return
    assert np.abs(other).max() <= 1e-13 * sizes.max()
    assert np.abs(ledger.statistics - shares[:22].numpy()).max() <= 1e-12 * sizes.max()
    assert np.abs(ledger.first_statistics - shares[22].numpy()).max() <= 1e-12 * sizes.max()
    assert run.explain(queries.to(dtype), "logits", progress=False).statistics is None
    ledger.save(tmp_path / "ledger")
    assert np.array_equal(pk.load_ledger(tmp_path / "ledger").statistics, ledger.statistics)


def run_with_frozen_trunk(folder):
    """Only the last layer learns, behind three norms in training mode; and two inputs to ask about."""
    model, data = network(), examples(20, 3)
    for p in model[:8].parameters():
        p.requires_grad_(False)
    with pk.record(folder, model=model, optimizer=torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.1), loss=nn.CrossEntropyLoss(), data=data) as run:
        run.fit(epochs=2, batch_size=10, progress=False)
    return run, examples(2, 6)[0]


def test_a_frozen_trunk_whose_statistics_move(tmp_path):
    """No gradient goes through the normed layers, and their statistics change all the same."""
    run, queries = run_with_frozen_trunk(tmp_path / "run")
    ledger = run.explain(queries, "logits", statistics=True, progress=False)
    other = ledger.buffers - ledger.statistics.sum(0) - ledger.first_statistics
    assert np.abs(other).max() <= 1e-12 * np.abs(ledger.statistics).sum(0).max() and np.abs(ledger.buffers).min() > 1e-3
    assert (np.abs(ledger.residual) <= 1e-12 * np.abs(ledger.contributions).sum(0)).all()


def test_normed_constants_are_no_coupling(tmp_path):
    """Behind a frozen trunk an example's gradient needs its own row alone, whatever made the row."""
    run, queries = run_with_frozen_trunk(tmp_path / "run")
    ledger = run.explain(queries, "logits", progress=False)
    assert (np.abs(ledger.residual) <= 1e-12 * np.abs(ledger.contributions).sum(0)).all() and "coupled" not in str(ledger.certificate)
    coupled = run.explain(queries, "logits", statistics=True, progress=False)  # taken forwards
    assert np.allclose(ledger.contributions, coupled.contributions, rtol=0, atol=1e-12) and "coupled" in str(coupled.certificate)


def test_rows_that_are_no_examples_are_not_guessed(tmp_path):
    """Batch norm over the rows of all sequences: whose row is whose is not known there, and the term stays whole."""

    class Folded(nn.Module):
        def __init__(self):
            super().__init__()
            self.norm, self.head = nn.BatchNorm1d(2), nn.Linear(10, 3)

        def forward(self, x):
            return self.head(self.norm(x.transpose(1, 2).reshape(-1, 2)).reshape(len(x), -1))

    torch.manual_seed(0)
    model, data, (queries, _) = Folded().double(), examples(20, 3), examples(2, 6)
    with pk.record(tmp_path / "run", model=model, optimizer=torch.optim.SGD(model.parameters(), lr=0.1), loss=nn.CrossEntropyLoss(), data=data) as run:
        run.fit(epochs=1, batch_size=10, progress=False)
    ledger = run.explain(queries, "logits", statistics=True, progress=False)
    assert np.abs(ledger.statistics).max() == 0 and np.abs(ledger.first_statistics).max() == 0 and np.abs(ledger.buffers).min() > 1e-4
