"""Backward feature correction on a hierarchical target:  make study-correction, or  .venv/bin/python scripts/study_correction.py build [--examples 1000]

The target (in the spirit of Allen-Zhu & Li 2020) is simple + beta · complex: simple, a sum of squares z_j = (u_j·x)² of three hidden directions; complex, of products of those z. The learner is a
network of two hidden layers with squares as activations and a readout of each layer. It is trained
  first layer        with its readout alone, which is all a network of one hidden layer can do;
  layer by layer     the second layer on top of that first one, which stays as it is;
  then all           the whole network from there: the error of the second layer, sent back, corrects the first;
  all together       from the start, with as many steps;
and beside it stand ridge machines on the tangent kernel of the whole network, untrained and trained, and an RBF, with the best of many lambdas on the test set (to their favour).
Test error: mean squared error by the target's variance. First layer's error: the share of the sensitivity of its units, weighted by what reads them, that lies outside the three directions.
"""

import tempfile

import numpy as np
import torch

from study_tools import BLUE, GREEN, GREY, ORANGE, PURPLE, Chart, arguments, figure, spread, table

asked = arguments(__doc__, examples=1000, test=2000, dims=10, units=30, beta=0.5, steps=2000)
import pathkernel as pk  # noqa: E402
from pathkernel import kernels  # noqa: E402

WAYS = (("first layer", GREY), ("layer by layer", ORANGE), ("then all", GREEN), ("all together", BLUE))


class Squares(torch.nn.Module):
    def __init__(self, seed):
        super().__init__()
        torch.manual_seed(seed)
        self.first, self.second = torch.nn.Linear(asked.dims, asked.units), torch.nn.Linear(asked.units, asked.units)
        self.simple, self.complex = torch.nn.Linear(asked.units, 1), torch.nn.Linear(asked.units, 1)
        with torch.no_grad():
            self.second.weight *= 0.5
            self.complex.weight *= 0.3
        self.depth = 2

    def forward(self, x):
        h = self.first(x)**2
        return (self.simple(h) + self.complex(self.second(h)**2 if self.depth == 2 else torch.zeros_like(h)))[:, 0]

    def astray(self, U):
        """Share of the first layer's squared weights, by what reads them, outside the span of U's rows."""
        with torch.no_grad():
            a = self.first.weight
            read = self.simple.weight[0]**2 + (((self.complex.weight[0, :, None] * self.second.weight)**2).sum(0) if self.depth == 2 else 0)
            weights = read * (a**2).sum(1)
            return float((weights * ((a - a @ U.T @ U)**2).sum(1)).sum() / (weights * (a**2).sum(1)).sum())


def target(x, U):
    z = (x @ U.T)**2
    simple, products = z.sum(1), z[:, 0] * z[:, 1] + z[:, 1] * z[:, 2]
    return simple + asked.beta * products


class Learning:
    """One network, trained piece by piece; every piece is a recorded run."""

    def __init__(self, model, data, test, U, folder):
        self.model, self.data, self.test, self.U, self.folder, self.pieces = model, data, test, U, folder, 0
        self.curve = []  # (steps, test error, first layer's error)
        self.steps = 0
        self.run = None

    def error(self):
        with torch.no_grad():
            return float(((self.model(self.test[0]) - self.test[1])**2).mean() / self.test[1].var())

    def note(self):
        self.curve.append((self.steps, self.error(), self.model.astray(self.U)))

    def train(self, parts, depth, steps, rate=0.01):
        self.model.depth = depth
        for name, p in self.model.named_parameters():
            p.requires_grad_(name.split(".")[0] in parts)
        optimizer = torch.optim.Adam([p for p in self.model.parameters() if p.requires_grad], lr=rate)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
        self.pieces += 1
        with pk.record(f"{self.folder}/{id(self)}-{self.pieces}", model=self.model, optimizer=optimizer, loss=torch.nn.MSELoss(), data=self.data, seed=self.pieces) as run:
            g = torch.Generator().manual_seed(self.pieces)
            for s in range(steps):
                if s % (steps // 8) == 0:
                    self.note()
                run.step(torch.randint(0, len(self.data[0]), (100,), generator=g))
                schedule.step()
                self.steps += 1
        self.note()
        self.run = run


ALL = ("first", "second", "simple", "complex")


def ridge(K, k, y, y_test):
    """The best relative test error over lambda."""
    values, U = np.linalg.eigh((K + K.T) / 2)
    c, scale = U.T @ (y - y.mean()), np.maximum(values, 0).mean()
    return min(float((((k @ (U @ (c / (np.maximum(values, 0) + scale * 10.0**e)))) + y.mean() - y_test)**2).mean() / y_test.var()) for e in np.arange(-8, 2.1, 0.5))


def one(seed, folder):
    g = torch.Generator().manual_seed(seed)
    U = torch.linalg.qr(torch.randn(asked.dims, asked.dims, generator=g, dtype=torch.float64))[0][:, :3].T
    x, x_test = (torch.randn(n, asked.dims, generator=g, dtype=torch.float64) for n in (asked.examples, asked.test))
    y, y_test = target(x, U), target(x_test, U)
    scale = y.std()
    data, test = (x, y / scale), (x_test, y_test / scale)
    step_by_step, together = (Learning(Squares(seed).double(), data, test, U, folder) for _ in range(2))
    untrained = Squares(seed).double()
    third = asked.steps
    step_by_step.train(("first", "simple"), 1, third)
    found = {"first layer": step_by_step.curve[-1][1:]}
    step_by_step.train(("second", "simple", "complex"), 2, third)
    found["layer by layer"] = step_by_step.curve[-1][1:]
    step_by_step.train(ALL, 2, third)
    found["then all"] = step_by_step.curve[-1][1:]
    together.train(ALL, 2, 3 * third)
    found["all together"] = together.curve[-1][1:]
    a, b = data[0], test[0]
    moved = together.run.kernel_evolution((x_test[:50], test[1][:50]), count=2, progress=False)[-1]
    machines = {"tangent kernel, untrained": (pk.tangent_kernel(untrained, a, form="trace").numpy(), pk.tangent_kernel(untrained, b, a, form="trace").numpy()),
                "tangent kernel, trained": (pk.tangent_kernel(together.model, a, form="trace").numpy(), pk.tangent_kernel(together.model, b, a, form="trace").numpy())}
    for name, (K, k) in machines.items():
        found[name] = (ridge(K, k, data[1].numpy(), test[1].numpy()), float("nan"))
    rbf = [kernels.rbf(s * asked.dims**0.5) for s in (0.5, 1.0, 2.0, 4.0, 8.0)]
    found["RBF"] = (min(ridge(r.gram(a.numpy()), r.gram(b.numpy(), a.numpy()), data[1].numpy(), test[1].numpy()) for r in rbf), float("nan"))
    return found, step_by_step.curve, together.curve, moved


def main():
    with tempfile.TemporaryDirectory() as folder:
        runs = [one(seed, folder) for seed in range(asked.seeds)]
    rows = [[name, spread([r[0][name][0] for r in runs]), spread([r[0][name][1] for r in runs])] for name in runs[0][0]]
    table(f"{asked.out}/correction.csv", ["learner", "test error", "first layer's error"], rows)
    print(f"all together: lazy ratio {spread([r[3].lazy_ratio for r in runs])}, linearisation's error {spread([r[3].linearisation_error for r in runs])}")
    steps = [p[0] for p in runs[0][1]]
    charts = [Chart(60 + 560 * k, 40, title, (0, steps[-1]), (1e-6, 10.0), log_y=True, x_name="step") for k, title in enumerate(("test error", "first layer's error"))]
    for k, chart in enumerate(charts):
        chart.curve("layer by layer, then all", steps, np.array([[p[1 + k] for p in r[1]] for r in runs]).T, ORANGE)
        chart.curve("all together", [p[0] for p in runs[0][2]], np.array([[p[1 + k] for p in r[2]] for r in runs]).T, BLUE)
        for piece, words in ((0, "first layer"), (1, "second, first fixed"), (2, "all")):
            chart.mark(piece * asked.steps, words)
    charts[0].curve("tangent kernel, untrained", [0, steps[-1]], np.array([[r[0]["tangent kernel, untrained"][0] for r in runs]] * 2), PURPLE, "6 3")
    charts[0].curve("RBF", [0, steps[-1]], np.array([[r[0]["RBF"][0] for r in runs]] * 2), GREY, "6 3")
    figure(f"{asked.out}/dynamics_correction.png", charts, 1180, 400)


if __name__ == "__main__":
    main()
