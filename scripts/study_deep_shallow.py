"""Does depth help in kernel regimes? Bietti and Bach's experiment (ICLR 2021):  make study-deep-shallow

Kernel ridge regression on MNIST and Fashion-MNIST, images divided by their norm, with the arc-cosine kernels (NNGP) and the tangent kernels of ReLU networks of depth 2 to 5, and the
Laplace kernel exp(-|x-x'|). Each split draws its training examples and 2000 held-out ones from the training part. lambda is a half decade times the mean of k(x, x), chosen on the held-out ones:
of that with the smallest squared error and its two neighbours the one that gets most right. Accuracy is that on the whole test part. Every fit is a line of runs/deep_shallow.csv; what stands there is not done again, so that an interrupted study goes on.

SIZES="1000 5000 10000", SPLITS="5 5 3" (for each size), DATA="mnist fashion-mnist". Prints Markdown tables, draws docs/pictures/deep_shallow.png.
"""

import csv
import os
import pathlib
import sys
import time

import numpy as np
import torch

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else ROOT / "build").resolve() / "python"))
from drawing import BLUE, GREY, ORANGE, Axes, picture  # noqa: E402
from pathkernel import kernels  # noqa: E402

SIZES = [int(n) for n in os.environ.get("SIZES", "1000 5000 10000").split()]
SPLITS = [int(n) for n in os.environ["SPLITS"].split()] if "SPLITS" in os.environ else [5 if n <= 5000 else 3 for n in SIZES]
if len(SPLITS) != len(SIZES):
    sys.exit(f"study_deep_shallow: SPLITS has {len(SPLITS)} numbers, SIZES {len(SIZES)}; one for each is expected")
DATA = os.environ.get("DATA", "mnist fashion-mnist").split()
DEPTHS = (2, 3, 4, 5)
HELD_OUT = 2000
LEAST = -16  # half decades: below, lambda is rounding
RESULTS = ROOT / "runs/deep_shallow.csv"
COLUMNS = ("data", "kernel", "n", "split", "log10_lambda", "held_out_accuracy", "accuracy", "seconds")


def kernel_of(name):
    family, _, depth = name.partition(" ")
    if family == "laplace":
        return kernels.laplace(1.0)
    return getattr(kernels, family)("dense relu " * (int(depth) - 1) + "dense", w_std=2**0.5)


NAMES = ["laplace", *(f"{family} {depth}" for family in ("nngp", "ntk") for depth in DEPTHS)]


def read(data):
    """(training images, labels, test images, labels); images on the unit sphere."""
    places = [pathlib.Path(p) for p in (os.environ.get("PATHKERNEL_DATA"), ROOT / ".cache/data") if p]
    folder = next((p / data for p in places if (p / data).is_dir()), None)
    if folder is None:
        sys.exit(f"study_deep_shallow: no folder {data} in {' or '.join(map(str, places))}; make data brings it")

    def part(name):
        x = np.frombuffer((folder / f"{name}-images-idx3-ubyte").read_bytes(), np.uint8)[16:].reshape(-1, 784).astype(float)
        y = np.frombuffer((folder / f"{name}-labels-idx1-ubyte").read_bytes(), np.uint8)[8:].astype(np.int64)
        return torch.from_numpy(x / np.linalg.norm(x, axis=1, keepdims=True)), torch.from_numpy(y)

    return *part("train"), *part("t10k")


def downhill(error, start):
    """The half decade p at which error(p) is smallest, going downhill from start."""
    best = start
    while (better := min((best, best + 1, max(best - 1, LEAST)), key=error)) != best:
        best = better
    return best


def fit(kernel, x, y, held, y_held, test, y_test, start):
    """Ridge regression on one number for each class: (half decade of lambda, share of the held-out examples that are right, accuracy)."""
    K, K_held = kernel.gram(x, memory=8 << 30), kernel.gram(held, x)
    scale = K.diagonal().mean()
    targets, wanted = (torch.nn.functional.one_hot(labels, 10).double() - 0.1 for labels in (y, y_held))
    alphas, errors, right = {}, {}, {}

    def error(p):
        if p not in errors:
            regularised = K.clone()
            regularised.diagonal().add_(scale * 10 ** (p / 2))
            alphas[p] = torch.cholesky_solve(targets, torch.linalg.cholesky(regularised))
            outputs = K_held @ alphas[p]
            errors[p], right[p] = (outputs - wanted).square().sum().item(), outputs.argmax(1).eq(y_held).double().mean().item()
        return errors[p]

    near = downhill(error, start)
    best = max((p for p in (near - 1, near, near + 1) if p in errors), key=lambda p: (right[p], -errors[p]))
    del K, K_held
    hits = sum((kernel.gram(part, x) @ alphas[best]).argmax(1).eq(labels).sum().item() for part, labels in zip(test.split(2500), y_test.split(2500)))
    return best, right[best], hits / len(test)


def done_before():
    if not RESULTS.exists():
        return {}
    with RESULTS.open(newline="") as file:
        return {(row["data"], row["kernel"], int(row["n"]), int(row["split"])): row for row in csv.DictReader(file)}


def run():
    """The fits that are missing, small ones first."""
    RESULTS.parent.mkdir(exist_ok=True)
    done, loaded = done_before(), {}
    with RESULTS.open("a", newline="") as file:
        writer = csv.writer(file)
        if not done:
            writer.writerow(COLUMNS)
        for n, splits in zip(SIZES, SPLITS, strict=True):
            for split, data, name in ((s, d, k) for s in range(splits) for d in DATA for k in NAMES):
                if (data, name, n, split) in done:
                    continue
                if data not in loaded:
                    loaded = {**loaded, data: read(data)}
                x, y, test, y_test = loaded[data]
                order = torch.from_numpy(np.random.default_rng(split).permutation(len(x)))
                chosen, held = order[:n], order[-HELD_OUT:]
                before = [row for key, row in done.items() if key[:2] == (data, name)]
                start = round(2 * float(before[-1]["log10_lambda"])) if before else -5
                began = time.perf_counter()
                p, held_right, accuracy = fit(kernel_of(name), x[chosen], y[chosen], x[held], y[held], test, y_test, start)
                row = (data, name, n, split, p / 2, f"{held_right:.4f}", accuracy, f"{time.perf_counter() - began:.1f}")
                writer.writerow(row)
                file.flush()
                done[data, name, n, split] = dict(zip(COLUMNS, row))
                print(*row, file=sys.stderr, flush=True)


def accuracies(rows):
    """Per cent right, {(data, kernel, n): {split: number}}."""
    found = {}
    for row in rows:
        found.setdefault((row["data"], row["kernel"], int(row["n"])), {})[int(row["split"])] = 100 * float(row["accuracy"])
    return found


def mean(values):
    """(mean, its standard error)"""
    values = np.array(list(values))
    return values.mean(), values.std(ddof=1) / len(values)**0.5 if len(values) > 1 else float("nan")


def written(values):
    values = list(values)
    if not values:
        return "not run"
    m, error = mean(values)
    return f"{m:.2f}" if np.isnan(error) else f"{m:.2f} ± {error:.2f}"


def differences(found, data, family, depth, n):
    """Split by split, what the deeper kernel has more than that of depth 2."""
    shallow, deep = (found.get((data, f"{family} {d}", n), {}) for d in (2, depth))
    return [deep[s] - shallow[s] for s in deep if s in shallow]


def tables(found):
    for data in DATA:
        sizes = [n for n in SIZES if any((data, k, n) in found for k in NAMES)]
        print(f"\n{data}, per cent of the 10000 test images right\n\n| kernel |", *(f"n = {n}, splits: {max(len(found.get((data, k, n), ())) for k in NAMES)} |" for n in sizes))
        print("|---" * (1 + len(sizes)) + "|")
        for name in NAMES:
            print(f"| {name} |", *(f"{written(found.get((data, name, n), {}).values())} |" for n in sizes))
        print("\nmore than depth 2 of the same kernel has, split by split\n\n| kernel |", *(f"n = {n} |" for n in sizes), sep=" ")
        print("|---" * (1 + len(sizes)) + "|")
        for family, depth in ((f, d) for f in ("nngp", "ntk") for d in DEPTHS[1:]):
            print(f"| {family} {depth} |", *(f"{written(differences(found, data, family, depth, n))} |" for n in sizes))


def draw(found):
    parts = []
    for k, data in enumerate(DATA):
        accuracy = {(name, n): mean(values.values()) for (of, name, n), values in found.items() if of == data and n in SIZES}
        shown = [m for m, _ in accuracy.values()]
        low, high = np.floor(min(shown)) - 1, np.ceil(max(shown)) + 0.5
        axes = Axes(60 + 590 * k, 40, 500, 400, (1.2, 5.3), (low, high))
        axes.title(f"{data}: % right by depth; dotted: the Laplace kernel")
        for n, colour in zip(SIZES, (GREY, ORANGE, BLUE)):
            if ("laplace", n) in accuracy:
                axes.line((1.2, 5.3), [accuracy["laplace", n][0]] * 2, colour, 1, "2 4")
            for family, dash, shift in (("ntk", "", 0.03), ("nngp", "6 4", -0.03)):
                depths = [d for d in DEPTHS if (f"{family} {d}", n) in accuracy]
                at, here = [d + shift for d in depths], np.array([accuracy[f"{family} {d}", n] for d in depths]).reshape(-1, 2)
                axes.line(at, here[:, 0], colour, 2, dash)
                axes.dots(at, here[:, 0], colour)
                axes.bars(at, here[:, 0], np.nan_to_num(here[:, 1]), colour)
                if depths and family == "ntk":
                    axes.text(1.9, here[0, 0], f"n = {n}", "end", dy=-8, colour=colour)
        axes.ticks(DEPTHS, range(int(low) + 1, int(high) + 1), [f"depth {d}" for d in DEPTHS])
        parts += axes.parts
    axes.text(5.3, low, "full: tangent kernel; dashed: arc-cosine (NNGP)", "end", dx=-8, dy=-12)
    picture("deep_shallow", parts + axes.parts[-1:], 60 + 590 * len(DATA) - 20, 480)


if __name__ == "__main__":
    run()
    found = accuracies(done_before().values())
    tables(found)
    draw(found)
