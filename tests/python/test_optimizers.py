"""The program's weights are those of torch.optim, to the last bit: the same net, data, batches and settings in both."""

import math

import numpy as np
import program
import pytest
import torch
from safetensors.torch import load_file, save_file

STEPS, BATCH, EXAMPLES = 25, 8, 40


class Lion(torch.optim.Optimizer):
    """torch has no Lion: this is the update of its paper (arXiv:2302.06675, algorithm 2), written here to compare with."""

    def __init__(self, params, lr=1e-4, betas=(0.9, 0.99), weight_decay=0.0, foreach=False):
        super().__init__(params, dict(lr=lr, betas=betas, weight_decay=weight_decay))

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            beta1, beta2 = group["betas"]
            for p in group["params"]:
                m = self.state[p].setdefault("m", torch.zeros_like(p))
                if group["weight_decay"] != 0:
                    p.mul_(1 - group["lr"] * group["weight_decay"])
                p.add_((m * beta1 + p.grad * (1 - beta1)).sign(), alpha=-group["lr"])
                m.mul_(beta2).add_(p.grad, alpha=1 - beta2)


class SGDW(torch.optim.SGD):
    """torch's SGD with decay decoupled as in its AdamW (arXiv:1711.05101); torch has none of its own."""

    def __init__(self, params, weight_decay, **settings):
        super().__init__(params, **settings)
        self.decay = weight_decay

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            for p in group["params"]:
                p.mul_(1 - group["lr"] * self.decay)
        super().step()


CASES = {
    "sgd": (torch.optim.SGD, dict(lr=0.1), ["--optimizer", "sgd", "--lr", "0.1"]),
    "sgd_decay": (torch.optim.SGD, dict(lr=0.1, weight_decay=0.03), ["--lr", "0.1", "--weight-decay", "0.03"]),
    "momentum": (torch.optim.SGD, dict(lr=0.05, momentum=0.9), ["--lr", "0.05", "--momentum", "0.9"]),
    "dampening": (
        torch.optim.SGD,
        dict(lr=0.05, momentum=0.9, dampening=0.2, weight_decay=0.1),
        ["--lr", "0.05", "--momentum", "0.9", "--dampening", "0.2", "--weight-decay", "0.1"],
    ),
    "nesterov": (
        torch.optim.SGD,
        dict(lr=0.05, momentum=0.9, nesterov=True, weight_decay=0.01),
        ["--lr", "0.05", "--momentum", "0.9", "--nesterov", "--weight-decay", "0.01"],
    ),
    "adam": (torch.optim.Adam, dict(lr=0.003), ["--optimizer", "adam", "--lr", "0.003"]),
    "adam_default_lr": (torch.optim.Adam, dict(), ["--optimizer", "adam"]),
    "adam_betas": (
        torch.optim.Adam,
        dict(lr=0.003, betas=(0.4, 0.9), eps=1e-3),
        ["--optimizer", "adam", "--lr", "0.003", "--beta1", "0.4", "--beta2", "0.9", "--eps", "0.001"],
    ),
    "adam_l2": (torch.optim.Adam, dict(lr=0.003, weight_decay=0.1), ["--optimizer", "adam", "--lr", "0.003", "--weight-decay", "0.1"]),
    "adamw": (torch.optim.AdamW, dict(lr=0.003, weight_decay=0.1), ["--optimizer", "adamw", "--lr", "0.003", "--weight-decay", "0.1"]),
    "amsgrad": (torch.optim.Adam, dict(lr=0.03, betas=(0.9, 0.9), amsgrad=True), ["--optimizer", "adam", "--lr", "0.03", "--beta2", "0.9", "--amsgrad"]),
    "amsgrad_decoupled": (
        torch.optim.AdamW,
        dict(lr=0.03, betas=(0.9, 0.9), amsgrad=True, weight_decay=0.1),
        ["--optimizer", "adamw", "--lr", "0.03", "--beta2", "0.9", "--amsgrad", "--weight-decay", "0.1"],
    ),
    "radam": (torch.optim.RAdam, dict(), ["--optimizer", "radam"]),
    "radam_rectified": (torch.optim.RAdam, dict(lr=0.01, betas=(0.9, 0.9), weight_decay=0.1), ["--optimizer", "radam", "--lr", "0.01", "--beta2", "0.9", "--weight-decay", "0.1"]),
    "adamax": (torch.optim.Adamax, dict(), ["--optimizer", "adamax"]),
    "adadelta": (torch.optim.Adadelta, dict(weight_decay=0.1), ["--optimizer", "adadelta", "--weight-decay", "0.1"]),
    "nadam": (torch.optim.NAdam, dict(), ["--optimizer", "nadam"]),
    "nadam_l2": (
        torch.optim.NAdam,
        dict(lr=0.003, momentum_decay=0.05, weight_decay=0.1),
        ["--optimizer", "nadam", "--lr", "0.003", "--momentum-decay", "0.05", "--weight-decay", "0.1"],
    ),
    "nadam_decoupled": (
        torch.optim.NAdam,
        dict(lr=0.003, weight_decay=0.1, decoupled_weight_decay=True),
        ["--optimizer", "nadam", "--lr", "0.003", "--weight-decay", "0.1", "--decoupled"],
    ),
    "rmsprop": (torch.optim.RMSprop, dict(), ["--optimizer", "rmsprop"]),
    "rmsprop_l2": (
        torch.optim.RMSprop,
        dict(lr=0.003, alpha=0.8, eps=1e-4, weight_decay=0.1),
        ["--optimizer", "rmsprop", "--lr", "0.003", "--alpha", "0.8", "--eps", "1e-4", "--weight-decay", "0.1"],
    ),
    "rmsprop_centered": (torch.optim.RMSprop, dict(lr=0.003, centered=True), ["--optimizer", "rmsprop", "--lr", "0.003", "--centered"]),
    "rmsprop_momentum": (
        torch.optim.RMSprop,
        dict(lr=0.001, momentum=0.9, centered=True, weight_decay=0.1),
        ["--optimizer", "rmsprop", "--lr", "0.001", "--momentum", "0.9", "--centered", "--weight-decay", "0.1"],
    ),
    "adagrad": (torch.optim.Adagrad, dict(), ["--optimizer", "adagrad"]),
    "adagrad_all": (
        torch.optim.Adagrad,
        dict(lr=0.05, lr_decay=0.1, initial_accumulator_value=0.3, weight_decay=0.1),
        ["--optimizer", "adagrad", "--lr", "0.05", "--lr-decay", "0.1", "--initial-accumulator", "0.3", "--weight-decay", "0.1"],
    ),
    "lion": (Lion, dict(), ["--optimizer", "lion"]),
    "lion_decay": (
        Lion,
        dict(lr=0.003, betas=(0.7, 0.8), weight_decay=0.1),
        ["--optimizer", "lion", "--lr", "0.003", "--beta1", "0.7", "--beta2", "0.8", "--weight-decay", "0.1"],
    ),
    "sgdw": (
        SGDW,
        dict(lr=0.05, momentum=0.9, nesterov=True, weight_decay=0.1),
        ["--lr", "0.05", "--momentum", "0.9", "--nesterov", "--weight-decay", "0.1", "--decoupled"],
    ),
}

CLIPS = {
    "norm": (["--clip-norm", "0.2"], 0.2, None),
    "norm_that_is_rarely_reached": (["--clip-norm", "0.6"], 0.6, None),
    "value": (["--clip-value", "0.03"], None, 0.03),
    "both": (["--clip-norm", "0.3", "--clip-value", "0.05"], 0.3, 0.05),
}


def by_hand(data, net, make, settings, batches, loss, cosine=False, norm=None, value=None):
    x = torch.from_numpy(np.load(data / "train_x.npy"))
    y = torch.from_numpy(np.load(data / "train_y.npy"))
    optimizer = make(net.parameters(), foreach=False, **settings)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda s: (1 + math.cos(math.pi * (s / STEPS))) / 2 if cosine else 1.0)
    for row in batches:
        row = torch.from_numpy(row[row >= 0])
        optimizer.zero_grad()
        loss(net(x[row]), y[row]).backward()
        if norm:
            torch.nn.utils.clip_grad_norm_(net.parameters(), norm)
        if value:
            torch.nn.utils.clip_grad_value_(net.parameters(), value)
        optimizer.step()
        schedule.step()
    return {name: t.detach() for name, t in net.named_parameters()}


def compare_bits(make, settings, arguments, dtype, tmp_path, **by_hand_too):
    """Trains with the program and with torch, and compares every weight's bits."""
    number = {"float": torch.float32, "double": torch.float64}[dtype]
    data = program.write_data(tmp_path / "data", EXAMPLES, dtype=np.float32 if dtype == "float" else np.float64)
    random = np.random.default_rng(3)
    batches = random.integers(0, EXAMPLES, (STEPS, BATCH))
    batches[4, 5:] = -1  # a shorter batch
    np.save(tmp_path / "batches.npy", batches)

    torch.manual_seed(1)
    torch.set_num_threads(1)
    net = torch.nn.Sequential(torch.nn.Linear(6, 8), torch.nn.Tanh(), torch.nn.Linear(8, 3)).to(number)
    save_file(net.state_dict(), tmp_path / "init.safetensors")
    program.run("train", "--data", data, "--model", "mlp:6-8-3", "--activation", "tanh", "--init", tmp_path / "init.safetensors",
                "--batches", tmp_path / "batches.npy", "--dtype", dtype, "--threads", 1, "--out", tmp_path / "run", *arguments)  # fmt: skip

    theirs = by_hand(data, net, make, settings, batches, torch.nn.functional.cross_entropy, **by_hand_too)
    ours = load_file(tmp_path / "run" / "checkpoints" / f"step-{STEPS:08d}.safetensors")
    for their_name, our_name in {"0.weight": "fc1.weight", "0.bias": "fc1.bias", "2.weight": "fc2.weight", "2.bias": "fc2.bias"}.items():
        assert torch.equal(theirs[their_name], ours[f"parameters/{our_name}"]), our_name


@pytest.mark.parametrize("cosine", [False, True], ids=["constant", "cosine"])
@pytest.mark.parametrize("dtype", ["float", "double"])
@pytest.mark.parametrize("case", CASES)
def test_weights_agree_to_the_last_bit(case, dtype, cosine, tmp_path):
    make, settings, arguments = CASES[case]
    schedule = ["--schedule", "cosine"] if cosine else []
    compare_bits(make, settings, [*arguments, *schedule], dtype, tmp_path, cosine=cosine)


@pytest.mark.parametrize("dtype", ["float", "double"])
@pytest.mark.parametrize("case", ["momentum", "adam_l2", "nadam_decoupled"])
@pytest.mark.parametrize("clip", CLIPS)
def test_clipped_weights_agree_to_the_last_bit(clip, case, dtype, tmp_path):
    make, settings, arguments = CASES[case]
    options, norm, value = CLIPS[clip]
    compare_bits(make, settings, [*arguments, *options], dtype, tmp_path, norm=norm, value=value)


def test_mean_squared_error_agrees_too(tmp_path):
    data = program.write_data(tmp_path / "data", EXAMPLES, classes=0)
    batches = np.arange(EXAMPLES).reshape(5, 8)
    np.save(tmp_path / "batches.npy", batches)
    torch.manual_seed(1)
    torch.set_num_threads(1)
    net = torch.nn.Sequential(torch.nn.Linear(6, 8), torch.nn.ReLU(), torch.nn.Linear(8, 1))
    save_file(net.state_dict(), tmp_path / "init.safetensors")
    result = program.run_json("train", "--data", data, "--model", "mlp:6-8-1", "--init", tmp_path / "init.safetensors", "--batches",
                              tmp_path / "batches.npy", "--lr", 0.01, "--threads", 1, "--out", tmp_path / "run")  # fmt: skip
    theirs = by_hand(data, net, torch.optim.SGD, dict(lr=0.01), batches, lambda f, y: torch.nn.functional.mse_loss(f[:, 0], y))
    ours = load_file(tmp_path / "run" / "checkpoints" / "step-00000005.safetensors")
    for their_name, our_name in {"0.weight": "fc1.weight", "2.bias": "fc2.bias"}.items():
        torch.testing.assert_close(theirs[their_name], ours[f"parameters/{our_name}"], rtol=1e-6, atol=1e-7)

    x, y = (torch.from_numpy(np.load(data / f"test_{part}.npy")) for part in "xy")
    assert result["test_mse"] == pytest.approx(torch.nn.functional.mse_loss(net(x)[:, 0], y).item(), rel=1e-5)
