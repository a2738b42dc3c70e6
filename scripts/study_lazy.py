"""Lazy against active training:  make study-lazy, or  .venv/bin/python scripts/study_lazy.py build [--seeds 3 --steps 300]

The network alpha (f - f_0) learns with steps of size eta/alpha^2 (Chizat, Oyallon & Bach 2019): the larger alpha, the less its Jacobian moves while the loss goes as far. And networks of more
and more width at alpha = 1, in the tangent kernel's parametrisation (weights N(0, 1), divided by the square root of the number of inputs). MNIST at 14 × 14, one-hot targets, half the
squared error, full batches. From the recorded runs (pathkernel evolution): Delta(L), Delta(Df), their quotient the lazy ratio, S, the linearisation's error; and who is right on test images.
"""

import math
import tempfile

import numpy as np
import torch

from study_tools import BLUE, GREEN, ORANGE, Chart, arguments, digits, figure, spread, table

asked = arguments(__doc__, examples=200, test=1000, steps=300, probe=50, width=128)
import pathkernel as pk  # noqa: E402

ALPHAS = (0.1, 0.3, 1.0, 3.0, 10.0, 100.0)
WIDTHS = (8, 32, 128, 512)


class Scaled(torch.nn.Module):
    """alpha (f - f_0) of a ReLU network with two hidden layers."""

    def __init__(self, sizes, alpha, seed):
        super().__init__()
        g = torch.Generator().manual_seed(seed)
        self.alpha = alpha
        self.weights = torch.nn.ParameterList(torch.randn(b, a, generator=g) for a, b in zip(sizes[:-1], sizes[1:]))
        for k, w in enumerate(self.weights):
            self.register_buffer(f"start{k}", w.detach().clone())

    def own(self, weights, x):
        for k, w in enumerate(weights):
            x = x @ w.T * ((2.0 if k > 0 else 1.0) / w.shape[1])**0.5
            x = torch.relu(x) if k + 1 < len(weights) else x
        return x

    def forward(self, x):
        return self.alpha * (self.own(self.weights, x) - self.own([getattr(self, f"start{k}") for k in range(len(self.weights))], x))


def half_squares(outputs, targets):
    return ((outputs - targets)**2).sum(1) / 2


def one(alpha, width, seed):
    """Numbers of a run at its end; NaN where it diverged."""
    x, labels = digits(asked.examples + asked.test, 14, 5000 * seed)
    x, y = torch.tensor(x, dtype=torch.float32), torch.nn.functional.one_hot(torch.tensor(labels), 10).float()
    train, probe, test = slice(0, asked.examples), slice(0, asked.probe), slice(asked.examples, None)
    model = Scaled([196, width, width, 10], alpha, seed)
    K = pk.tangent_kernel(Scaled([196, width, width, 10], 1.0, seed), x[train], form="trace") / 10  # a tenth of the outputs' sum: what one output's kernel is in the mean
    rate = 0.5 * asked.examples / float(torch.linalg.eigvalsh(K.double())[-1])
    with tempfile.TemporaryDirectory() as folder:
        try:
            with pk.record(f"{folder}/run", model=model, optimizer=torch.optim.SGD(model.parameters(), lr=rate / alpha**2), loss=half_squares, data=(x[train], y[train]), seed=seed) as run:
                run.fit(asked.steps, asked.examples, progress=False)
        except pk.Diverged:
            return [math.nan] * 7
        end = run.kernel_evolution((x[probe], y[probe]), count=2, progress=False)[-1]
    with torch.no_grad():
        right = float((model(x[test]).argmax(1).numpy() == labels[test]).mean())
        loss = float(half_squares(model(x[train]), y[train]).mean())
    return [end.change_of_loss, end.change_of_kernel, end.lazy_ratio, end.distance, end.linearisation_error, loss, 100 * right]


def told(name, numbers):
    print(f"{name}: Δ(L) {numbers[0]:.3g}, Δ(Df) {numbers[1]:.3g}", flush=True)
    return numbers


def main():
    charts, rows = [], []
    for p, (name, values, run) in enumerate((("alpha", ALPHAS, lambda a, s: one(a, asked.width, s)), ("width", WIDTHS, lambda w, s: one(1.0, w, s)))):
        found = np.array([[told(f"{name} {value:g}, seed {seed}", run(value, seed)) for seed in range(asked.seeds)] for value in values])
        chart = Chart(60 + 560 * p, 40, f"{name}: what training changed" + (f", width {asked.width}" if name == "alpha" else ", alpha = 1"), (min(values), max(values)), (0.001, 10.0), log_x=True,
                      log_y=True, x_name=name)
        for curve, column, colour in (("Δ(L), the loss", 0, ORANGE), ("Δ(Df), the Jacobian", 1, BLUE), ("linearisation's error", 4, GREEN)):
            chart.curve(curve, values, found[:, :, column], colour)
        charts.append(chart)
        for value, numbers in zip(values, found):
            rows.append([name, f"{value:g}", *(spread(numbers[:, c]) for c in range(7)), int(np.isnan(numbers[:, 0]).sum()) or ""])
    table(f"{asked.out}/lazy.csv", ["varied", "value", "Δ(L)", "Δ(Df)", "lazy ratio", "S", "linearisation's error", "training loss", "test, % right", "diverged"], rows)
    figure(f"{asked.out}/dynamics_lazy.png", charts, 1180, 400)


if __name__ == "__main__":
    main()
