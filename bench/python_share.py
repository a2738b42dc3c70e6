"""What Python adds to a sweep: one LeNet run, recorded and explained by the program and from Python, in turns.  make bench-python

STEPS steps of 64 images with heavy ball, QUERIES queries; THREADS by OMP_NUM_THREADS. Prints the seconds of both (medians of ROUNDS), and Python's share:
what its sweep takes beyond the program's, of its own (at most 10 % is wanted). Contributions are the same to rounding.
"""

import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

import numpy as np
import torch
import torch.nn as nn

BUILD = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else "build")
sys.path.insert(0, str(BUILD / "python"))
import pathkernel as pk  # noqa: E402

STEPS, QUERIES, ROUNDS = (int(os.environ.get(name, default)) for name, default in (("STEPS", 150), ("QUERIES", 64), ("ROUNDS", 3)))


class LeNet(nn.Module):
    """The program's, with its names."""

    def __init__(self):
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(1, 6, 5, padding=2), nn.Conv2d(6, 16, 5)
        self.fc1, self.fc2, self.fc3 = nn.Linear(400, 120), nn.Linear(120, 84), nn.Linear(84, 10)

    def forward(self, x):
        for conv in (self.conv1, self.conv2):
            x = torch.max_pool2d(torch.relu(conv(x)), 2)
        for layer in (self.fc1, self.fc2):
            x = torch.relu(layer(x.flatten(1)))
        return self.fc3(x)


def program(*arguments):
    return subprocess.run([str(BUILD / "pathkernel"), *map(str, arguments)], check=True, capture_output=True, text=True).stdout


def main():
    threads = torch.get_num_threads()
    g = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        at = pathlib.Path(folder)
        (at / "data").mkdir()
        for part, n in (("train", 64 * STEPS), ("test", QUERIES)):
            np.save(at / f"data/{part}_x.npy", g.standard_normal((n, 1, 28, 28)).astype(np.float32))
            np.save(at / f"data/{part}_y.npy", g.integers(0, 10, n))
        program("train", "--data", at / "data", "--model", "lenet", "--lr", 0.01, "--momentum", 0.9, "--batch", 64, "--epochs", 1, "--threads", threads, "--out", at / "theirs")
        model = LeNet()
        with torch.no_grad():
            for name, weights in pk._engine.Recording(str(at / "theirs")).parameters(0):
                model.get_parameter(name).copy_(weights)
        x, y, queries = (torch.from_numpy(np.load(at / f"data/{name}.npy")) for name in ("train_x", "train_y", "test_x"))
        with pk.record(at / "mine", model=model, optimizer=torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9), loss=nn.CrossEntropyLoss(), data=(x, y)) as run:
            run.fit(epochs=1, batch_size=64, progress=False)
        theirs, mine = [], []
        for k in range(ROUNDS):
            text = program("explain", at / "theirs", "--data", at / "data", "--queries", f"test:0-{QUERIES - 1}", "--measure", "logit:2", "--threads", threads, "--save-every", 0,
                           "--json", "--out", at / f"ledger{k}")
            theirs.append(json.loads(text)["seconds"])
            begin = time.perf_counter()
            ledger = run.explain(queries, "logit:2", progress=False)
            mine.append(time.perf_counter() - begin)
        a, b = statistics.median(theirs), statistics.median(mine)
        off = np.abs(ledger.certificate.residual_to_contributions).max()
        print(f"LeNet, {STEPS} steps, {QUERIES} queries, {threads} thread{'s' if threads > 1 else ''}: the program {a:.2f} s, Python {b:.2f} s: "
              f"Python's share {100 * max(0.0, b - a) / b:.1f} % (at most 10 % wanted); residual {off:.0e} of Σ|c|")


main()
