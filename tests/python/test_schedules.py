"""The learning rates in the step log are those of torch.optim.lr_scheduler."""

import sqlite3

import program
import pytest
import torch
from torch.optim import lr_scheduler

LR, STEPS = 0.4, 40

SCHEDULES = {
    "constant": ([], lambda optimizer, steps: lr_scheduler.ConstantLR(optimizer, factor=1.0)),
    "step": (["--schedule", "step", "--lr-step", "7", "--lr-gamma", "0.3"], lambda optimizer, steps: lr_scheduler.StepLR(optimizer, 7, 0.3)),
    "cosine": (["--schedule", "cosine"], lambda optimizer, steps: lr_scheduler.CosineAnnealingLR(optimizer, steps)),
    "one-cycle": (
        ["--schedule", "one-cycle"],
        lambda optimizer, steps: lr_scheduler.OneCycleLR(optimizer, LR, total_steps=steps, cycle_momentum=False),
    ),
}


def logged(tmp_path, *arguments):
    data = program.write_data(tmp_path / "data", examples=STEPS)
    program.run("train", "--data", data, "--model", "mlp:6-3", "--batch", 1, "--threads", 1, "--out", tmp_path / "run", *arguments)
    database = sqlite3.connect(tmp_path / "run" / "recording.sqlite")
    return [row[0] for row in database.execute("SELECT lr FROM steps ORDER BY step")]


def theirs(make, steps, lr=LR):
    """One learning rate per step."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=lr)
    schedule = make(optimizer, steps)
    rates = []
    for _ in range(steps):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step() if len(rates) < steps else None
    return rates


@pytest.mark.parametrize("name", SCHEDULES)
def test_learning_rates(name, tmp_path):
    arguments, make = SCHEDULES[name]
    ours = logged(tmp_path, "--lr", LR, *arguments)
    assert len(ours) == STEPS
    assert ours == pytest.approx(theirs(make, STEPS), rel=1e-9, abs=1e-16)


@pytest.mark.parametrize("name", SCHEDULES)
def test_warmup_in_front(name, tmp_path):
    arguments, make = SCHEDULES[name]
    warmup = 9
    ours = logged(tmp_path, "--lr", LR, "--warmup", warmup, *arguments)
    behind = theirs(make, STEPS - warmup)
    ramp = theirs(lambda optimizer, steps: lr_scheduler.LinearLR(optimizer, 1 / (warmup + 1), total_iters=warmup), warmup, lr=behind[0])
    assert ours == pytest.approx(ramp + behind, rel=1e-9, abs=1e-16)


def test_sequential_of_torch_is_the_same(tmp_path):
    """The usual way to write a warm-up in torch."""
    ours = logged(tmp_path, "--lr", LR, "--warmup", 9, "--schedule", "cosine")

    def both(optimizer, steps):
        first = lr_scheduler.LinearLR(optimizer, 0.1, total_iters=9)
        return lr_scheduler.SequentialLR(optimizer, [first, lr_scheduler.CosineAnnealingLR(optimizer, steps - 9)], [9])

    assert ours == pytest.approx(theirs(both, STEPS), rel=1e-9, abs=1e-16)


def test_max_lr_is_the_peak_of_one_cycle(tmp_path):
    assert max(logged(tmp_path, "--schedule", "one-cycle", "--max-lr", 0.7)) == pytest.approx(0.7)
