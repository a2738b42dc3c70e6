"""The built-in residual network is the one a Python user writes: same weights, outputs and running statistics after training."""

import numpy as np
import program
import pytest
import torch
import torch.nn as nn
from safetensors.torch import load_file, save_file

EXAMPLES, BATCH, STEPS = 24, 8, 7


class Block(nn.Module):
    def __init__(self, before, after, stride, activation):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(before, after, 3, stride, 1, bias=False), nn.BatchNorm2d(after)
        self.conv2, self.bn2 = nn.Conv2d(after, after, 3, 1, 1, bias=False), nn.BatchNorm2d(after)
        self.downsample = None
        if before != after or stride != 1:
            self.downsample = nn.Sequential(nn.Conv2d(before, after, 1, stride, bias=False), nn.BatchNorm2d(after))
        self.activation = activation

    def forward(self, x):
        y = self.bn2(self.conv2(self.activation(self.bn1(self.conv1(x)))))
        return self.activation(y + (x if self.downsample is None else self.downsample(x)))


class ResNet(nn.Module):
    def __init__(self, widths, activation):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(widths[0], widths[1], 3, 1, 1, bias=False), nn.BatchNorm2d(widths[1])
        self.activation = activation
        before = widths[1]
        self.stages = len(widths) - 2
        for k in range(self.stages):
            self.add_module(f"layer{k + 1}", nn.Sequential(Block(before, widths[k + 1], 1 if k == 0 else 2, activation)))
            before = widths[k + 1]
        self.fc = nn.Linear(before, widths[-1])

    def forward(self, x):
        x = self.activation(self.bn1(self.conv1(x)))
        for k in range(self.stages):
            x = getattr(self, f"layer{k + 1}")(x)
        return self.fc(x.mean((2, 3)))


@pytest.mark.parametrize("activation", ["relu", "gelu"])
@pytest.mark.parametrize("dtype", ["float", "double"])
def test_equals_its_python_twin(dtype, activation, tmp_path):
    number = {"float": torch.float32, "double": torch.float64}[dtype]
    data = program.write_data(tmp_path / "data", EXAMPLES, inputs=(2, 7, 6), classes=0, dtype=np.float32 if dtype == "float" else np.float64)
    batches = np.random.default_rng(3).integers(0, EXAMPLES, (STEPS, BATCH))
    batches[4, 5:] = -1  # a shorter batch
    np.save(tmp_path / "batches.npy", batches)
    torch.manual_seed(1)
    torch.set_num_threads(1)
    net = ResNet([2, 3, 3, 5, 1], {"relu": nn.ReLU(), "gelu": nn.GELU()}[activation]).to(number)
    save_file(net.state_dict(), tmp_path / "init.safetensors")
    result = program.run_json("train", "--data", data, "--model", "resnet:2-3-3-5-1", "--activation", activation, "--init", tmp_path / "init.safetensors",
                              "--batches", tmp_path / "batches.npy", "--lr", 0.05, "--momentum", 0.9, "--dtype", dtype, "--threads", 1, "--out", tmp_path / "run")  # fmt: skip

    x, y = (torch.from_numpy(np.load(data / f"train_{part}.npy")) for part in "xy")
    optimizer = torch.optim.SGD(net.parameters(), lr=0.05, momentum=0.9, foreach=False)
    for row in batches:
        row = torch.from_numpy(row[row >= 0])
        optimizer.zero_grad()
        nn.functional.mse_loss(net(x[row])[:, 0], y[row]).backward()
        optimizer.step()

    ours = load_file(tmp_path / "run" / "checkpoints" / f"step-{STEPS:08d}.safetensors")
    theirs = net.state_dict()
    parameters, buffers = {k for k, _ in net.named_parameters()}, {k for k, _ in net.named_buffers()}
    assert {k[11:] for k in ours if k.startswith("parameters/")} == parameters
    assert {k[8:] for k in ours if k.startswith("buffers/")} == buffers
    bound = {"float": 1e-5, "double": 1e-12}[dtype]
    for name in theirs:
        mine = ours[f"parameters/{name}" if name in parameters else f"buffers/{name}"]
        assert mine.dtype == theirs[name].dtype and mine.shape == theirs[name].shape, name
        assert (mine - theirs[name]).abs().max() <= bound * max(1, theirs[name].abs().max()), name
    assert ours["buffers/layer2.0.bn1.num_batches_tracked"] == STEPS
    assert (ours["buffers/bn1.running_mean"] != 0).all()

    # In eval mode: the running statistics, not the batch's.
    net.eval()
    x, y = (torch.from_numpy(np.load(data / f"test_{part}.npy")) for part in "xy")
    with torch.no_grad():
        assert result["test_mse"] == pytest.approx(nn.functional.mse_loss(net(x)[:, 0], y).item(), rel=10 * bound)


def test_initial_weights_are_torchs_default(tmp_path):
    data = program.write_data(tmp_path / "data", 8, inputs=(1, 8, 8), classes=2)
    program.run("train", "--data", data, "--model", "resnet:1-16-32-2", "--lr", 0, "--batch", 8, "--out", tmp_path / "run")
    start = load_file(tmp_path / "run" / "checkpoints" / "step-00000000.safetensors")
    weight = start["parameters/layer2.0.conv1.weight"]
    assert 0.98 / 12 < weight.abs().max() <= 1 / 12, "uniform within 1/sqrt(fan in)"
    assert weight.std().item() == pytest.approx(1 / 12 / 3**0.5, rel=0.05)
    assert (start["parameters/layer2.0.bn2.weight"] == 1).all() and (start["parameters/layer2.0.bn2.bias"] == 0).all()
    assert (start["buffers/layer2.0.bn2.running_var"] == 1).all()
