"""Taylorised training beside the real network:  make study-taylor, or  .venv/bin/python scripts/study_taylor.py build [--widths 16,64,256]

Multilayer networks on MNIST at 14 × 14 (196-h-h-10, ReLU, cross-entropy, SGD with momentum); and their Taylor polynomials of order 1 and 2 in the weights, trained on the same batches with the
same optimizer from the same initial weights (run.taylorised): loss, who is right, and how far the outputs are from the network's.
"""

import math
import tempfile

import numpy as np
import torch

from study_tools import BLUE, GREEN, ORANGE, Chart, arguments, digits, figure, spread, table

asked = arguments(__doc__, examples=500, test=500, epochs=12, widths="16,64,256", rate=0.02)
import pathkernel as pk  # noqa: E402

COUNT = 9


def one(width, seed):
    """[order 0 (the network), 1, 2][moment]: training loss, test % right, distance, same class; and the steps."""
    x, y = (torch.from_numpy(a) for a in digits(asked.examples + asked.test, 14, 3000 * seed))
    x = x.float()
    train, test = (x[:asked.examples], y[:asked.examples]), (x[asked.examples:], y[asked.examples:])
    torch.manual_seed(seed)
    model = torch.nn.Sequential(torch.nn.Linear(196, width), torch.nn.ReLU(), torch.nn.Linear(width, width), torch.nn.ReLU(), torch.nn.Linear(width, 10))
    found = np.full((3, COUNT, 4), math.nan)
    with tempfile.TemporaryDirectory() as folder:
        with pk.record(f"{folder}/run", model=model, optimizer=torch.optim.SGD(model.parameters(), lr=asked.rate, momentum=0.9), loss=torch.nn.CrossEntropyLoss(), data=train, seed=seed) as run:
            run.fit(asked.epochs, 50, progress=False)
        both = (torch.cat([train[0], test[0]]), torch.cat([train[1], test[1]]))
        for order in (1, 2):
            taylor = run.taylorised(both, order=order, count=COUNT, progress=False)
            for k, m in enumerate(taylor.moments):
                for o, outputs in ((0, taylor.outputs[k]), (order, taylor.taylor_outputs[k])):
                    z = torch.from_numpy(outputs)
                    there = bool(z.isfinite().all())
                    fitted, tested = z[:asked.examples], z[asked.examples:]
                    loss = float(torch.nn.functional.cross_entropy(fitted, train[1])) if there else math.nan
                    right = 100 * float((tested.argmax(1) == test[1]).double().mean()) if there else math.nan
                    found[o, k] = (loss, right, m.distance if o else 0, 100 * m.agreement if o else 100)
    return found, [m.step for m in taylor.moments]


def main():
    widths = [int(w) for w in asked.widths.split(",")]
    charts, rows = [], []
    for p, width in enumerate(widths):
        runs = [one(width, seed) for seed in range(asked.seeds)]
        found, steps = np.stack([r[0] for r in runs], -1), runs[0][1]  # [order, moment, number, seed]
        pair = [Chart(60 + 400 * p, 40, f"width {width}: training loss", (0, steps[-1]), (0.01, 10.0), log_y=True, width=330, height=230, legend="bottom"),
                Chart(60 + 400 * p, 340, "test images, % right", (0, steps[-1]), (0, 100), width=330, height=230, legend="bottom"),
                Chart(60 + 400 * p, 640, "distance of the outputs from the network's", (0, steps[-1]), (0, 1), x_name="step", width=330, height=230, legend="bottom")]
        for o, (name, colour) in enumerate((("the network", ORANGE), ("order 1", BLUE), ("order 2", GREEN))):
            pair[0].curve(name, steps, found[o, :, 0], colour)
            pair[1].curve(name, steps, found[o, :, 1], colour, label=False)
            if o:
                pair[2].curve(name, steps[1:], found[o, 1:, 2], colour, label=False)
            rows.append([width, name, *(spread(found[o, -1, c]) if o or c < 2 else "" for c in range(4)), int(np.isnan(found[o, -1, 0]).sum()) or ""])
        charts += pair
    table(f"{asked.out}/taylor.csv", ["width", "trained", "training loss", "test, % right", "distance of the outputs", "same class, %", "diverged"], rows)
    figure(f"{asked.out}/dynamics_taylor.png", charts, 400 * len(widths) + 20, 930)


if __name__ == "__main__":
    main()
