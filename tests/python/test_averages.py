"""torch.optim.swa_utils.AveragedModel beside a run: what torch computes, complete, shares equal to a split by force."""

import copy
import os
import pathlib
import sys

import numpy as np
import pytest
import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.optim import swa_utils

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(pathlib.Path(os.environ.get("PATHKERNEL_BUILD", ROOT / "build")) / "python"))
import pathkernel as pk  # noqa: E402
from pathkernel import _engine  # noqa: E402

AVERAGES = {
    "mean": (lambda m: swa_utils.AveragedModel(m), True),
    "mean of lists": (lambda m: swa_utils.AveragedModel(m, multi_avg_fn=swa_utils.get_swa_multi_avg_fn()), False),
    "ema": (lambda m: swa_utils.AveragedModel(m, multi_avg_fn=swa_utils.get_ema_multi_avg_fn(0.7)), True),
    "ema, one by one": (lambda m: swa_utils.AveragedModel(m, avg_fn=swa_utils.get_ema_avg_fn(0.9)), False),
}


def examples(n=24, seed=0, dtype=torch.float64):
    g = torch.Generator().manual_seed(seed)
    return torch.randn(n, 5, generator=g, dtype=dtype), torch.arange(n) % 3


def network(dtype=torch.float64):
    """With batch norm held in eval mode, whose buffers are no parameters, and a frozen matrix."""
    torch.manual_seed(1)
    model = nn.Sequential(nn.Linear(5, 8), nn.BatchNorm1d(8), nn.Tanh(), nn.Linear(8, 6), nn.Tanh(), nn.Linear(6, 3)).to(dtype)
    model[3].weight.requires_grad_(False)
    model.train()
    model[1].eval()
    return model


def adamw(model):
    return torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=0.05, weight_decay=0.1)


def assert_complete(ledger, tolerance=1e-12):
    assert (np.abs(ledger.residual) <= tolerance * np.abs(ledger.contributions).sum(0)).all() and ledger.certificate.replay_exact


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", AVERAGES)
def test_is_torchs_average_and_complete(tmp_path, name, dtype):
    make, same_bits = AVERAGES[name]
    x, y = examples(dtype=dtype)
    mine, theirs = network(dtype), network(dtype)
    averaged, by_hand, optimizer = make(mine), make(theirs), adamw(theirs)
    with pk.record(tmp_path / "run", model=mine, optimizer=adamw(mine), loss=nn.CrossEntropyLoss(), data=(x, y), average=averaged, average_start=3, average_every=2) as run:
        for s, rows in enumerate(torch.arange(24).repeat(3).split(6)):
            run.step(rows)
            optimizer.zero_grad()
            F.cross_entropy(theirs(x[rows]), y[rows]).backward()
            optimizer.step()
            if s >= 3 and (s - 3) % 2 == 0:
                by_hand.update_parameters(theirs)
            assert int(averaged.n_averaged) == int(by_hand.n_averaged)
    assert int(averaged.n_averaged) == 5
    for (k, a), b in zip(averaged.state_dict().items(), by_hand.state_dict().values()):
        assert torch.equal(a, b) if same_bits else torch.allclose(a, b, rtol=1e-6, atol=1e-7), k
    assert run.verify(progress=False) == 12
    queries = examples(4, 3, dtype)
    for convention in ("propagate", "ledger"):
        ledger = run.explain(queries, "logits", precision="double", convention=convention, progress=False)
        assert_complete(ledger)
        averaged.eval()
        assert np.allclose(ledger.final, averaged.double()(queries[0].double()).detach().flatten(), atol=1e-6 if dtype == torch.float32 else 1e-12)
    own = run.explain(queries, "logits", network="weights", progress=False)
    assert np.abs(own.final - ledger.final).max() > 1e-3
    average = run.explain(queries, "logits", network="average", start=5, progress=False)  # a window that begins while it averages
    assert_complete(average, 1e-12 if dtype == torch.float64 else 1e-6)


def test_shares_equal_a_split_of_every_state(tmp_path):
    """A running mean from step 2 on of SGD with momentum: w̄ is a known linear function of all steps' pieces."""
    torch.manual_seed(1)
    model = nn.Sequential(nn.Linear(5, 6), nn.Tanh(), nn.Linear(6, 3)).double()
    names = [n for n, _ in model.named_parameters()]
    data, (queries, _) = examples(18), examples(3, 4)
    x, y = data
    with pk.record(tmp_path / "run", model=model, optimizer=torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.8), loss=nn.CrossEntropyLoss(), data=data,
                   average=swa_utils.AveragedModel(model), average_start=2, average_every=3, checkpoint_every=1) as run:  # fmt: skip
        run.fit(4, 6, progress=False)
    recording = _engine.Recording(run.folder)
    at = [dict(recording.parameters(s)) for s in range(run.steps + 1)]
    draws = [recording.step(s)["indices"] for s in range(run.steps)]
    D = sum(map(len, draws))
    pieces = {k: torch.zeros(D + 1, *at[0][k].shape, dtype=torch.float64) for k in names}
    for k in names:
        pieces[k][D] = at[0][k]
    memory, mean = {k: torch.zeros_like(v) for k, v in pieces.items()}, {k: v.clone() for k, v in pieces.items()}
    nodes, gauss = np.polynomial.legendre.leggauss(16)
    split, first, updates = torch.zeros(D + 1, len(queries), dtype=torch.float64), 0, 0
    for s, rows in enumerate(draws):
        g = torch.func.vmap(torch.func.grad(lambda w, xi, yi: F.cross_entropy(torch.func.functional_call(model, w, (xi[None],)), yi[None])), (None, 0, 0))(
            {k: at[s][k] for k in names}, x[rows], y[rows])
        for k in names:
            memory[k] = 0.8 * memory[k]
            memory[k][first : first + len(rows)] += g[k] / len(rows)
            pieces[k] = pieces[k] - 0.1 * memory[k]
        first += len(rows)
        if s < 2 or (s - 2) % 3 != 0:
            continue
        updates += 1
        then = {k: mean[k] + (pieces[k] - mean[k]) / updates for k in names}
        for node, weight in zip(nodes, gauss):
            w = {k: (mean[k] + (then[k] - mean[k]) * (node + 1) / 2).sum(0) for k in names}
            jacobian = torch.func.jacrev(lambda w: torch.func.functional_call(model, w, (queries,))[:, 1])(w)
            for k in names:
                split += weight / 2 * torch.einsum("dw,qw->dq", (then[k] - mean[k]).flatten(1), jacobian[k].flatten(1))
        mean = then
    shares = torch.zeros(18, 3, dtype=torch.float64).index_add_(0, torch.cat(draws), split[:-1]).numpy()
    ledger = run.explain((queries, torch.zeros(3, dtype=torch.long)), "logit:1", rule="gauss:16", progress=False)
    assert updates == 4 and np.abs(shares).max() > 1e-2
    assert np.abs(ledger.contributions - shares).max() <= 1e-12


def test_swalr_own_steps_and_a_resumed_run(tmp_path):
    x, y = examples()

    def train(folder, cut=None, resumed=False):
        model = network()
        optimizer, averaged = adamw(model), swa_utils.AveragedModel(model)
        before, after = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda e: 1 - e / 10), swa_utils.SWALR(optimizer, swa_lr=0.01, anneal_epochs=2)
        given = {"model": model, "optimizer": optimizer, "loss": nn.CrossEntropyLoss(), "data": (x, y), "average": averaged}
        run = pk.resume(folder, **given, progress=False) if resumed else pk.record(folder, **given, average_start=8, average_every=4)
        first = run.steps // 4
        for _ in range(first):
            before.step()
        for epoch in range(first, 5):
            for rows in torch.arange(24).split(6):
                if epoch == 3:
                    with run.recording(rows):
                        optimizer.zero_grad()
                        F.cross_entropy(model(x[rows]), y[rows]).backward()
                        optimizer.step()
                else:
                    run.step(rows)
            (after if epoch >= 2 else before).step()
            if epoch == cut:
                run.close(complete=False)
                return None, run
        run.close()
        return averaged, run

    whole, run = train(tmp_path / "whole")
    assert run.verify(progress=False) == 20 and int(whole.n_averaged) == 3
    assert run.logged(19)["lr"] != run.logged(8)["lr"]
    assert_complete(run.explain((x[:3], y[:3]), progress=False))
    train(tmp_path / "cut", cut=1)
    again, _ = train(tmp_path / "cut", resumed=True)
    assert all(torch.equal(a, b) for a, b in zip(again.state_dict().values(), whole.state_dict().values()))


def test_what_is_no_average_of_this_run_is_refused(tmp_path):
    model = network()
    parts = {"model": model, "optimizer": adamw(model), "loss": nn.CrossEntropyLoss(), "data": examples()}

    def refused(match, average, **options):
        with pytest.raises(pk.InvalidInput, match=match):
            pk.record(tmp_path / "refused", average=average, **{**parts, **options})

    def median(averaged, new, n):
        return averaged

    refused("averages with .*median, whose weights the engine cannot read", swa_utils.AveragedModel(model, avg_fn=median))
    refused("use_buffers=True averages buffers too", swa_utils.AveragedModel(model, use_buffers=True))
    refused("is a Sequential; a torch.optim.swa_utils.AveragedModel", copy.deepcopy(model))
    refused("not those of the model", swa_utils.AveragedModel(nn.Linear(5, 3)))
    refused("ema and average were both given", swa_utils.AveragedModel(model), ema=0.9)
    refused("average_every is 0; a whole number from 1 on", swa_utils.AveragedModel(model), average_every=0)
    refused("decay must lie between 0 and 1", swa_utils.AveragedModel(model, multi_avg_fn=swa_utils.get_ema_multi_avg_fn(1.0)))
    used = swa_utils.AveragedModel(model)
    used.update_parameters(model)
    refused("updated 1 times before", used)
    averaged = swa_utils.AveragedModel(model)
    with pytest.raises(pk.InvalidInput, match="updated by somebody else"), pk.record(tmp_path / "run", average=averaged, **parts) as run:
        run.step(range(6))
        averaged.update_parameters(model)
        run.step(range(6))
    with pytest.raises(pk.InvalidInput, match="the average is .*'decay': 0.5"):
        pk.resume(tmp_path / "run", average=swa_utils.AveragedModel(model, multi_avg_fn=swa_utils.get_ema_multi_avg_fn(0.5)), progress=False, **parts)
    with pk.record(tmp_path / "none", **parts) as run:
        run.step(range(6))
        run.close(complete=False)
    with pytest.raises(pk.InvalidInput, match="the run keeps none"):
        pk.resume(tmp_path / "none", average=swa_utils.AveragedModel(model), progress=False, **parts)
