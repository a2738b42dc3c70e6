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
