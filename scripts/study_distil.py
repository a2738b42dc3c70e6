"""A trained network beside the machines it can be distilled into:  make study, or  .venv/bin/python scripts/study_distil.py build

A network is recorded; ridge and support vector machines are fitted to the same labels on its path kernel, its tangent kernel after and before training, the tangent kernel of its
architecture at infinite width, and an RBF. Printed: per cent right, per cent of the test inputs that get the network's own class, support vectors. MNIST (1000 examples, 1000 others) and the
table breast-cancer; mean and spread over three seeds. lambda by leave-one-out, C = 10 on kernels scaled to a mean diagonal of one, the RBF's length-scale by leave-one-out.
"""

import os
import pathlib
import sys
import tempfile

import numpy as np
import torch
import torch.nn as nn
from sklearn.datasets import load_breast_cancer
from sklearn.model_selection import train_test_split

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else ROOT / "build").resolve() / "python"))
import pathkernel as pk  # noqa: E402
from pathkernel import kernels, machines  # noqa: E402

SEEDS = int(os.environ.get("SEEDS", "3"))


def mnist():
    places = [pathlib.Path(os.environ["PATHKERNEL_DATA"])] if "PATHKERNEL_DATA" in os.environ else []
    folder = next(p / "mnist" for p in [*places, ROOT / ".cache/data"] if (p / "mnist").is_dir())

    def read(name, head):
        return np.frombuffer(next(folder.rglob(name)).read_bytes(), np.uint8)[head:]

    x, y = read("train-images-idx3-ubyte", 16).reshape(-1, 784)[:2000] / 255.0, read("train-labels-idx1-ubyte", 8)[:2000]
    return x[:1000], x[1000:], y[:1000].astype(int), y[1000:].astype(int)


def breast_cancer():
    x, y = load_breast_cancer(return_X_y=True)
    x, x_test, y, y_test = train_test_split(x, y, train_size=200, random_state=0)
    return (x - x.mean(0)) / x.std(0), (x_test - x.mean(0)) / x.std(0), y, y_test


def grams(run, x, x_test, y):
    """(K of the training inputs, K of the test inputs by them), by name."""
    examples, others = torch.tensor(x), torch.tensor(x_test)

    def pair(of):
        return of(examples, None).numpy(), of(others, examples).numpy()

    yield "its path kernel", pair(lambda a, b: run.path_kernel(a, b, every=10, progress=False))
    yield "its tangent kernel, trained", pair(lambda a, b: run.tangent_kernel(a, b, form="trace", progress=False))
    yield "its tangent kernel, untrained", pair(lambda a, b: run.tangent_kernel(a, b, at=0, form="trace", progress=False))
    ntk = kernels.ntk("dense relu dense relu dense", w_std=2**0.5, b_std=0.1)
    yield "NTK of infinite width", (ntk.gram(x), ntk.gram(x_test, x))
    best = max((kernels.rbf(scale * x.shape[1]**0.5) for scale in (0.1, 0.2, 0.4, 0.8, 1.6)), key=lambda k: right_when_left_out(k.gram(x), y))
    yield "RBF", (best.gram(x), best.gram(x_test, x))


def right_when_left_out(K, y):
    return float((machines.RidgeClassifier("precomputed").fit(K, y).leave_one_out_.argmax(1) == y).mean())


def one(data, hidden, seed):
    x, x_test, y, y_test = data
    torch.manual_seed(seed)
    classes = int(max(y)) + 1
    model = nn.Sequential(nn.Linear(x.shape[1], hidden), nn.ReLU(), nn.Linear(hidden, hidden), nn.ReLU(), nn.Linear(hidden, classes)).double()
    with tempfile.TemporaryDirectory() as scratch:
        with pk.record(f"{scratch}/run", model=model, optimizer=torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9), loss=nn.CrossEntropyLoss(),
                       data=(torch.tensor(x), torch.tensor(y)), seed=seed) as run:
            run.fit(10, 50, progress=False)
        with torch.no_grad():
            own = model(torch.tensor(x_test)).argmax(1).numpy()
        yield "the network", "", float((own == y_test).mean()), 1.0, float("nan")
        for name, (K, k) in grams(run, x, x_test, y):
            scale = np.trace(K) / len(K)
            K, k = (K + K.T) / (2 * scale), k / scale
            ridge = machines.RidgeClassifier("precomputed").fit(K, y)
            svm = machines.SupportVectorClassifier("precomputed", C=10.0).fit(K, y)
            for kind, machine, vectors in (("ridge", ridge, float("nan")), ("SVM", svm, float(len(svm.support_)))):
                predicted = machine.predict(k)
                yield name, kind, float((predicted == y_test).mean()), float((predicted == own).mean()), vectors


def main():
    for title, data, hidden in (("MNIST, 1000 examples, 784-128-128-10", mnist(), 128), ("breast-cancer, 200 examples, 30-64-64-2", breast_cancer(), 64)):
        rows = {}
        for seed in range(SEEDS):
            for name, kind, *numbers in one(data, hidden, seed):
                rows.setdefault((name, kind), []).append(numbers)
        print(f"\n{title}; {SEEDS} seeds\n\n| kernel | machine | right | as the network | support vectors |\n|---|---|---|---|---|")
        for (name, kind), numbers in rows.items():
            mean, spread = np.mean(numbers, 0), np.std(numbers, 0)
            vectors = "" if np.isnan(mean[2]) else f"{mean[2]:.0f} ± {spread[2]:.0f}"
            agreement = "" if kind == "" else f"{100 * mean[1]:.1f} ± {100 * spread[1]:.1f} %"
            print(f"| {name} | {kind} | {100 * mean[0]:.1f} ± {100 * spread[0]:.1f} % | {agreement} | {vectors} |", flush=True)


if __name__ == "__main__":
    main()
