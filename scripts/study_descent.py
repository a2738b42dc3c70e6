"""Double descent of ridge on random features and on tangent features:  make study-descent, or  .venv/bin/python scripts/study_descent.py build [--noise 0.2]

MNIST in its first 49 principal components, with some labels of the training images changed at random. Fitted by least squares of smallest norm (ridgeless), and by ridge with lambda a hundredth of the
kernel's mean eigenvalue: M random ReLU features (arc-cosine of order 1), and the gradients by the P weights of a random ReLU network with one hidden layer and one output, which
is its tangent kernel (what a unit's readout weight adds is in the span of its other gradients, so that of 51 h + 1 features 50 h + 1 are independent). The error has its peak where the number of features is that of the examples (Belkin et al. 2019; Mei & Montanari 2022); first with the examples fixed, then with
the features fixed.
"""

import functools

import numpy as np
import torch

from study_tools import BLUE, ORANGE, Chart, arguments, digits, figure, spread, table

asked = arguments(__doc__, seeds=5, examples=300, test=1000, noise=0.2)
import pathkernel as pk  # noqa: E402
from pathkernel import kernels  # noqa: E402

DIMS = 49


@functools.cache
def components():
    """Of 20000 images; each input has mean square 1 over all."""
    x, y = digits(20000)
    x = x - x.mean(0)
    z = x @ np.linalg.eigh(x.T @ x)[1][:, -DIMS:]
    return z / np.sqrt((z**2).mean()), y


def drawn(n, seed):
    """n training images with noisy labels, and test images."""
    random = np.random.default_rng(seed)
    x, y = components()
    rows = random.permutation(20000)[:n + asked.test]
    labels = y[rows[:n]].copy()
    wrong = random.random(n) < asked.noise
    labels[wrong] = random.integers(0, 10, wrong.sum())
    return x[rows[:n]], np.eye(10)[labels] - 0.1, x[rows[n:]], y[rows[n:]]


def errors(K, k, Y, labels):
    """Share of wrong classes and mean squared error, ridgeless and ridge, of the machine on a Gram matrix."""
    values, U = np.linalg.eigh((K + K.T) / 2)
    there = values > 1e-10 * values[-1]
    found = []
    for weights in (np.where(there, 1 / np.where(there, values, 1), 0), 1 / (np.maximum(values, 0) + 0.01 * values.mean())):
        z = k @ (U @ (weights[:, None] * (U.T @ Y)))
        found += [float((z.argmax(1) != labels).mean()), float(((z - (np.eye(10)[labels] - 0.1))**2).sum(1).mean())]
    return found


def random_features(M, x, x_test, seed):
    features = kernels.RandomFeatures.arc_cosine(1, DIMS, M, seed)
    A, B = features(x), features(x_test)
    return A @ A.T, B @ A.T, M


def tangent_features(width, x, x_test, seed):
    torch.manual_seed(seed)
    net = torch.nn.Sequential(torch.nn.Linear(DIMS, width), torch.nn.ReLU(), torch.nn.Linear(width, 1)).double()
    a, b = torch.from_numpy(x), torch.from_numpy(x_test)
    return pk.tangent_kernel(net, a, form="trace").numpy(), pk.tangent_kernel(net, b, a, form="trace").numpy(), sum(p.numel() for p in net.parameters())


def curve(make, sizes, examples):
    """[size, seed, 4], and the numbers of features."""
    all_errors, counts = np.full((len(sizes), asked.seeds, 4), np.nan), []
    for k, (size, n) in enumerate(zip(sizes, examples)):
        for seed in range(asked.seeds):
            x, Y, x_test, labels = drawn(n, seed)
            K, kt, count = make(size, x, x_test, 100 + seed)
            all_errors[k, seed] = errors(K, kt, Y, labels)
        counts.append(count)
    return all_errors, counts


def main():
    n, fixed = asked.examples, 300
    plans = [("random ReLU features", random_features, [10, 30, 100, 200, 250, 300, 350, 400, 600, 1000, 3000], None),
             ("tangent features", tangent_features, [1, 2, 4, 5, 6, 7, 8, 12, 20, 60, 200], None),
             (f"{fixed} random ReLU features", random_features, None, [30, 60, 100, 200, 250, 300, 350, 400, 600, 1000, 1500]),
             ("307 tangent features", tangent_features, None, [30, 60, 100, 200, 250, 307, 350, 400, 600, 1000, 1500])]
    charts, rows = [], []
    for p, (name, make, sizes, examples) in enumerate(plans):
        over_n = sizes is None
        all_errors, counts = curve(make, sizes or [fixed if make is random_features else 6] * len(examples), examples or [n] * len(sizes))
        xs = examples if over_n else counts
        peak = counts[0] if over_n else n
        chart = Chart(60 + 560 * (p % 2), 40 + 400 * (p // 2), f"{name}: test error, {n} examples" if not over_n else f"{name}: test error", (min(xs), max(xs)), (0.0, 1.0),
                      log_x=True, x_name="examples" if over_n else "features")
        chart.curve("ridgeless", xs, all_errors[:, :, 0], ORANGE)
        chart.curve("ridge", xs, all_errors[:, :, 2], BLUE)
        chart.mark(peak, "features = examples")
        charts.append(chart)
        for x, found in zip(xs, all_errors):
            rows.append([name, peak if over_n else x, x if over_n else n, *(spread(found[:, c] * (100 if c % 2 == 0 else 1)) for c in range(4))])
    table(f"{asked.out}/descent.csv", ["kernel", "features", "examples", "ridgeless: wrong, %", "squared error", "ridge: wrong, %", "squared error"], rows)
    figure(f"{asked.out}/dynamics_descent.png", charts, 1180, 800)


if __name__ == "__main__":
    main()
