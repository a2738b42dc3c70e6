"""Does a contribution say what a removal would do?  make study

The same network trained for a short and for a long time on 2,000 real digits; 50 single examples and 20 groups of 20 are dropped, one at a
time, and the run is repeated without them (pathkernel retrain). For every test digit: the correlation, over the drops, of what the dropped
ones had contributed (taken back) with the real change of the digit's log-odds. Prints a Markdown table; means over the digits. EPOCHS=1,20
makes these rows only.
"""

import json
import os
import pathlib
import subprocess
import sys
import tempfile

import numpy as np

program = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else "build/pathkernel")
EPOCHS = [int(e) for e in os.environ.get("EPOCHS", "1,5,20,60").split(",")]
EXAMPLES, SINGLES, GROUPS, GROUP = 2000, 50, 20, 20
QUERIES = "test:0-31"


def pathkernel(*arguments):
    done = subprocess.run([str(program), *map(str, arguments)], check=True, capture_output=True, text=True)
    return done.stdout


def compared(folder, drop):
    """[queries] −contributed and the real change."""
    numbers = ",".join(str(i) for i in sorted(drop))
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        pathkernel("retrain", folder / "run", "--drop", numbers, "--out", f"{scratch}/without")
        queries = json.loads(pathkernel("compare", folder / "run", f"{scratch}/without", "--ledger", folder / "ledger", "--json"))["queries"]
    return [-q["dropped_contributed"] for q in queries], [q["change"] for q in queries]


def ranks(x):
    return x.argsort(0).argsort(0).astype(float)


def correlation(x, y):
    """Of the columns, averaged."""
    x, y = x - x.mean(0), y - y.mean(0)
    return float(((x * y).sum(0) / np.sqrt((x * x).sum(0) * (y * y).sum(0))).mean())


def drops(random):
    singles = [[int(i)] for i in random.choice(EXAMPLES, SINGLES, replace=False)]
    groups = [[int(i) for i in random.choice(EXAMPLES, GROUP, replace=False)] for _ in range(GROUPS)]
    return singles, groups


def cells(folder, chosen):
    pairs = np.array([compared(folder, drop) for drop in chosen])  # [drops, 2, queries]
    expected, real = pairs[:, 0], pairs[:, 1]
    slope = float((expected * real).sum() / (expected * expected).sum())
    return f"{correlation(expected, real):.2f} / {correlation(ranks(expected), ranks(real)):.2f} | {slope:.2f}"


def main():
    print(f"| epochs | steps | last batch's loss | test accuracy | {SINGLES} singles: Pearson / rank | slope | {GROUPS} groups of {GROUP}: Pearson / rank | slope |")
    print("|---|---|---|---|---|---|---|---|")
    for epochs in EPOCHS:
        with tempfile.TemporaryDirectory() as scratch:
            folder = pathlib.Path(scratch)
            result = json.loads(pathkernel("train", "--data", "mnist", "--limit", EXAMPLES, "--model", "mlp:784-32-10", "--activation", "tanh", "--lr", 0.05, "--momentum", 0.9,
                                           "--batch", 50, "--epochs", epochs, "--seed", 0, "--threads", 1, "--out", folder / "run", "--json"))  # fmt: skip
            pathkernel("explain", folder / "run", "--queries", QUERIES, "--sampled-steps", 0, "--out", folder / "ledger")
            singles, groups = drops(np.random.default_rng(0))
            print(f"| {epochs} | {result['steps']} | {result['last_loss']:.3f} | {100 * result['test_accuracy']:.1f} % | {cells(folder, singles)} | {cells(folder, groups)} |", flush=True)


if __name__ == "__main__":
    main()
