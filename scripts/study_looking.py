"""Looking at kernels:  make study-looking, or  .venv/bin/python scripts/study_looking.py build [sine layers seeds controls]

sine      a net is fitted to sin: which inputs have like gradients, before and after; how that goes with depth
layers    how depth, residual connections, normalisation, convolution and attention change the kernel of an infinitely wide network
seeds     the path kernels of two seeds of one net, their contributions, and when in training these are made
controls  does the path kernel explain a net better than f(x)f(x'), or a kernel that has nothing to do with it?

Prints Markdown tables, draws docs/pictures/looking_*.png; docs/looking.md has both.
"""

import pathlib
import sys
import tempfile

import numpy as np
import torch
import torch.nn as nn
from sklearn.datasets import load_digits

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else ROOT / "build").resolve() / "python"))
import pathkernel as pk  # noqa: E402
from drawing import BLUE, GREEN, GREY, ORANGE, PURPLE, Axes, picture  # noqa: E402
from pathkernel import machines, stax  # noqa: E402

SEEDS = (0, 1, 2)


def relu_net(sizes, seed, gain=1.0):
    torch.manual_seed(seed)
    layers = [layer for a, b in zip(sizes[:-1], sizes[1:]) for layer in (nn.Linear(a, b), nn.ReLU())]
    net = nn.Sequential(*layers[:-1]).double()
    with torch.no_grad():
        for p in net.parameters():
            p *= gain
    return net


def cosines(K):
    scale = np.sqrt(np.diag(K))
    return K / np.outer(scale, scale)


def alignment(K, L):
    """Unbiased centred alignment (CKA): 0 in the mean for unrelated kernels, 1 for the same up to scale (theory 10)."""
    def hsic(K, L):
        n = len(K)
        K, L = K - np.diag(np.diag(K)), L - np.diag(np.diag(L))
        return ((K * L).sum() + K.sum() * L.sum() / ((n - 1) * (n - 2)) - 2 / (n - 2) * K.sum(0) @ L.sum(0)) / (n * (n - 3))
    return hsic(K, L) / np.sqrt(hsic(K, K) * hsic(L, L))


def spread(values, digits=2):
    return f"{np.mean(values):.{digits}f} ± {np.std(values):.{digits}f}"


# --- a net fitted to sin

PERIODS, POINTS = 3, 121  # x from -3π to 3π; between two extremes lie 20 of the points


def sine_kernels(folder, sizes, seed, epochs=1200):
    """Cosines of the tangent kernel on a grid, before and after, and the mean squared error."""
    x = torch.linspace(-1, 1, 240, dtype=torch.float64)[:, None] * PERIODS * np.pi
    grid = torch.linspace(-1, 1, POINTS, dtype=torch.float64)[:, None] * PERIODS * np.pi
    net = relu_net(sizes, seed, 1.4)
    optimizer = torch.optim.AdamW(net.parameters(), lr=1e-3, weight_decay=0.1)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs)
    with pk.record(folder, model=net, optimizer=optimizer, loss=nn.MSELoss(), data=(x / 3, torch.sin(x)), seed=seed) as run:
        run.fit(epochs, 48, scheduler=schedule, progress=False)
    with torch.no_grad():
        error = (net(grid / 3) - torch.sin(grid)).square().mean().item()
    return [cosines(run.tangent_kernel(grid / 3, at=at, form="trace", progress=False).numpy()) for at in (0, None)], error


def by_distance(C):
    """The mean cosine of two extremes of sin that are π, 2π, … 5π apart: even multiples are extremes of the same kind."""
    extremes = np.arange(10, POINTS, 20)
    return [np.mean([C[a, a + 20 * d] for a in extremes if a + 20 * d < POINTS]) for d in range(1, 6)]


def sine():
    print("\nA ReLU net fitted to sin on [-3π, 3π]: mean cosine between the gradients at two extremes of sin\n")
    print("| net | | error | π apart | 2π | 3π | 4π | 5π |\n|---|---|---|---|---|---|---|---|")
    parts = []
    for row, (title, sizes) in enumerate((("depth 8, width 24", [1, *[24] * 7, 1]), ("depth 3, width 64", [1, 64, 64, 1]))):
        with tempfile.TemporaryDirectory() as folder:
            found = [sine_kernels(f"{folder}/{seed}", sizes, seed) for seed in SEEDS]
        profiles = np.array([[by_distance(C) for C in kernels] for kernels, _ in found])  # [seeds, before and after, distances]
        errors = [error for _, error in found]
        for when, words in ((0, "before"), (1, "after")):
            fitted = "" if when == 0 else f"{np.mean(errors):.1e}"
            print(f"| {title} | {words} | {fitted} |", *(f"{spread(profiles[:, when, d])} |" for d in range(5)), flush=True)
        for when, words in ((0, "before"), (1, "after training")):
            axes = Axes(60 + 360 * when, 50 + 380 * row, 300, 300, (-PERIODS, PERIODS), (PERIODS, -PERIODS))
            axes.heat(found[0][0][when], -1, 1, "red-blue")
            axes.title(f"{title}, {words}")
            ticks = [-2.5 + k for k in range(6)]
            names = ["min" if k % 2 == 0 else "max" for k in range(6)]
            axes.ticks(ticks, ticks, names, names)
            parts += axes.parts
        axes = Axes(800, 50 + 380 * row, 380, 300, (0.7, 5.3), (-0.2, 1.05))
        axes.title("mean cosine by distance, three seeds")
        axes.line((0.7, 5.3), (0, 0), "#cbd5e0", 1)
        for when, colour, words in ((0, GREY, "before"), (1, BLUE, "after")):
            for profile in profiles[:, when]:
                axes.line(range(1, 6), profile, colour, 1, "3 3")
            axes.line(range(1, 6), profiles[:, when].mean(0), colour)
            axes.dots(range(1, 6), profiles[:, when].mean(0), colour)
            axes.text(0.7, -0.2, words, "start", dx=12 + 60 * when, dy=-12, colour=colour)
        axes.ticks(range(1, 6), (0, 0.5, 1), ["π, other", "2π, same", "3π, other", "4π, same", "5π, other"])
        parts += axes.parts
    picture("looking_sine", parts, 1200, 790)


# --- what layers do to the kernel of an infinitely wide network

def dense(depth, activation=stax.Relu, w=2**0.5, b=0.05, norm=False):
    hidden = [stax.Dense(1, w, b), *([stax.LayerNorm()] if norm else []), activation()]
    return stax.serial(stax.Flatten(), *hidden * (depth - 1), stax.Dense(1, w, b))


def residual(depth, activation=stax.Relu, w=2**0.5, b=0.05):
    block = stax.serial(stax.FanOut(2), stax.parallel(stax.Identity(), stax.serial(activation(), stax.Dense(1, w, b))), stax.FanInSum())
    return stax.serial(stax.Flatten(), stax.Dense(1, w, b), stax.repeat(block, depth - 2), activation(), stax.Dense(1, w, b))


def convolutional(end, w=2**0.5, b=0.05):
    return stax.serial(*[stax.Conv(1, (3, 3), padding="SAME", W_std=w, b_std=b), stax.Relu()] * 3, end(), stax.Dense(1, w, b))


def attention(w=2**0.5, b=0.05):
    patches = [stax.Conv(1, (2, 2), strides=(2, 2), W_std=w, b_std=b), stax.Relu(), stax.Conv(1, (1, 1), W_std=w, b_std=b)]
    return stax.serial(*patches, stax.GlobalSelfAttention(1, 1, 1, 1, W_key_std=2.0, W_query_std=2.0), stax.Flatten(), stax.Dense(1, w, b))


NETWORKS = {
    "ReLU, depth 2": dense(2),
    "ReLU, depth 10": dense(10),
    "ReLU, depth 30": dense(30),
    "ReLU, depth 30, residual": residual(30),
    "erf, W_std 3, depth 2": dense(2, stax.Erf, 3.0),
    "erf, W_std 3, depth 10": dense(10, stax.Erf, 3.0),
    "erf, W_std 3, depth 10, residual": residual(10, stax.Erf, 3.0),
    "erf, W_std 3, depth 10, layer norm": dense(10, stax.Erf, 3.0, norm=True),
    "3 convolutions, flatten": convolutional(stax.Flatten),
    "3 convolutions, mean over positions": convolutional(stax.GlobalAvgPool),
    "attention over 16 patches, flatten": attention(),
}
DRAWN = ("ReLU, depth 2", "ReLU, depth 30", "erf, W_std 3, depth 10", "erf, W_std 3, depth 10, layer norm", "attention over 16 patches, flatten", "3 convolutions, mean over positions")


def layers():
    X, y = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(X))[:600]
    X, y = (X[order] / 16).reshape(-1, 8, 8, 1), y[order]
    few = slice(0, 200)
    own = y[few, None] == y[None, few]
    others = ~np.eye(200, dtype=bool)
    labels = own - 0.1
    print("\nTangent kernels of infinitely wide networks on 200 digits; per cent right of 400 others by ridge regression\n")
    print("| network | cosine, same digit | other digits | directions | alignment with the labels | with ReLU of depth 2 | right |\n|---|---|---|---|---|---|---|")
    grams = {}
    for name, (_, _, kernel_fn) in NETWORKS.items():
        K, k = kernel_fn(X[few], None, "ntk"), kernel_fn(X[200:], X[few], "ntk")
        grams[name] = K
        C = cosines(K)
        spectrum = np.linalg.eigvalsh(K - K.mean(0) - K.mean(1)[:, None] + K.mean()).clip(0)
        right = machines.RidgeClassifier("precomputed").fit(K, y[few]).score(k, y[200:])
        print(f"| {name} | {C[own & others].mean():.3f} | {C[~own].mean():.3f} | {spectrum.sum()**2 / (spectrum**2).sum():.1f} | {alignment(K, labels):.2f} | "
              f"{alignment(K, grams['ReLU, depth 2']):.2f} | {100 * right:.1f} % |", flush=True)
    by_class, parts = np.argsort(y[few], kind="stable"), []
    for place, name in enumerate(DRAWN):
        C = cosines(grams[name])[by_class][:, by_class]
        low = np.quantile(C, 0.01)
        axes = Axes(430 + 270 * (place % 3), 50 + 300 * (place // 3), 240, 240, (0, 200), (200, 0))
        axes.heat(C, low, 1)
        axes.parts.append(f'<text x="{axes.box[0]}" y="{axes.box[1] - 10}" fill="{GREY}" font-size="11">{name}: {low:.2f}–1</text>')
        parts += axes.parts
    picture("looking_layers", parts + angles(), 1230, 640)


def angles():
    """Kernels of dense networks as functions of the angle between two inputs of norm √2: K(θ)/K(0)."""
    theta = np.linspace(0, np.pi, 91)
    points = 2**0.5 * np.stack([np.cos(theta), np.sin(theta)], 1)
    axes = Axes(50, 50, 320, 540, (0, 180), (-1, 1))
    axes.title("K(θ)/K(0), θ the angle of two inputs")
    axes.line((0, 180), (0, 0), "#cbd5e0", 1)
    shown = (("ReLU, depth 2", BLUE, ""), ("ReLU, depth 10", BLUE, "8 3"), ("ReLU, depth 30", BLUE, "2 3"), ("ReLU, depth 30, residual", GREEN, ""), ("erf, W_std 3, depth 2", ORANGE, ""),
             ("erf, W_std 3, depth 10", ORANGE, "8 3"), ("erf, W_std 3, depth 10, layer norm", PURPLE, ""))
    for k, (name, colour, dash) in enumerate(shown):
        values = NETWORKS[name][2](points, points[:1], "ntk")[:, 0]
        own = NETWORKS[name][2](points[:1], None, "ntk")[0, 0]
        axes.line(theta * 180 / np.pi, np.concatenate([[1], values[1:] / own]), colour, 2, dash)
        axes.text(180, 1, name, "end", dx=-34, dy=18 + 17 * k, colour=colour, size=11)
        left, top, width, _ = axes.box
        axes.parts.append(f'<line x1="{left + width - 30}" x2="{left + width - 6}" y1="{top + 14 + 17 * k}" y2="{top + 14 + 17 * k}" stroke="{colour}" stroke-width="2" stroke-dasharray="{dash}"/>')
    axes.ticks((0, 45, 90, 135, 180), (-1, -0.5, 0, 0.5, 1))
    return axes.parts


# --- two seeds of one net

def digits_runs(folder, hidden, epochs=20):
    """Runs of one net on 400 digits that differ in the seed of weights and order; inputs and labels of 200 others."""
    X, y = load_digits(return_X_y=True)
    order = np.random.default_rng(1).permutation(len(X))
    x, y = torch.from_numpy(X[order] / 16), torch.from_numpy(y[order])
    runs = []
    for seed in SEEDS:
        net = relu_net([64, hidden, hidden, 10], seed)
        with pk.record(f"{folder}/{hidden}-{seed}", model=net, optimizer=torch.optim.SGD(net.parameters(), lr=0.1), loss=nn.CrossEntropyLoss(), data=(x[:400], y[:400]), seed=seed) as run:
            run.fit(epochs, 20, progress=False)
        runs.append(run)
    return runs, x[400:600], y[400:600]


def pairs(values, of):
    return [of(values[a], values[b]) for a in range(len(values)) for b in range(a)]


def accuracy(run, x, y):
    with torch.no_grad():
        return (run._trained.network.module(x).argmax(1) == y).double().mean().item()


def seeds():
    print("\nThree seeds of 64-width-width-10 on 400 digits (SGD, rate 0.1, 20 epochs of batches of 20): how alike is what each has, over the three pairs\n")
    print("| width | right | untrained tangent kernels | path kernels | trained tangent kernels | a path kernel and its own untrained one | contributions to a log-odds (correlation) |\n|---|---|---|---|---|---|---|")
    shares = {}
    for hidden in (16, 64, 256):
        with tempfile.TemporaryDirectory() as folder:
            runs, x, y = digits_runs(folder, hidden)
            right = [100 * accuracy(run, x, y) for run in runs]
            K = {at: [run.tangent_kernel(x, at=at, form="trace", progress=False).numpy() for run in runs] for at in (0, None)}
            path = [run.path_kernel(x, every=8, progress=False).numpy() for run in runs]
            ledgers = [run.explain((x[:40], y[:40]), measure=lambda outputs, batch: log_odds(outputs, batch.targets), progress=False) for run in runs]
            c = [ledger.contributions for ledger in ledgers]
            correlation = pairs(c, lambda a, b: np.mean([np.corrcoef(a[:, q], b[:, q])[0, 1] for q in range(a.shape[1])]))
            print(f"| {hidden} | {spread(right, 1)} % | {spread(pairs(K[0], alignment))} | {spread(pairs(path, alignment))} | {spread(pairs(K[None], alignment))} | "
                  f"{spread([alignment(p, k) for p, k in zip(path, K[0])])} | {spread(correlation)} |", flush=True)
            shares[hidden] = [made_by_step(ledger) for ledger in ledgers]
            if hidden == 64:
                drawn = [cosines(p) for p in path], y.numpy(), c
    when(shares)
    draw_seeds(*drawn, shares)


def log_odds(outputs, targets):
    """Of an input's own class."""
    own = outputs.gather(1, targets[:, None])[:, 0]
    rest = outputs.masked_fill(nn.functional.one_hot(targets, outputs.shape[1]).bool(), -torch.inf)
    return own - rest.logsumexp(1)


def made_by_step(ledger):
    """Cumulative over the steps, mean over the queries: (share of Σ|c|, share of the change f_T − f_0), [T] each."""
    sizes = np.zeros_like(ledger.by_step)
    np.add.at(sizes, ledger.draw_step, np.abs(ledger.draws))
    moved = (ledger.outputs - ledger.outputs[0])[1:]
    return (sizes.cumsum(0) / sizes.sum(0)).mean(1), moved.mean(1) / moved[-1].mean()


def when(shares):
    print("\nWhen the contributions to 40 log-odds are made: share of Σ|c|, and of the change of the log-odds, until a part of the 400 steps is done\n")
    print("| width | | 5 % | 10 % | 25 % | 50 % | 75 % |\n|---|---|---|---|---|---|---|")
    for hidden, curves in shares.items():
        for k, words in ((0, "Σ\\|c\\|"), (1, "change")):
            at = [100 * np.array([curve[k][int(part * len(curve[k])) - 1] for curve in curves]) for part in (0.05, 0.1, 0.25, 0.5, 0.75)]
            print(f"| {hidden} | {words} |", *(f"{spread(v, 0)} % |" for v in at))


def draw_seeds(path, y, c, shares):
    by_class, parts = np.argsort(y, kind="stable"), []
    for k in (0, 1):
        axes = Axes(50 + 300 * k, 50, 270, 270, (0, len(y)), (len(y), 0))
        C = path[k][by_class][:, by_class]
        axes.heat(C, np.quantile(C, 0.01), 1)
        axes.title(f"path kernel, seed {k}, by class")
        parts += axes.parts
    both = np.stack([c[0].ravel(), c[1].ravel()])
    limit = np.quantile(np.abs(both), 0.999)
    axes = Axes(670, 50, 270, 270, (-limit, limit), (-limit, limit))
    axes.title("contributions, seed 0 and seed 1")
    axes.line((-limit, limit), (-limit, limit), "#cbd5e0", 1)
    inside = both[:, (np.abs(both) < limit).all(0)][:, ::4]
    axes.dots(*inside, BLUE, 1)
    axes.ticks((-10, -5, 0, 5, 10), (-10, -5, 0, 5, 10))
    parts += axes.parts
    axes = Axes(990, 50, 270, 270, (0, 100), (0, 105))
    axes.title("% made, by % of the steps (width 64)")
    for curve in shares[64]:
        for values, colour in zip(curve, (BLUE, ORANGE)):
            axes.line(100 * np.arange(1, len(values) + 1) / len(values), 100 * values, colour, 1.5)
    axes.text(100, 0, "Σ|c|", "end", dx=-10, dy=-34, colour=BLUE)
    axes.text(100, 0, "change of the log-odds", "end", dx=-10, dy=-14, colour=ORANGE)
    axes.ticks((0, 25, 50, 75, 100), (0, 50, 100))
    picture("looking_seeds", parts + axes.parts, 1290, 360)


# --- the path kernel and its controls

def controls():
    print("\nThe same nets: how much of f_T − f_0 on 100 other digits do kernels explain, with coefficients that do not depend on the input? R², three seeds; 1: all, 0 or below: nothing\n")
    print("| width | kernel | coefficients: residuals' mean in time | fitted to every second input, tried on the others | share of k < 0 |\n|---|---|---|---|---|")
    for hidden in (16, 64):
        with tempfile.TemporaryDirectory() as folder:
            runs, x, _ = digits_runs(folder, hidden)
            found = [run.fidelity(x[:100], progress=False) for run in runs]
        for name in found[0].kernels:
            kernels = [fidelity.kernels[name] for fidelity in found]
            in_time, fitted = [k.time_mean for k in kernels], [k.least_squares for k in kernels]
            print(f"| {hidden} | {name} | {explained(in_time)} | {explained(fitted)} | {np.mean([k.negative for k in kernels]):.2f} |", flush=True)


def explained(values):
    return "" if np.isnan(values).any() else "below 0" if np.mean(values) < 0 else spread(values)


PARTS = {"sine": sine, "layers": layers, "seeds": seeds, "controls": controls}


def main():
    torch.set_num_threads(1)
    for part in sys.argv[2:] or PARTS:
        PARTS[part]()


if __name__ == "__main__":
    main()
