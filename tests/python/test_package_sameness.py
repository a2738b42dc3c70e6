"""What a recording is opened with must be what it was made with: each difference is named, and what may differ is let through."""

import pytest
import torch
import torch.nn as nn

from test_package import examples, mlp, pk, sgd


def two_groups(model, decay=0.1, **second):
    return torch.optim.SGD([{"params": model[0].parameters(), "weight_decay": decay}, {"params": model[2].parameters(), "lr": 0.02, **second}], lr=0.1)


def two_optimizers(model, decay=0.01, second=torch.optim.AdamW):
    return [torch.optim.SGD([model[0].weight, model[2].weight], lr=0.1), second([model[0].bias, model[2].bias], lr=0.01, weight_decay=decay)]


def begun_with(folder, make, model=None, scheduler=None):
    model = model or mlp()
    optimizer = make(model)
    schedulers = scheduler(optimizer) if scheduler else None
    with pk.record(folder, model=model, optimizer=optimizer, loss=nn.CrossEntropyLoss(), data=examples()) as run:
        run.fit(1, 6, scheduler=schedulers, scheduler_every="step", progress=False)
    return run


def opened_with(folder, make, model=None):
    model = model or mlp()
    return pk.open(folder, model=model, optimizer=make(model) if make else None, loss=nn.CrossEntropyLoss(), data=examples())


DIFFERENCES = {
    "the second group's decay": (two_groups, lambda m: two_groups(m, weight_decay=0.7), r"weight_decay of group 1 is 0.7, but 0 was recorded"),
    "the second optimizer's decay": (two_optimizers, lambda m: two_optimizers(m, decay=0.5), r"weight_decay of group 1 is 0.5, but 0.01 was recorded"),
    "the second optimizer": (two_optimizers, lambda m: two_optimizers(m, second=torch.optim.NAdam), "group 1 belongs to NAdam, but to AdamW"),
    "maximize": (sgd, lambda m: sgd(m, maximize=True), "optimizer's maximize is True, but False was recorded"),
    "groups in another order": (two_groups, lambda m: torch.optim.SGD([{"params": m[2].parameters(), "weight_decay": 0.1}, {"params": m[0].parameters(), "lr": 0.02}], lr=0.1),
                                "group 0 of the optimizer has other parameters"),
    "one group": (two_groups, sgd, "the optimizer has 1 groups of parameters, but 2 were recorded"),
    "no optimizer, of two groups": (two_groups, None, "was trained with 2 groups of parameters; give the optimizer"),
    "no optimizer, that climbs": (lambda m: sgd(m, maximize=True, lr=1e-3), None, "trained with maximize=True; give the optimizer"),
}


@pytest.mark.parametrize("which", DIFFERENCES)
def test_the_first_difference_of_optimizers_is_named(tmp_path, which):
    recorded, other, message = DIFFERENCES[which]
    begun_with(tmp_path / "run", recorded)
    assert opened_with(tmp_path / "run", recorded).verify(progress=False) == 4
    with pytest.raises(pk.InvalidInput, match=message):
        opened_with(tmp_path / "run", other)


def test_what_schedulers_move_is_no_difference(tmp_path):
    def cycle(optimizer):
        return torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=0.1, total_steps=10)

    begun_with(tmp_path / "run", sgd, scheduler=cycle)
    assert opened_with(tmp_path / "run", sgd).verify(progress=False) == 4
    with pytest.raises(pk.InvalidInput, match="momentum changed while the run was made"):
        opened_with(tmp_path / "run", None)


def test_what_the_run_ended_with_is_no_difference(tmp_path):
    model = mlp()
    optimizer = sgd(model)
    with pk.record(tmp_path / "run", model=model, optimizer=optimizer, loss=nn.CrossEntropyLoss(), data=examples()) as run:
        for decay in (0, 0.1, 0.2):
            optimizer.param_groups[0]["weight_decay"] = decay
            run.step(range(6))
    reopened = pk.open(tmp_path / "run", model=model, optimizer=optimizer, loss=nn.CrossEntropyLoss(), data=examples())
    assert reopened.verify(progress=False) == 3


class Plain(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.layer = nn.Linear(5, 3)

    def forward(self, x):
        return self.layer(x)


class Bent(Plain):
    def forward(self, x):
        return torch.tanh(self.layer(x))


def test_another_class_of_model_is_named(tmp_path):
    begun_with(tmp_path / "run", sgd, Plain())
    assert opened_with(tmp_path / "run", sgd, Plain()).verify(progress=False) == 4
    with pytest.raises(pk.InvalidInput, match="the model is a Bent, but a Plain was recorded"):
        opened_with(tmp_path / "run", sgd, Bent())
    Elsewhere = type("Plain", (Plain,), {"__module__": "imported.elsewhere"})  # the same class of a script that is imported now
    assert opened_with(tmp_path / "run", sgd, Elsewhere()).verify(progress=False) == 4


def test_resume_looks_as_well(tmp_path):
    model = mlp()
    pk.record(tmp_path / "run", model=model, optimizer=two_groups(model), loss=nn.CrossEntropyLoss(), data=examples()).fit(1, 6, progress=False).close(complete=False)
    model = mlp()
    with pytest.raises(pk.InvalidInput, match="weight_decay of group 1 is 0.7"):
        pk.resume(tmp_path / "run", model=model, optimizer=two_groups(model, weight_decay=0.7), loss=nn.CrossEntropyLoss(), data=examples(), progress=False)
