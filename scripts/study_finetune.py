"""A trained network on a shifted task, with few examples:  make study, or  .venv/bin/python scripts/study_finetune.py build

A network is trained on one task and then has 10, 30 or 100 examples of another. Fine-tuned in function space (the Gaussian process of its Jacobian: k_DNN; prior, and noise, by the evidence, which
sees these examples alone), beside its last layer and all of it fine-tuned by gradient descent, and beside what never saw the first task: the same from random weights, an RBF machine.
Tasks: MNIST to Fashion-MNIST (other pictures, other classes), MNIST to MNIST turned by 45 degrees (the same classes), and the disease progression of people up to the median age to that of those above.
Descent is Adam on all examples at once, 300 steps, whose learning rate is the best of five on another draw of the same task with 30 examples and its test set: more than one would know.
Mean and spread over SEEDS (5) networks, each with its own draw of examples.
"""

import copy
import os
import pathlib
import sys

import numpy as np
import torch
import torch.nn as nn
from sklearn.datasets import load_diabetes

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else ROOT / "build").resolve() / "python"))
from pathkernel import kernels, machines  # noqa: E402

SEEDS, SIZES = int(os.environ.get("SEEDS", "5")), (10, 30, 100)
RATES = (1e-4, 3e-4, 1e-3, 3e-3, 1e-2)


def pictures(name, count):
    places = [pathlib.Path(os.environ["PATHKERNEL_DATA"])] if "PATHKERNEL_DATA" in os.environ else []
    folder = next(p / name for p in [*places, ROOT / ".cache/data"] if (p / name).is_dir())

    def read(file, head):
        return np.frombuffer(next(folder.rglob(file)).read_bytes(), np.uint8)[head:]

    x, y = read("train-images-idx3-ubyte", 16).reshape(-1, 28, 28)[:count], read("train-labels-idx1-ubyte", 8)[:count]
    return torch.tensor(x / 255.0).double(), torch.tensor(y.astype(np.int64))


def turned(x, degrees):
    angle = torch.tensor(np.deg2rad(degrees))
    grid = nn.functional.affine_grid(torch.stack([torch.stack([angle.cos(), -angle.sin(), angle * 0]), torch.stack([angle.sin(), angle.cos(), angle * 0])])[None].expand(len(x), 2, 3),
                                     [len(x), 1, 28, 28], align_corners=False)
    return nn.functional.grid_sample(x[:, None], grid, align_corners=False)[:, 0]


def tasks():
    """title, (inputs, targets) to train on, (inputs, targets) of the shifted task, hidden width, outputs."""
    x, y = pictures("mnist", 14000)
    flat = lambda t: t.reshape(len(t), -1)  # noqa: E731
    fashion, kinds = pictures("fashion-mnist", 4000)
    yield "MNIST to Fashion-MNIST, 784-128-128-10", (flat(x[:10000]), y[:10000]), (flat(fashion), kinds), 128, 10
    yield "MNIST to MNIST turned by 45 degrees, 784-128-128-10", (flat(x[:10000]), y[:10000]), (flat(turned(x[10000:], 45)), y[10000:]), 128, 10
    people, progression = load_diabetes(return_X_y=True)
    people, progression = torch.tensor(people * 21), torch.tensor((progression - progression.mean()) / progression.std())[:, None]
    young = people[:, 0] <= people[:, 0].median()
    yield "diabetes up to the median age to above it, 10-64-64-1", (people[young], progression[young]), (people[~young], progression[~young]), 64, 1


def network(inputs, hidden, outputs, seed):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(inputs, hidden), nn.ReLU(), nn.Linear(hidden, hidden), nn.ReLU(), nn.Linear(hidden, outputs)).double()


def loss_of(outputs, y):
    return nn.functional.cross_entropy(outputs, y) if y.dtype == torch.int64 else nn.functional.mse_loss(outputs, y)


def trained(model, x, y, seed):
    generator, optimizer = torch.Generator().manual_seed(seed), torch.optim.Adam(model.parameters(), lr=1e-3)
    for _ in range(5 if len(x) > 1000 else 60):
        for rows in torch.randperm(len(x), generator=generator).split(64):
            optimizer.zero_grad()
            loss_of(model(x[rows]), y[rows]).backward()
            optimizer.step()
    return model


def descended(model, x, y, rate, last_layer):
    model = copy.deepcopy(model)
    optimizer = torch.optim.Adam((model[-1] if last_layer else model).parameters(), lr=rate)
    for _ in range(300):
        optimizer.zero_grad()
        loss_of(model(x), y).backward()
        optimizer.step()
    return model


def quality(outputs, y):
    """Per cent right, or root mean square error in standard deviations of the targets."""
    outputs = torch.as_tensor(outputs)
    if y.dtype == torch.int64:
        return 100 * (outputs.argmax(1) == y).double().mean().item()
    return (outputs.reshape(len(y), -1) - y).square().mean().sqrt().item()


def asked(model, x):
    with torch.no_grad():
        return model(x)


def function_space(model, x, y, test, start):
    if y.dtype == torch.int64:
        return machines.FineTunedClassifier(model, start=start).fit(x, y, classes=range(10)).decision_function(test)
    return machines.FineTunedRegressor(model, start=start).fit(x, y).predict(test)


def rbf(x, y, test):
    scales = [s * x.shape[1] ** 0.5 for s in (0.1, 0.2, 0.4, 0.8, 1.6)]
    if y.dtype != torch.int64:
        fits = [machines.Ridge(kernels.rbf(s)).fit(x, y) for s in scales]
        return min(fits, key=lambda m: m.numbers_["leave_one_out_rmse"]).predict(test)
    fits = [machines.RidgeClassifier(kernels.rbf(s)).fit(x, y) for s in scales]
    best = min(fits, key=lambda m: m.numbers_["leave_one_out_rmse"])
    outputs = np.full((len(test), 10), -1e9)
    outputs[:, best.classes_] = best.decision_function(test) if len(best.classes_) > 2 else np.stack([-best.decision_function(test), best.decision_function(test)], 1)
    return outputs


def drawn(y, size, seed):
    """Rows of examples, as many of each class, and 1000 others (what there is) to be tested on."""
    order = torch.randperm(len(y), generator=torch.Generator().manual_seed(seed))
    if y.dtype == torch.int64:
        order = torch.cat([order[y[order] == c][: size // 10] for c in range(10)] + [order[y[order] == c][size // 10:] for c in range(10)])
        rest = order[size:][torch.randperm(len(y) - size, generator=torch.Generator().manual_seed(seed))]
        return order[:size], rest[:1000]
    return order[:size], order[100:]


def rows_of(train, task, hidden, outputs, seed):
    """(method, size) -> quality, for one network."""
    x, y = task
    model, fresh = trained(network(x.shape[1], hidden, outputs, seed), *train, seed), network(x.shape[1], hidden, outputs, 1000 + seed)
    tune, tune_test = drawn(y, 30, 5000 + seed)
    better = max if y.dtype == torch.int64 else min
    descents = {"last layer, descent": (model, True), "all layers, descent": (model, False), "all layers from random weights, descent": (fresh, False)}
    rates = {name: better(RATES, key=lambda r: quality(asked(descended(start, x[tune], y[tune], r, last), x[tune_test]), y[tune_test])) for name, (start, last) in descents.items()}
    for size in SIZES:
        fit, test = drawn(y, size, seed)
        yield "the network as it was", size, quality(asked(model, x[test]), y[test])
        yield "k_DNN, from the network's function", size, quality(function_space(model, x[fit], y[fit], x[test], "network"), y[test])
        yield "k_DNN, from zero", size, quality(function_space(model, x[fit], y[fit], x[test], "zero"), y[test])
        for name, (start, last) in descents.items():
            yield name, size, quality(asked(descended(start, x[fit], y[fit], rates[name], last), x[test]), y[test])
        yield "k_DNN of random weights, from zero", size, quality(function_space(fresh, x[fit], y[fit], x[test], "zero"), y[test])
        yield "RBF, ridge", size, quality(rbf(x[fit], y[fit], x[test]), y[test])


def main():
    for title, train, task, hidden, outputs in tasks():
        classes, found = outputs > 1, {}
        for seed in range(SEEDS):
            for name, size, value in rows_of(train, task, hidden, outputs, seed):
                found.setdefault(name, {}).setdefault(size, []).append(value)
        unit = "% right" if classes else "root mean square error, of the targets' deviation"
        print(f"\n{title}; {unit}; {SEEDS} seeds\n\n| | " + " | ".join(f"{size} examples" for size in SIZES) + " |\n|---|" + "---|" * len(SIZES))
        for name, sizes in found.items():
            cells = [f"{np.mean(v):.{1 if classes else 3}f} ± {np.std(v):.{1 if classes else 3}f}" for v in sizes.values()]
            print(f"| {name} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
