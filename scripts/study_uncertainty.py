"""How good is E?  make study

For the runs of theory 3b (MLP 784-64-64-10, 120 steps of 64 real MNIST digits) and LeNet with momentum and AdamW: the certificate's E
(doubled panels on sampled steps) beside the true distance ||c - c_ref|| / ||c_ref|| of the secant's contributions from composite
Gauss-Legendre quadrature of the line integral. Prints a Markdown table; medians over the queries.
"""

import pathlib
import subprocess
import sys
import tempfile

import numpy as np
from safetensors.numpy import load_file

program = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else "build/pathkernel")
mlp = ["--model", "mlp:784-64-64-10"]
RUNS = [  # name, training options, panels of gauss:3 in the reference
    ("mlp relu, SGD lr .1", mlp + ["--lr", "0.1"], 40),
    ("mlp relu, SGD lr .02 momentum .9", mlp + ["--lr", "0.02", "--momentum", "0.9"], 40),
    ("mlp tanh, SGD lr .1", mlp + ["--activation", "tanh", "--lr", "0.1"], 4),
    ("mlp gelu, SGD lr .05 momentum .9", mlp + ["--activation", "gelu", "--lr", "0.05", "--momentum", "0.9"], 4),
    ("lenet, SGD lr .01 momentum .9", ["--model", "lenet", "--lr", "0.01", "--momentum", "0.9"], 16),
    ("lenet, AdamW lr .001", ["--model", "lenet", "--optimizer", "adamw", "--lr", "0.001", "--weight-decay", "0.01"], 16),
]


def pathkernel(*arguments):
    subprocess.run([str(program), *map(str, arguments), "--threads", "1"], check=True, stdout=subprocess.DEVNULL)


def ledger(run, folder, *options):
    pathkernel("explain", run, "--queries", "test:0-7", "--precision", "double", *options, "--out", folder)
    return load_file(folder / "ledger.safetensors")


def main():
    print("| run | residual / Σ&#124;c&#124; | true distance of the secant | E | E / truth | reference's own residual / change |")
    print("|---|---|---|---|---|---|")
    for name, options, panels in RUNS:
        with tempfile.TemporaryDirectory() as scratch:
            folder = pathlib.Path(scratch)
            pathkernel("train", "--data", "mnist", "--limit", 7680, "--batch", 64, "--epochs", 1, "--seed", 0, *options, "--out", folder / "run")
            secant = ledger(folder / "run", folder / "secant")
            reference = ledger(folder / "run", folder / "reference", "--rule", "gauss:3", "--panels", panels, "--sampled-steps", 0)
            c, r = secant["contributions"], reference["contributions"]
            truth = np.linalg.norm(c - r, axis=0) / np.linalg.norm(r, axis=0)
            estimate = secant["certificate.split_uncertainty"]
            residual = np.abs(secant["residual"]) / np.abs(c).sum(0)
            own = np.abs(reference["residual"]) / np.abs(reference["final"] - reference["initial"])
            print(f"| {name} | {np.max(residual):.0e} | {np.median(truth):.1e} | {np.median(estimate):.1e} | {np.median(estimate / truth):.2f} | {np.median(own):.0e} |", flush=True)


if __name__ == "__main__":
    main()
