"""The Python package: the main job on live modules, optimizers, losses and data sets."""

import copy
import json
import os
import pathlib
import random
import sys

import numpy as np
import pytest
import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.utils.data import Dataset, TensorDataset

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(pathlib.Path(os.environ.get("PATHKERNEL_BUILD", ROOT / "build")) / "python"))
import pathkernel as pk  # noqa: E402

import program  # noqa: E402


def examples(n=24, features=5, classes=3, seed=0, dtype=torch.float32):
    g = torch.Generator().manual_seed(seed)
    return torch.randn(n, features, generator=g, dtype=dtype), torch.arange(n) % classes


def mlp(dtype=torch.float32, features=5, classes=3):
    torch.manual_seed(1)
    return nn.Sequential(nn.Linear(features, 8), nn.Tanh(), nn.Linear(8, classes)).to(dtype)


def sgd(model, **options):
    return torch.optim.SGD(model.parameters(), **{"lr": 0.1, "momentum": 0.9, **options})


def recorded(folder, model=None, optimizer=None, loss=None, data=None, epochs=2, batch_size=5, **options):
    model = model or mlp()
    with pk.record(folder, model=model, optimizer=optimizer or sgd(model), loss=loss or nn.CrossEntropyLoss(), data=data or examples(), **options) as run:
        run.fit(epochs, batch_size, progress=False)
    return run


def assert_complete(ledger, tolerance=1e-12):
    size = np.abs(ledger.contributions).sum(0)
    total = ledger.initial + ledger.contributions.sum(0)
    for name in ("decay", "regulariser", "in_flight", "buffers", "jumps", "rounding", "residual"):
        total = total + getattr(ledger, name)
    assert np.allclose(total, ledger.final, rtol=1e-12, atol=1e-12)
    assert (np.abs(ledger.residual) <= tolerance * size + 1e-15).all(), np.abs(ledger.residual) / size
    assert ledger.certificate.replay_exact


def test_a_run_is_recorded_repeated_and_explained(tmp_path):
    run = recorded(tmp_path / "run")
    assert run.status == "complete" and run.steps == 10 and run.verify(progress=False) == 10
    x, y = examples(6, seed=5)
    ledger = run.explain((x, y), precision="double", progress=False)
    assert ledger.contributions.shape == (24, 6)
    assert_complete(ledger)
    with torch.no_grad():
        z = run._trained.network.module(x)
    k = z.argmax(1)
    expected = z.gather(1, k[:, None])[:, 0] - torch.stack([torch.logsumexp(torch.cat([row[:c], row[c + 1:]]), 0) for row, c in zip(z, k)])
    assert np.allclose(ledger.final, expected.numpy(), atol=1e-5)


def test_training_is_what_torch_does(tmp_path):
    mine, theirs = mlp(), mlp()
    optimizer = torch.optim.AdamW(theirs.parameters(), lr=0.01, weight_decay=0.1)
    x, y = examples()
    with pk.record(tmp_path / "run", model=mine, optimizer=torch.optim.AdamW(mine.parameters(), lr=0.01, weight_decay=0.1), loss=nn.CrossEntropyLoss(), data=(x, y)) as run:
        for batch in torch.arange(24).split(7):
            loss = run.step(batch)
            optimizer.zero_grad()
            expected = F.cross_entropy(theirs(x[batch]), y[batch])
            expected.backward()
            optimizer.step()
            assert loss == pytest.approx(expected.item(), rel=1e-5)
    for a, b in zip(mine.parameters(), theirs.parameters()):
        assert torch.allclose(a, b, atol=1e-6)


OPTIMIZERS = {
    "sgd": lambda p: torch.optim.SGD(p, lr=0.1),
    "momentum and decay": lambda p: torch.optim.SGD(p, lr=0.05, momentum=0.9, weight_decay=0.01, dampening=0.1),
    "nesterov, foreach": lambda p: torch.optim.SGD(p, lr=0.05, momentum=0.9, nesterov=True, foreach=True),
    "sgd, fused": lambda p: torch.optim.SGD(p, lr=0.05, momentum=0.9, fused=True),
    "maximize": lambda p: torch.optim.SGD(p, lr=0.01, momentum=0.5, maximize=True, weight_decay=0.1),
    "adam": lambda p: torch.optim.Adam(p, lr=0.01, weight_decay=0.01),
    "adam, foreach": lambda p: torch.optim.Adam(p, lr=0.01, foreach=True),
    "adam, fused": lambda p: torch.optim.Adam(p, lr=0.01, fused=True),
    "adam, decoupled": lambda p: torch.optim.Adam(p, lr=0.01, weight_decay=0.1, decoupled_weight_decay=True),
    "amsgrad": lambda p: torch.optim.Adam(p, lr=0.01, amsgrad=True),
    "adamw": lambda p: torch.optim.AdamW(p, lr=0.01, weight_decay=0.1),
    "nadam": lambda p: torch.optim.NAdam(p, lr=0.01, decoupled_weight_decay=True, weight_decay=0.1),
    "radam": lambda p: torch.optim.RAdam(p, lr=0.01, betas=(0.9, 0.9), weight_decay=0.1),
    "adamax": lambda p: torch.optim.Adamax(p, lr=0.01, weight_decay=0.1),
    "adadelta": lambda p: torch.optim.Adadelta(p, weight_decay=0.1),
    "rmsprop": lambda p: torch.optim.RMSprop(p, lr=0.01, centered=True, momentum=0.9),
    "adagrad": lambda p: torch.optim.Adagrad(p, lr=0.05, lr_decay=0.01, initial_accumulator_value=0.1),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimizer_with_groups(tmp_path, name):
    """Two groups with settings of their own; Δ is reproduced at every step (check is on), and the ledger is complete."""
    model = mlp(torch.float64)
    make = OPTIMIZERS[name]
    groups = [{"params": [model[0].weight, model[2].bias]}, {"params": [model[2].weight, model[0].bias], "lr": 0.003}]
    run = recorded(tmp_path / "run", model, make(groups), data=examples(dtype=torch.float64))
    assert run.verify(progress=False) == 10
    ledger = run.explain(examples(4, seed=3, dtype=torch.float64), "logits", progress=False)
    assert_complete(ledger)
    assert ledger.certificate.optimizer_mismatch <= 1


def test_schedulers_change_the_settings_of_a_step(tmp_path):
    model = mlp(torch.float64)
    optimizer = torch.optim.Adam([{"params": model[0].parameters()}, {"params": model[2].parameters(), "lr": 0.02}], lr=0.01)
    scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=[0.01, 0.02], total_steps=20)  # moves beta1 as well
    with pk.record(tmp_path / "run", model=model, optimizer=optimizer, loss=nn.CrossEntropyLoss(), data=examples(dtype=torch.float64)) as run:
        run.fit(2, 5, scheduler=scheduler, scheduler_every="step", progress=False)
    rates = [run.logged(s)["lr"] for s in range(10)]
    assert len(set(rates)) == 10
    again = mlp(torch.float64)
    opened = pk.open(tmp_path / "run", model=again, optimizer=torch.optim.Adam([{"params": again[0].parameters()}, {"params": again[2].parameters()}], lr=rates[0], betas=(0.95, 0.999)),
                     loss=nn.CrossEntropyLoss(), data=examples(dtype=torch.float64))
    assert opened.verify(progress=False) == 10
    assert_complete(opened.explain(examples(4, seed=3, dtype=torch.float64), progress=False))


def test_a_step_of_the_caller_s_own(tmp_path):
    x, y = examples()
    model = mlp()
    optimizer = sgd(model)
    with pk.record(tmp_path / "run", model=model, optimizer=optimizer, loss=nn.CrossEntropyLoss(), data=(x, y)) as run:
        for batch in torch.arange(24).split(5):
            with run.recording(batch):
                optimizer.zero_grad()
                loss = F.cross_entropy(model(x[batch]), y[batch])
                loss.backward()
                optimizer.step()
    assert run.verify(progress=False) == 5
    assert_complete(run.explain((x[:3], y[:3]), precision="double", progress=False))


def test_a_step_of_the_caller_s_own_that_does_something_else_is_refused(tmp_path):
    x, y = examples()
    model = mlp()
    optimizer = sgd(model)
    with pytest.raises(pk.InvalidInput, match="no clipping but"), pk.record(tmp_path / "run", model=model, optimizer=optimizer, loss=nn.CrossEntropyLoss(), data=(x, y)) as run:
        with run.recording(range(5)):
            F.cross_entropy(model(x[:5]), y[:5]).backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 0.01)
            optimizer.step()


@pytest.mark.parametrize("options", [{"clip_norm": 0.05}, {"clip_value": 0.01}, {"accumulate": 2}, {"ema": 0.9}, {"regulariser": "l2:0.01"}, {"reduction": "sum"}])
def test_what_a_step_may_do_besides(tmp_path, options):
    loss = nn.CrossEntropyLoss(reduction=options.pop("reduction", "mean"))
    run = recorded(tmp_path / "run", mlp(torch.float64), loss=loss, data=examples(dtype=torch.float64), **options)
    assert run.verify(progress=False) == 10
    assert_complete(run.explain(examples(3, seed=3, dtype=torch.float64), progress=False))


class Noisy(Dataset):
    """Augmentation from three generators, and an input of two tensors."""

    def __init__(self, n=20):
        self.x, self.y = examples(n)

    def __len__(self):
        return len(self.x)

    def __getitem__(self, i):
        noise = 0.1 * torch.randn(5) + 0.1 * random.random() + 0.1 * float(np.random.rand())
        return {"x": self.x[i] + noise, "shift": torch.rand(()), "labels": int(self.y[i])}


class Drops(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.drop, self.last = nn.Linear(5, 8), nn.Dropout(0.3), nn.Linear(8, 3)

    def forward(self, x, shift):
        return {"logits": self.last(self.drop(torch.relu(self.first(x)))) + shift[:, None]}


def test_augmentation_and_dropout_are_repeated(tmp_path):
    torch.manual_seed(0)
    model = Drops()
    run = recorded(tmp_path / "run", model, data=Noisy(), loss=lambda outputs, targets: F.cross_entropy(outputs.logits, targets, reduction="none"))
    torch.manual_seed(99)
    random.seed(5)
    assert run.verify(progress=False) == 8
    ledger = run.explain(Noisy(4), measure=lambda outputs, batch: outputs["logits"][:, :2], precision="double", progress=False)
    turned = run.explain({"shift": torch.zeros(2), "x": torch.ones(2, 5)}, "output:0", progress=False)  # keys in another order
    assert np.array_equal(turned.final, run.explain({"x": torch.ones(2, 5), "shift": torch.zeros(2)}, "output:0", progress=False).final)
    assert ledger.contributions.shape == (20, 8)
    assert_complete(ledger)


def test_an_interrupted_run_goes_on_to_the_same_bits(tmp_path):
    whole = recorded(tmp_path / "whole", data=Noisy(), model=Drops_seeded(), loss=logit_loss, epochs=3)
    model = Drops_seeded()
    with pytest.raises(KeyboardInterrupt), pk.record(tmp_path / "cut", model=model, optimizer=sgd(model), loss=logit_loss, data=Noisy()) as run:
        def stop(_, done, total):
            if done == 7:
                raise KeyboardInterrupt
        run.fit(3, 5, progress=stop)
    assert run.status == "running" and run.steps == 7
    model = Drops_seeded(7)  # its weights do not matter
    with pk.resume(tmp_path / "cut", model=model, optimizer=sgd(model), loss=logit_loss, data=Noisy(), progress=False) as run:
        run.fit(3, 5, progress=False)
    assert run.steps == whole.steps == 12
    assert [run.logged(s)["hash"] for s in range(12)] == [whole.logged(s)["hash"] for s in range(12)]


def Drops_seeded(seed=0):
    torch.manual_seed(seed)
    return Drops()


def logit_loss(outputs, targets):
    return F.cross_entropy(outputs.logits, targets, reduction="none")


def test_what_is_borrowed_is_put_back(tmp_path):
    model = mlp()
    model[1] = nn.Dropout(0.1).eval()
    optimizer = sgd(model)
    run = recorded(tmp_path / "run", model, optimizer)
    model.train()
    model[1].eval()
    weights = [p.clone() for p in model.parameters()]
    state = {p: s["momentum_buffer"].clone() for p, s in optimizer.state.items()}
    torch.manual_seed(5)
    run.explain(examples(2), progress=False)
    drawn = torch.rand(3)
    torch.manual_seed(5)
    assert torch.equal(drawn, torch.rand(3))
    assert all(torch.equal(a, b) for a, b in zip(weights, model.parameters()))
    assert all(torch.equal(s, optimizer.state[p]["momentum_buffer"]) for p, s in state.items())
    assert model.training and not model[1].training


def test_losses_of_tokens_count_those_that_are_not_padding(tmp_path):
    """A mean over tokens: an example's weight is its share of the tokens that count, and the batch's gradient is torch's."""
    torch.manual_seed(0)
    x = torch.randint(0, 7, (12, 4))
    y = x.roll(-1, 1)
    for i in range(12):
        y[i, 1 + i % 4:] = -100

    class Tagger(nn.Module):
        def __init__(self):
            super().__init__()
            self.embed, self.head = nn.Embedding(7, 6), nn.Linear(6, 7)

        def forward(self, tokens):
            return self.head(torch.tanh(self.embed(tokens))).transpose(1, 2)

    model = Tagger().double()
    theirs = copy.deepcopy(model)
    optimizer = torch.optim.SGD(theirs.parameters(), lr=0.1, momentum=0.9)
    loss = nn.CrossEntropyLoss(ignore_index=-100)
    with pk.record(tmp_path / "run", model=model, optimizer=sgd(model), loss=loss, data=TensorDataset(x, y)) as run:
        for batch in torch.arange(12).split(5):
            run.step(batch)
            optimizer.zero_grad()
            loss(theirs(x[batch]), y[batch]).backward()
            optimizer.step()
    assert all(torch.allclose(a, b, atol=1e-14) for a, b in zip(model.parameters(), theirs.parameters()))
    assert_complete(run.explain((x[:3], y[:3]), measure=lambda z, batch: z[:, 2, 1], progress=False))


def test_sets_are_weighted_sums_of_their_members(tmp_path):
    run = recorded(tmp_path / "run", mlp(torch.float64), data=examples(dtype=torch.float64))
    asked = examples(9, seed=4, dtype=torch.float64)
    one_by_one = run.explain(asked, "loss", progress=False).contributions
    sets = run.explain(asked, "loss", aggregate={"some": [0, 4], "weighted": ([1, 2], [1.0, -2.0])}, progress=False)
    assert np.allclose(sets.contributions[:, 0], one_by_one[:, [0, 4]].mean(1), atol=1e-12)
    assert np.allclose(sets.contributions[:, 1], one_by_one[:, 1] - 2 * one_by_one[:, 2], atol=1e-12)
    assert [q["input"] for q in run.explain(asked, "loss", aggregate="by-class", progress=False).queries] == ["class 0", "class 1", "class 2"]


@pytest.mark.parametrize("name", ["probabilities", "function", "padding by a function", "numbers"])
def test_losses_train_as_in_torch(tmp_path, name):
    """What a review found to be scaled otherwise than torch does it."""
    torch.manual_seed(0)
    x = torch.randn(8, 5, dtype=torch.float64)
    tokens = torch.randint(0, 3, (8, 4))
    tokens[2, 1:] = -100
    loss, y, outputs = {"probabilities": (nn.CrossEntropyLoss(), torch.rand(8, 3, 4, dtype=torch.float64).softmax(1), 12),
                        "function": (F.cross_entropy, torch.arange(8) % 3, 3),
                        "padding by a function": (F.cross_entropy, tokens, 12),
                        "numbers": (nn.MSELoss(), torch.arange(8) - 3, 1)}[name]
    shape = (3, 4) if outputs == 12 else (3,) if outputs == 3 else ()
    model = nn.Sequential(nn.Linear(5, outputs), nn.Unflatten(1, shape) if len(shape) == 2 else nn.Flatten(0) if outputs == 1 else nn.Identity()).double()
    theirs = copy.deepcopy(model)
    optimizer = torch.optim.SGD(theirs.parameters(), lr=0.1)
    with pk.record(tmp_path / "run", model=model, optimizer=torch.optim.SGD(model.parameters(), lr=0.1), loss=loss, data=(x, y)) as run:
        for batch in torch.arange(8).split(3):
            mine = run.step(batch)
            optimizer.zero_grad()
            expected = loss(theirs(x[batch]), y[batch].double() if outputs == 1 else y[batch])
            expected.backward()
            optimizer.step()
            assert mine == pytest.approx(expected.item(), rel=1e-12)
    assert all(torch.allclose(a, b, atol=1e-14) for a, b in zip(model.parameters(), theirs.parameters()))


def test_what_is_held_in_eval_mode_stays_so(tmp_path):
    def net():
        torch.manual_seed(1)
        return nn.Sequential(nn.Linear(5, 8), nn.BatchNorm1d(8), nn.Tanh(), nn.Linear(8, 3)).double()

    model = net()
    model[1].eval()
    run = recorded(tmp_path / "run", model, data=examples(dtype=torch.float64))
    assert int(model[1].num_batches_tracked) == 0 and run.verify(progress=False) == 10
    ledger = run.explain(examples(3, dtype=torch.float64), "logits", progress=False)
    assert_complete(ledger)
    assert np.abs(ledger.rounding).max() < 1e-12 and (ledger.buffers == 0).all()
    again = net()  # in train mode: the recording knows
    opened = pk.open(tmp_path / "run", model=again, optimizer=sgd(again), loss=nn.CrossEntropyLoss(), data=examples(dtype=torch.float64))
    assert opened.verify(progress=False) == 10


def test_the_caller_s_random_numbers_go_on(tmp_path):
    model = mlp()
    with pk.record(tmp_path / "run", model=model, optimizer=sgd(model), loss=nn.CrossEntropyLoss(), data=examples()) as run:
        drawn = []
        for seed in (1, 2):
            torch.manual_seed(seed)
            run.step(range(4))
            drawn.append(torch.rand(3))
    assert not torch.equal(*drawn)


def test_what_changes_on_the_way_is_refused(tmp_path):
    model = mlp()
    optimizer = sgd(model)
    with pytest.raises(pk.InvalidInput, match="'0.weight' no longer learns"), pk.record(tmp_path / "frozen", model=model, optimizer=optimizer, loss=nn.CrossEntropyLoss(), data=examples()) as run:
        run.step(range(4))
        model[0].weight.requires_grad_(False)
        run.step(range(4))
    model[0].weight.requires_grad_(True)
    optimizer.register_step_post_hook(lambda *_: None)
    with pytest.raises(pk.InvalidInput, match="step hooks"):
        pk.record(tmp_path / "hooked", model=model, optimizer=optimizer, loss=nn.CrossEntropyLoss(), data=examples())
    with pytest.raises(pk.InvalidInput, match="of a mask"), pk.record(tmp_path / "mask", model=model, optimizer=sgd(model), loss=nn.CrossEntropyLoss(), data=examples()) as run:
        run.step(torch.ones(24, dtype=torch.bool))
    with pytest.raises(pk.InvalidInput, match="reduces by mean, but reduction='sum'"):
        pk.record(tmp_path / "sum", model=model, optimizer=sgd(model), loss=nn.CrossEntropyLoss(), reduction="sum", data=examples())


def test_resume_walks_a_scheduler_from_its_beginning(tmp_path):
    def parts():
        model = mlp()
        optimizer = sgd(model)
        return model, optimizer, torch.optim.lr_scheduler.LambdaLR(optimizer, lambda e: 0.5**e)

    def rates(folder, cut, epochs=4):
        model, optimizer, scheduler = parts()
        given = {"model": model, "optimizer": optimizer, "loss": nn.CrossEntropyLoss(), "data": examples()}
        run = pk.record(folder, **given)
        run.fit(cut or epochs, 5, scheduler=scheduler, progress=False)
        run.close(complete=cut is None)
        if cut is not None:
            model, optimizer, scheduler = parts()
            with pk.resume(folder, **{**given, "model": model, "optimizer": optimizer}, progress=False) as run:
                run.fit(epochs, 5, scheduler=scheduler, progress=False)
        return [run.logged(s)["lr"] for s in range(run.steps)], run.logged(19)["hash"]

    assert rates(tmp_path / "cut", 2) == rates(tmp_path / "whole", None)
    model = mlp()
    run = pk.record(tmp_path / "late", model=model, optimizer=sgd(model), loss=nn.CrossEntropyLoss(), data=examples())
    run.fit(1, 5, progress=False)
    run.close(complete=False)
    optimizer = sgd(model)
    with pytest.raises(pk.InvalidInput, match="scheduler was made after"), pk.resume(tmp_path / "late", model=model, optimizer=optimizer, loss=nn.CrossEntropyLoss(), data=examples(), progress=False) as run:
        run.fit(2, 5, scheduler=torch.optim.lr_scheduler.LambdaLR(optimizer, lambda e: 0.5**e), progress=False)
    with pytest.raises(pk.InvalidInput, match="loss is label-smoothing"):
        pk.resume(tmp_path / "late", model=model, optimizer=sgd(model), loss=nn.CrossEntropyLoss(label_smoothing=0.1), data=examples(), progress=False)


def test_a_plateau_is_told_the_mean_loss(tmp_path):
    model = mlp()
    optimizer = sgd(model)
    with pk.record(tmp_path / "run", model=model, optimizer=optimizer, loss=nn.CrossEntropyLoss(), data=examples()) as run:
        run.fit(3, 8, scheduler=torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, threshold=1e9, patience=0), progress=False)
    assert run.verify(progress=False) == 9 and run.logged(8)["lr"] < 0.1


def test_ledgers_are_kept_and_shown(tmp_path):
    run = recorded(tmp_path / "run")
    ledger = run.explain(examples(3, seed=2), progress=False)
    ledger.save(tmp_path / "ledger")
    again = pk.load_ledger(tmp_path / "ledger")
    assert np.array_equal(again.contributions, ledger.contributions)
    towards, away = again.top(0, 3)
    assert towards[0].contribution == max(ledger.contributions[:, 0]) and away[0].contribution == min(ledger.contributions[:, 0])
    page = ledger.report(tmp_path / "report.html").read_text()
    assert page.startswith("<!doctype html") and "queries:0" in page
    assert "<iframe" in ledger._repr_html_()
    assert "adds up to" in str(ledger.certificate)
    program.run("show", tmp_path / "ledger")  # the formats are one


def test_retrain_without_examples(tmp_path):
    run = recorded(tmp_path / "run")
    same = run.retrain(tmp_path / "same", drop=[], progress=False)
    assert same.logged(9)["hash"] == run.logged(9)["hash"]
    without = run.retrain(tmp_path / "without", drop=[3, 5], progress=False)
    ledger = without.explain(examples(2), progress=False)
    assert (ledger.contributions[[3, 5]] == 0).all() and (ledger.contributions[4] != 0).all()


def test_plan_says_what_explain_takes(tmp_path):
    plan = recorded(tmp_path / "run").plan(examples(4))
    assert plan["queries"] == 4 and plan["steps"] == 10 and plan["parameters"] == 75 and plan["seconds"] > 0 and "steps" in plan["text"]


# -- one format on both sides -----------------------------------------------------------------------------------------------------------


class ProgramMlp(nn.Module):
    """The program's mlp:6-8-3, under its names."""

    def __init__(self):
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(6, 8), nn.Linear(8, 3)

    def forward(self, x):
        return self.fc2(torch.tanh(self.fc1(x)))


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_a_run_of_the_program_opens_here(tmp_path, optimizer):
    data = program.write_data(tmp_path / "data", dtype=np.float64)
    options = ["--momentum", "0.9"] if optimizer == "sgd" else ["--weight-decay", "0.1"]
    program.run("train", "--data", data, "--model", "mlp:6-8-3", "--activation", "tanh", "--optimizer", optimizer, "--lr", "0.05", *options, "--dtype", "double", "--epochs", "2", "--batch", "7",
                "--out", tmp_path / "run")
    program.run("explain", tmp_path / "run", "--queries", "test:0-4", "--measure", "logits", "--precision", "double", "--out", tmp_path / "ledger")
    theirs = pk.load_ledger(tmp_path / "ledger")
    x, y = (torch.from_numpy(np.load(data / f"train_{k}.npy")) for k in "xy")
    asked = torch.from_numpy(np.load(data / "test_x.npy"))[:5]
    model = ProgramMlp().double()
    live = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9) if optimizer == "sgd" else torch.optim.AdamW(model.parameters(), lr=0.05, weight_decay=0.1)
    for given in ({}, {"optimizer": live, "loss": nn.CrossEntropyLoss()}):  # the engine's optimizer and loss, or torch's
        run = pk.open(tmp_path / "run", model=model, data=(x, y), **given)
        assert run.verify(progress=False) == 12
        mine = run.explain(asked, "logits", progress=False)
        assert np.abs(mine.contributions - theirs.contributions).max() <= 1e-10 * np.abs(theirs.contributions).max()


class ProgramLeNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(1, 6, 5, padding=2), nn.Conv2d(6, 16, 5)
        self.fc1, self.fc2, self.fc3 = nn.Linear(400, 120), nn.Linear(120, 84), nn.Linear(84, 10)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.conv1(x)), 2)
        x = F.max_pool2d(F.relu(self.conv2(x)), 2).flatten(1)
        return self.fc3(F.relu(self.fc2(F.relu(self.fc1(x)))))


def test_lenet_here_and_in_the_program(tmp_path):
    """Two runs of their own, from the same initial weights: the same contributions to 1e-10."""
    data = program.write_data(tmp_path / "data", examples=48, inputs=(1, 28, 28), classes=10, dtype=np.float64)
    program.run("train", "--data", data, "--model", "lenet", "--lr", "0.05", "--momentum", "0.9", "--dtype", "double", "--epochs", "2", "--batch", "8", "--seed", "3",
                "--out", tmp_path / "theirs")
    program.run("explain", tmp_path / "theirs", "--queries", "test:0-3", "--measure", "logit:2", "--precision", "double", "--out", tmp_path / "ledger")
    theirs = pk.load_ledger(tmp_path / "ledger")
    x, y = (torch.from_numpy(np.load(data / f"train_{k}.npy")) for k in "xy")
    model = ProgramLeNet().double()
    with torch.no_grad():
        for name, weights in pk._engine.Recording(str(tmp_path / "theirs")).parameters(0):
            model.get_parameter(name).copy_(weights)
    run = recorded(tmp_path / "mine", model, sgd(model, lr=0.05), data=(x, y), batch_size=8, seed=3)
    mine = run.explain(torch.from_numpy(np.load(data / "test_x.npy"))[:4], "logit:2", progress=False)
    assert np.abs(mine.contributions - theirs.contributions).max() <= 1e-10 * np.abs(theirs.contributions).max()


def test_a_run_made_here_opens_in_the_program(tmp_path):
    data = program.write_data(tmp_path / "data", dtype=np.float64)
    x, y = (torch.from_numpy(np.load(data / f"train_{k}.npy")) for k in "xy")
    model = ProgramMlp().double()
    model.pathkernel_specification = "mlp:6-8-3 tanh"
    run = recorded(tmp_path / "run", model, torch.optim.Adam(model.parameters(), lr=0.01), data=(x, y), batch_size=7)
    program.run("verify", tmp_path / "run", "--data", data)
    program.run("explain", tmp_path / "run", "--data", data, "--queries", "test:0-4", "--measure", "logits", "--precision", "double", "--out", tmp_path / "ledger")
    theirs = pk.load_ledger(tmp_path / "ledger")
    mine = run.explain(torch.from_numpy(np.load(data / "test_x.npy"))[:5], "logits", progress=False)
    assert np.abs(mine.contributions - theirs.contributions).max() <= 1e-10 * np.abs(theirs.contributions).max()


def test_the_program_says_what_it_cannot_open(tmp_path):
    recorded(tmp_path / "run")
    assert "pathkernel.open" in program.run("explain", tmp_path / "run", "--queries", "test:0", "--out", tmp_path / "ledger", code=3).stderr
    info = program.run("info", tmp_path / "run").stdout
    assert "python:" in info and "complete, 10 steps" in info
