"""Wrong input from Python: each is refused by name, and what cannot be seen at once is warned of."""

import shutil

import numpy as np
import pytest
import torch
import torch.nn as nn
import torch.nn.functional as F

from test_package import assert_complete, examples, logit_loss, mlp, pk, recorded, sgd


def test_wrong_input_is_named(tmp_path):
    model = mlp()

    def refused(match, error=pk.InvalidInput, **changed):
        given = {"model": model, "optimizer": sgd(model), "loss": nn.CrossEntropyLoss(), "data": examples(), **changed}
        with pytest.raises(error, match=match):
            with pk.record(tmp_path / "refused", **given) as run:
                run.fit(1, 5, progress=False)
        shutil.rmtree(tmp_path / "refused", ignore_errors=True)

    refused("nn.Module is expected", model=lambda x: x)
    refused("LBFGS, whose steps the engine cannot read; use one of torch.optim's SGD", optimizer=torch.optim.LBFGS(model.parameters()))
    refused(r"parameter '2.weight' of the model is not among its parameters", optimizer=sgd(model[0]))
    refused("none of the model's", optimizer=torch.optim.SGD([*model.parameters(), nn.Parameter(torch.zeros(3))], lr=0.1))
    refused(r"gave float32 \[\] for 5 examples; one loss per example, \[5\]", loss=lambda z, y: F.cross_entropy(z, y))
    refused("compared every output with every target", model=(wide := mlp(classes=1)), optimizer=sgd(wide), loss=nn.MSELoss(), data=(examples()[0], torch.zeros(24)))
    refused("item 2 holds NaN", data=(torch.where(torch.arange(24)[:, None] == 2, torch.nan, examples()[0]), examples()[1]))
    refused("24 inputs and 20 targets", data=(examples()[0], examples()[1][:20]))
    refused("without labels", data=[{"x": torch.zeros(5)}] * 4)
    refused("the data set is empty", data=[])
    refused("have different shapes", data=[(torch.zeros(5 + i % 2), 0) for i in range(8)], loss=logit_loss)
    refused("loses|finite|nan", error=pk.Diverged, optimizer=sgd(model, lr=3e38))


def test_open_names_the_first_difference(tmp_path):
    recorded(tmp_path / "run")

    def refused(match, **changed):
        model = changed.pop("model", mlp())
        given = {"model": model, "optimizer": sgd(model), "loss": nn.CrossEntropyLoss(), "data": examples(), **changed}
        with pytest.raises(pk.InvalidInput, match=match):
            pk.open(tmp_path / "run", **given)

    refused(r"'0.weight' \(float32 \[8, 6\]\) where '0.weight' \(float32 \[8, 5\]\)", model=mlp(features=6))
    refused("float64", model=mlp(torch.float64))
    model = mlp()
    refused("optimizer's momentum is 0.5, but 0.9", model=model, optimizer=sgd(model, momentum=0.5))
    refused("label-smoothing:0.1, but cross-entropy", loss=nn.CrossEntropyLoss(label_smoothing=0.1))
    refused("has 20 examples, but 24", data=examples(20))
    refused("fingerprint", data=examples(seed=9))
    with pytest.raises(pk.InvalidInput, match="no such folder"):
        pk.open(tmp_path / "nothing", model=mlp(), data=examples())


def test_a_parameter_read_behind_the_tape_s_back_is_named(tmp_path):
    class Hides(nn.Module):
        def __init__(self):
            super().__init__()
            self.net, self.scale = mlp(), nn.Parameter(torch.ones(3))

        def forward(self, x):
            return self.net(x) * self.scale.data + 0 * self.scale

    run = recorded(tmp_path / "run", Hides())
    with pytest.raises(pk.InvalidInput, match="'scale' behind the tape's back"):
        run.explain(examples(2), progress=False)


def test_a_model_that_is_not_deterministic_is_found(tmp_path):
    class Counts(nn.Module):
        calls = 0

        def __init__(self):
            super().__init__()
            self.net = mlp()

        def forward(self, x):
            Counts.calls += 1
            return self.net(x) * (1 + 0.01 * Counts.calls)

    run = recorded(tmp_path / "run", Counts())
    with pytest.raises(pk.ReplayMismatch, match="step 0, repeated, gave other weights"):
        run.verify(progress=False)


def test_weights_changed_from_outside_are_found(tmp_path):
    model = mlp()
    with pk.record(tmp_path / "run", model=model, optimizer=sgd(model), loss=nn.CrossEntropyLoss(), data=examples()) as run:
        run.step(range(5))
        with torch.no_grad():
            model[0].weight.add_(1)
        with pytest.raises(pk.InvalidInput, match="'0.weight' was changed since step 0"):
            run.step(range(5))


@pytest.mark.parametrize("write", [lambda w: w.data.add_(1), lambda w: w.detach().numpy().__iadd__(1)])
def test_so_are_those_changed_around_autograd(tmp_path, write):
    model = mlp()
    with pk.record(tmp_path / "run", model=model, optimizer=sgd(model), loss=nn.CrossEntropyLoss(), data=examples()) as run:
        run.step(range(5))
        write(model[2].weight)
        with pytest.raises(pk.InvalidInput, match="a weight or buffer was changed since step 0|'2.weight' was changed since step 0"):
            run.step(range(5))
        with pytest.raises(pk.InvalidInput, match="was changed since step 0"), run.recording(range(5)):
            pass


def test_drift_is_warned_of(tmp_path):
    class Drifts(nn.Module):
        scale = 1.0

        def __init__(self):
            super().__init__()
            self.net = mlp()

        def forward(self, x):
            return self.net(x) * Drifts.scale

    run = recorded(tmp_path / "run", Drifts())
    Drifts.scale = 1.25
    with pytest.warns(UserWarning, match="step 0 gave other weights than were recorded, and the difference is booked as rounding"):
        run.explain(examples(2), progress=False)
    with pytest.raises(pk.ReplayMismatch):
        run.explain(examples(2), strict=True, progress=False)


def test_items_that_hold_no_numbers_are_named(tmp_path):
    items = [(torch.full((5,), torch.nan if i == 3 else float(i)), i % 3) for i in range(8)]
    model = mlp()
    with pytest.raises(pk.InvalidInput, match="the input of item 3 holds NaN"):
        pk.record(tmp_path / "run", model=model, optimizer=sgd(model), loss=nn.CrossEntropyLoss(), data=items)


def test_one_query_is_a_batch_of_one(tmp_path):
    run = recorded(tmp_path / "run")
    x = examples(1, seed=4)[0]
    with pytest.raises(pk.InvalidInput, match=r"float32 \[5\] is one input; a batch of them is expected \(of a single one: x\[None\]\)"):
        run.explain(x[0], progress=False)
    assert run.explain(x[0][None], progress=False).contributions.shape == (24, 1)


class Recurrent(nn.Module):
    """Gives what torch's recurrent layers give: (outputs, (states, cells))."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.lstm, self.last = nn.LSTM(5, 6, batch_first=True), nn.Linear(6, 3)

    def forward(self, x):
        y, (h, c) = self.lstm(x[:, None, :].expand(-1, 3, -1))
        return self.last(y[:, -1]), None, (h.transpose(0, 1), {"cells": c.transpose(0, 1)})


def test_outputs_may_be_nested(tmp_path):
    def loss(outputs, targets):
        logits, none, (states, rest) = outputs
        assert none is None
        return F.cross_entropy(logits, targets, reduction="none") + 0.1 * states.square().flatten(1).sum(1) + 0.01 * rest.cells.flatten(1).sum(1)

    run = recorded(tmp_path / "run", Recurrent().double(), loss=loss, data=examples(dtype=torch.float64))
    assert run.verify(progress=False) == 10
    ledger = run.explain(examples(3, seed=3, dtype=torch.float64), measure=lambda outputs, batch: outputs[2][1]["cells"].flatten(1)[:, 0], progress=False)
    assert_complete(ledger)
    assert np.abs(ledger.contributions).min() > 0


class Words(nn.Module):
    def __init__(self, **options):
        super().__init__()
        torch.manual_seed(0)
        self.words, self.last = nn.Embedding(7, 4, **options), nn.Linear(4, 3)

    def forward(self, x):
        return self.last(self.words(x).mean(1))


@pytest.mark.parametrize("option", ["sparse=True", "max_norm=1.0", "scale_grad_by_freq=True"])
def test_embeddings_that_cannot_be_accounted_for_are_named(tmp_path, option):
    model = Words(**eval(f"dict({option})"))
    with pytest.raises(pk.InvalidInput, match=f"the Embedding 'words' has {option}, .*leave it out"):
        pk.record(tmp_path / "run", model=model, optimizer=torch.optim.SGD(model.parameters(), lr=0.1), loss=nn.CrossEntropyLoss(), data=(torch.zeros(6, 2, dtype=torch.long), torch.arange(6) % 3))
    assert not (tmp_path / "run").exists()


def test_muon_s_iterations_have_a_limit(tmp_path):
    model = nn.Sequential(nn.Linear(5, 8, bias=False), nn.Linear(8, 3, bias=False))
    for dtype, most in ((torch.float32, 8), (torch.float64, 12)):
        model = model.to(dtype)
        data = examples(dtype=dtype)
        with pytest.raises(pk.InvalidInput, match=f"ns_steps={most + 1}; up to {most} of its iterations"):
            pk.record(tmp_path / "run", model=model, optimizer=torch.optim.Muon(model.parameters(), ns_steps=most + 1), loss=nn.CrossEntropyLoss(), data=data)
        recorded(tmp_path / str(most), model, torch.optim.Muon(model.parameters(), ns_steps=most), data=data, epochs=0.4).explain(data[0][:2], progress=False)


def test_arguments_of_another_type_are_named(tmp_path):
    def refused(match, **changed):
        model = mlp()
        if "average_start" in changed:
            changed["average"] = torch.optim.swa_utils.AveragedModel(model)
        with pytest.raises(pk.InvalidInput, match=match):
            pk.record(tmp_path / "no", **{"model": model, "optimizer": sgd(model), "loss": nn.CrossEntropyLoss(), "data": examples(), **changed})
        assert not (tmp_path / "no").exists()

    for name in ("average_start", "seed", "accumulate", "checkpoint_every"):
        refused(f"record: {name} is 1.5; a whole number from", **{name: 1.5})
    refused("record: clip_value is 'a'; 0 .none. or a number above it", clip_value="a")
    refused("record: ema is None", ema=None)
    refused("record: regulariser is 3; a text", regulariser=3)
    model = mlp()
    with pk.record(tmp_path / "run", model=model, optimizer=sgd(model), loss=nn.CrossEntropyLoss(), data=examples()) as run:
        with pytest.raises(pk.InvalidInput, match="run.fit: batch_size is 8.5; a whole number from 1 on"):
            run.fit(1, 8.5, progress=False)
        with pytest.raises(pk.InvalidInput, match="run.fit: epochs is 'two'"):
            run.fit("two", 8, progress=False)
        run.fit(1, 8, progress=False)
    x = examples(2)[0]
    for name, value in (("keep", 1.5), ("stride", True), ("panels", "2"), ("memory", None), ("until", 2.5)):
        with pytest.raises(pk.InvalidInput, match=f"explain: {name} is {value!r}; a whole number from"):
            run.explain(x, progress=False, **{name: value})
    with pytest.raises(pk.InvalidInput, match="tracin: checkpoints is 1.5"):
        run.tracin((x, torch.zeros(2, dtype=torch.long)), checkpoints=1.5)
    with pytest.raises(pk.InvalidInput, match="relabel is a list of .*; a dict, example to label"):
        run.retrain(tmp_path / "no", relabel=[1, 2])
    for label in (None, float("nan"), True):
        with pytest.raises(pk.InvalidInput, match=f"relabel: a label is {label!r}; a class"):
            run.retrain(tmp_path / "no", relabel={1: label})
    with pytest.raises(pk.InvalidInput, match="tangent kernel: the inputs hold NaN"):
        pk.tangent_kernel(model, torch.full((2, 5), torch.nan))
    with pytest.raises(pk.InvalidInput, match="tangent kernel: the inputs hold NaN"):
        run.tangent_kernel(torch.full((2, 5), torch.nan), progress=False)


def test_inference_mode_is_named(tmp_path):
    run, model, x = recorded(tmp_path / "run"), mlp(), examples(2)[0]
    with torch.inference_mode():
        for name, ask in (("record", lambda: recorded(tmp_path / "no", model)), ("run", lambda: run.explain(x, progress=False)), ("run", lambda: run.verify(progress=False))):
            with pytest.raises(pk.InvalidInput, match=rf"{name}: torch.inference_mode\(\) is on"):
                ask()


class Items(torch.utils.data.Dataset):
    def __init__(self, augments=False):
        self.x, self.y = examples()
        self.augments = augments

    def __len__(self):
        return len(self.x)

    def __getitem__(self, i):
        return self.x[i] + (0.1 * torch.randn(5) if self.augments else 0), int(self.y[i])


def own_step(run, model, optimizer, items, rows):
    with run.recording(rows):
        x, y = (torch.stack([torch.as_tensor(items[i][k]) for i in rows]) for k in (0, 1))
        optimizer.zero_grad()
        F.cross_entropy(model(x), y).backward()
        optimizer.step()


def test_own_steps_cannot_follow_augmentation(tmp_path):
    for augments, match in ((True, "the data set draws its items at random"), (False, None)):
        model, items = mlp(), Items(augments)
        optimizer = sgd(model)
        with pk.record(tmp_path / str(augments), model=model, optimizer=optimizer, loss=nn.CrossEntropyLoss(), data=items) as run:
            if match is None:
                own_step(run, model, optimizer, items, [1, 2, 3])
                continue
            with pytest.raises(pk.InvalidInput, match=match):
                own_step(run, model, optimizer, items, [1, 2, 3])


def test_own_steps_keep_every_module_s_mode(tmp_path):
    model = nn.Sequential(mlp(), nn.Dropout(0.5))
    optimizer, items = sgd(model), Items()
    with pk.record(tmp_path / "run", model=model, optimizer=optimizer, loss=nn.CrossEntropyLoss(), data=items) as run:
        own_step(run, model, optimizer, items, [1, 2, 3])
        model[1].eval()
        with pytest.raises(pk.InvalidInput, match="the module '1' was in eval mode, in which the run's steps are not repeated"):
            own_step(run, model, optimizer, items, [4, 5, 6])


def test_data_changed_in_place_are_named(tmp_path):
    items = Items()
    run = recorded(tmp_path / "run", data=items)
    items.x += 1
    named = r"The data set \(Items\) gives other items now"
    with pytest.raises(pk.ReplayMismatch, match=named):
        run.verify(progress=False)
    with pytest.raises(pk.ReplayMismatch, match=named):
        run.explain(items.x[:2], strict=True, progress=False)
    with pytest.warns(UserWarning, match=named):
        run.explain(items.x[:2], progress=False)


def test_code_that_the_tape_cannot_see_is_a_possible_reason(tmp_path):
    class Hidden(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = mlp(torch.float64)

        def forward(self, x):
            return self.net(x) * float(self.net[0].weight.detach().numpy().sum())

    x = examples(2, dtype=torch.float64)[0]
    run = recorded(tmp_path / "run", Hidden(), data=examples(dtype=torch.float64))
    with pytest.warns(UserWarning, match=r"numpy, .item\(\)") as told:
        run.explain(x, "logit:1", precision="double", progress=False)
    assert not any("precision='double'" in str(w.message) for w in told)


def test_a_batch_whose_targets_are_all_ignored_teaches_nothing(tmp_path):
    (x, y), model = examples(), mlp()
    with pk.record(tmp_path / "run", model=model, optimizer=torch.optim.SGD(model.parameters(), lr=0.1), loss=nn.CrossEntropyLoss(), data=(x, torch.where(torch.arange(24) < 6, -100, y))) as run:
        before = [p.clone() for p in model.parameters()]
        assert run.step(range(6)) == 0  # torch's own mean is 0/0
        assert all(torch.equal(a, b) for a, b in zip(before, model.parameters()))
        assert run.step(range(12)) > 0
