"""TracIn over checkpoints by its definition, and against captum's TracInCP and dattri's TracInAttributor on the same weights, which are skipped where they are absent."""
import json
import sqlite3

import numpy
import pytest
import torch
from program import run
from safetensors.numpy import load_file
from safetensors.torch import load_file as load_tensors

EXAMPLES, QUERIES, CHECKPOINTS = 120, 9, 4


class LeNet(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1, self.conv2 = torch.nn.Conv2d(1, 6, 5, padding=2), torch.nn.Conv2d(6, 16, 5)
        self.fc1, self.fc2, self.fc3 = torch.nn.Linear(400, 120), torch.nn.Linear(120, 84), torch.nn.Linear(84, 10)

    def forward(self, x):
        x = torch.max_pool2d(self.conv1(x).relu(), 2)
        x = torch.max_pool2d(self.conv2(x).relu(), 2).flatten(1)
        return self.fc3(self.fc2(self.fc1(x).relu()).relu())


@pytest.fixture(scope="module")
def case(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tracin")
    random = numpy.random.default_rng(0)
    for part, count in (("train", EXAMPLES), ("test", QUERIES)):
        y = random.integers(0, 10, count)
        y[:9] = numpy.arange(9)
        if part == "train":
            y[9] = 9
        numpy.save(folder / f"{part}_x.npy", (random.standard_normal((count, 1, 28, 28)) + y[:, None, None, None] / 5).astype("float32"))
        numpy.save(folder / f"{part}_y.npy", y)
    run("train", "--data", folder, "--model", "lenet", "--lr", 0.05, "--schedule", "cosine", "--batch", 10, "--epochs", 3, "--seed", 1, "--threads", 1, "--out", folder / "run")
    run("explain", folder / "run", "--method", "tracin", "--checkpoints", CHECKPOINTS, "--measure", "loss", "--queries", "test:all", "--out", folder / "ledger")
    about = json.loads((folder / "ledger" / "ledger.json").read_text())
    steps = [int(s) for s in about["settings"]["method"].split("steps ")[1].split(", ")]
    assert len(steps) == CHECKPOINTS
    rates = [r for (r,) in sqlite3.connect(folder / "run" / "recording.sqlite").execute("SELECT lr FROM steps ORDER BY step")]
    states = []
    for step in steps:
        tensors = load_tensors(folder / "run" / "checkpoints" / f"step-{step:08d}.safetensors")
        states.append({name.removeprefix("parameters/"): t for name, t in tensors.items() if name.startswith("parameters/")})
    data = {part: (torch.from_numpy(numpy.load(folder / f"{part}_x.npy")), torch.from_numpy(numpy.load(folder / f"{part}_y.npy"))) for part in ("train", "test")}
    return -load_file(folder / "ledger" / "ledger.safetensors")["contributions"], states, [rates[min(s, len(rates) - 1)] for s in steps], data


def agree(ours, theirs):
    assert ours.shape == theirs.shape
    assert numpy.abs(ours - theirs).max() < 1e-5 * numpy.abs(theirs).max()


def test_the_definition(case):
    """Example by example with torch.autograd."""
    ours, states, rates, data = case
    net, loss = LeNet(), torch.nn.CrossEntropyLoss()
    theirs = numpy.zeros(ours.shape)
    for state, rate in zip(states, rates):
        net.load_state_dict(state)
        flat = {part: torch.stack([torch.cat([g.reshape(-1) for g in torch.autograd.grad(loss(net(x[None]), y[None]), net.parameters())]) for x, y in zip(*data[part])]) for part in data}
        theirs += rate * (flat["train"].double() @ flat["test"].double().T).numpy()
    agree(ours, theirs)


def test_captum(case):
    influence = pytest.importorskip("captum.influence", reason="captum is not installed")
    ours, states, rates, data = case
    net = LeNet()

    def load(module, state):
        module.load_state_dict(states[state])
        return rates[state]

    tracin = influence.TracInCP(net, torch.utils.data.TensorDataset(*data["train"]), list(range(len(states))), load, loss_fn=torch.nn.CrossEntropyLoss(reduction="sum"),
                                batch_size=40, sample_wise_grads_per_batch=True)
    agree(ours, tracin.influence(data["test"]).numpy().T)


def test_dattri(case):
    pytest.importorskip("dattri", reason="dattri is not installed")
    from dattri.algorithm.tracin import TracInAttributor
    from dattri.task import AttributionTask
    ours, states, rates, data = case
    net = LeNet()

    def loss(parameters, batch):
        x, y = batch
        return torch.nn.functional.cross_entropy(torch.func.functional_call(net, parameters, x.unsqueeze(0)), y.long().unsqueeze(0))

    task = AttributionTask(loss_func=loss, model=net, checkpoints=states)
    attributor = TracInAttributor(task=task, weight_list=torch.tensor(rates), normalized_grad=False, device="cpu")
    attributor.projector_kwargs = None  # by itself it projects the gradients at random, which is off by tenths
    loader = lambda part: torch.utils.data.DataLoader(torch.utils.data.TensorDataset(*data[part]), batch_size=EXAMPLES, shuffle=False)
    with torch.no_grad():
        agree(ours, attributor.attribute(loader("train"), loader("test")).numpy())
