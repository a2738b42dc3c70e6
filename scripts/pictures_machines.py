"""The pictures of docs/machines.md, and the numbers in them:  make study, or  .venv/bin/python scripts/pictures_machines.py build

Gaussian processes in one dimension with their bands; a Gram matrix of handwritten digits in the order of their classes; and the machine on the tangent kernel of a network,
on few examples, beside networks of finite width. Prints the last as a table; writes a page and, by Chromium, docs/pictures/machines.png.
"""

import pathlib
import sys

import numpy as np
import torch
from sklearn.datasets import load_digits

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else ROOT / "build").resolve() / "python"))
from drawing import BLUE, GREY, ORANGE, Axes, picture  # noqa: E402
from pathkernel import kernels, machines  # noqa: E402

NET = {"net": "dense relu dense relu dense", "w_std": 1.5, "b_std": 0.1}
SIZES = (20, 50, 100, 200, 500)
DRAWS = 5


def bands(top):
    """What a Gaussian process knows, for a kernel chosen by the evidence and for the prior of an infinitely wide network."""
    random = np.random.default_rng(0)
    x = np.sort(np.concatenate([random.uniform(-4, -1, 10), random.uniform(0.5, 3, 8)]))[:, None]
    y = np.sin(2 * x[:, 0]) + 0.1 * random.standard_normal(len(x))
    grid = np.linspace(-6, 6, 241)[:, None]
    shown = []
    for k, (title, kernel) in enumerate([("RBF", 1.0 * kernels.rbf(1.0)), ("NNGP of an erf network", 1.0 * kernels.nngp("dense erf dense erf dense", 3.0, 1.0))]):
        gp = machines.GaussianProcessRegressor(kernel, 0.05, optimise=True, center=False).fit(x, y)
        mean, deviation = gp.predict(grid, return_std=True)
        axes = Axes(60 + 600 * k, top + 40, 530, 250, (-6, 6), (-2.6, 2.6))
        for width, opacity in ((2, 0.15), (1, 0.2)):
            axes.band(grid[:, 0], np.clip(mean - width * deviation, -2.6, 2.6), np.clip(mean + width * deviation, -2.6, 2.6), BLUE, opacity)
        for draw in gp.sample_y(grid[::2], 3).T:
            axes.line(grid[::2, 0], np.clip(draw, -2.6, 2.6), BLUE, 0.8, "3 3")
        axes.line(grid[:, 0], mean, BLUE)
        axes.dots(x[:, 0], y, ORANGE)
        axes.ticks((-6, -3, 0, 3, 6), (-2, 0, 2))
        axes.text(-6, 2.6, f"{title}: log evidence {gp.log_marginal_likelihood_value_:.1f}, noise {gp.noise_:.3f}", "start", dy=-10, size=15)
        shown += axes.parts
    return shown


def ordered_gram(top, X, y):
    """The tangent kernel of 500 digits as cosines, in the order of their classes."""
    order = np.argsort(y[:500], kind="stable")
    K = kernels.ntk(**NET).gram(X[:500][order])
    scale = np.sqrt(np.diag(K))
    cosines = K / np.outer(scale, scale)
    low = np.quantile(cosines, 0.01)
    axes = Axes(60, top + 40, 440, 440, (0, 500), (500, 0))
    axes.heat(cosines, low, 1)
    edges = np.searchsorted(y[:500][order], range(11))
    for digit in range(10):
        middle = (edges[digit] + edges[digit + 1]) / 2
        axes.text(middle, 500, digit, dy=18)
        axes.text(0, middle, digit, "end", dx=-6, dy=4)
    axes.text(0, 0, f"tangent kernel of 500 digits by class, as cosines from {low:.2f} (white) to 1", "start", dy=-10, size=15)
    return axes.parts


def finite(X, y, X_test, y_test, seed, width=512, steps=400):
    """A network of that shape at a finite width, trained by full batches on squares; its accuracy."""
    torch.manual_seed(seed)
    net = torch.nn.Sequential(torch.nn.Linear(64, width), torch.nn.ReLU(), torch.nn.Linear(width, width), torch.nn.ReLU(), torch.nn.Linear(width, 10))
    inputs, targets = torch.from_numpy(X).float(), torch.nn.functional.one_hot(torch.from_numpy(y), 10).float() - 0.1
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-3)
    for _ in range(steps):
        optimizer.zero_grad()
        (net(inputs) - targets).square().sum(1).mean().backward()
        optimizer.step()
    with torch.no_grad():
        return (net(torch.from_numpy(X_test).float()).argmax(1).numpy() == y_test).mean()


def few_examples(top, X, y):
    names = ["tangent kernel, ridge", "network of width 512", "RBF, ridge"]
    found = np.zeros((len(SIZES), DRAWS, 3))
    for draw in range(DRAWS):
        order = np.random.default_rng(draw).permutation(len(X))
        X_test, y_test = X[order[-700:]], y[order[-700:]]
        for k, n in enumerate(SIZES):
            few, labels = X[order[:n]], y[order[:n]]
            for m, kernel in ((0, kernels.ntk(**NET)), (2, kernels.rbf(2.0))):
                found[k, draw, m] = machines.RidgeClassifier(kernel).fit(few, labels).score(X_test, y_test)
            found[k, draw, 1] = finite(few, labels, X_test, y_test, draw)
    print("| examples | " + " | ".join(names) + " |\n" + "|---" * (1 + len(names)) + "|")
    for n, rows in zip(SIZES, 100 * found):
        print(f"| {n} | " + " | ".join(f"{m:.1f} ± {s:.1f}" for m, s in zip(rows.mean(0), rows.std(0))) + " |")
    axes = Axes(660, top + 40, 530, 440, (np.log(16), np.log(640)), (50, 100))
    for m, (name, colour) in enumerate(zip(names, (BLUE, ORANGE, GREY))):
        mean, spread = 100 * found[:, :, m].mean(1), 100 * found[:, :, m].std(1)
        axes.band(np.log(SIZES), mean - spread, np.minimum(mean + spread, 100), colour, 0.12)
        axes.line(np.log(SIZES), mean, colour)
        axes.dots(np.log(SIZES), mean, colour)
        axes.text(np.log(640), 50, name, "end", dx=-14, dy=-20 - 22 * (2 - m), colour=colour, size=15)
    axes.ticks(np.log(SIZES), range(50, 101, 10), [str(n) for n in SIZES])
    axes.text(np.log(16), 100, f"% right of 700 other digits, by number of examples, {DRAWS} draws", "start", dy=-10, size=15)
    return axes.parts


def main():
    torch.set_num_threads(1)
    X, y = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(X))
    X, y = X[order] / 16, y[order]
    parts = bands(0) + ordered_gram(340, X, y) + few_examples(340, X, y)
    picture("machines", parts, 1230, 860)


if __name__ == "__main__":
    main()
