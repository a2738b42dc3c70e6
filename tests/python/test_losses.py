"""Runs with each loss: the weights follow torch.nn.functional's, and the ledger of what was learned adds up."""

import numpy as np
import program
import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file

EXAMPLES, STEPS, BATCH, LR = 40, 20, 8, 0.1

# name: (option, loss of outputs and targets, classes, outputs)
LOSSES = {
    "cross-entropy": ("cross-entropy", F.cross_entropy, 3, 3),
    "label-smoothing": ("label-smoothing:0.1", lambda f, y, reduction: F.cross_entropy(f, y, label_smoothing=0.1, reduction=reduction), 3, 3),
    "hinge": ("hinge", F.multi_margin_loss, 3, 3),
    "mse": ("mse", lambda f, y, reduction: F.mse_loss(f[:, 0], y, reduction=reduction), 0, 1),
    "huber": ("huber:0.5", lambda f, y, reduction: F.huber_loss(f[:, 0], y, delta=0.5, reduction=reduction), 0, 1),
    "bce-two-classes": ("bce-with-logits", lambda f, y, reduction: F.binary_cross_entropy_with_logits(f[:, 0], y.double(), reduction=reduction), 2, 1),
    "bce-labels": (
        "bce-with-logits",
        lambda f, y, reduction: F.binary_cross_entropy_with_logits(f, y, reduction=reduction) / (4 if reduction == "sum" else 1),
        "labels",
        4,
    ),
}


def write(folder, classes):
    data = program.write_data(folder, EXAMPLES, classes=0 if classes == "labels" else classes, dtype=np.float64)
    if classes == "labels":
        random = np.random.default_rng(1)
        for part in ("train", "test"):
            count = len(np.load(data / f"{part}_y.npy"))
            np.save(data / f"{part}_y.npy", random.integers(0, 2, (count, 4)).astype(np.float64))
    return data


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("case", LOSSES)
def test_training_follows_torch(case, reduction, tmp_path):
    option, loss, classes, outputs = LOSSES[case]
    lr = LR if reduction == "mean" else LR / BATCH
    data = write(tmp_path / "data", classes)
    batches = np.random.default_rng(3).integers(0, EXAMPLES, (STEPS, BATCH))
    np.save(tmp_path / "batches.npy", batches)
    torch.manual_seed(1)
    torch.set_num_threads(1)
    net = torch.nn.Sequential(torch.nn.Linear(6, 8), torch.nn.Tanh(), torch.nn.Linear(8, outputs)).double()
    save_file(net.state_dict(), tmp_path / "init.safetensors")
    program.run("train", "--data", data, "--model", f"mlp:6-8-{outputs}", "--activation", "tanh", "--init", tmp_path / "init.safetensors", "--batches",
                tmp_path / "batches.npy", "--dtype", "double", "--lr", lr, "--loss", option, "--reduction", reduction, "--threads", 1,
                "--out", tmp_path / "run")  # fmt: skip

    x, y = (torch.from_numpy(np.load(data / f"train_{part}.npy")) for part in "xy")
    optimizer = torch.optim.SGD(net.parameters(), lr=lr)
    for row in map(torch.from_numpy, batches):
        optimizer.zero_grad()
        loss(net(x[row]), y[row], reduction=reduction).backward()
        optimizer.step()
    ours = load_file(tmp_path / "run" / "checkpoints" / f"step-{STEPS:08d}.safetensors")
    for their_name, our_name in {"0.weight": "fc1.weight", "2.weight": "fc2.weight", "2.bias": "fc2.bias"}.items():
        torch.testing.assert_close(net.state_dict()[their_name], ours[f"parameters/{our_name}"], rtol=1e-12, atol=1e-14)

    result = program.run_json("explain", tmp_path / "run", "--queries", "test:0-4", "--measure", "loss", "--out", tmp_path / "ledger")
    assert result["residual_to_contributions"] <= 1e-12
    assert load_file(tmp_path / "ledger" / "ledger.safetensors")["contributions"].abs().sum() > 1e-3
