"""Rows of tables and texts go through the same commands as images, and are shown as what they are."""

import csv
import json
import os
import pathlib
import re

import numpy as np
import program
import pytest
from safetensors.numpy import load_file


def write_csv(path, columns, rows):
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([columns, *rows])


@pytest.fixture
def table(tmp_path):
    """Two columns of very different size, one that never changes; the label is a function of the first two."""
    random = np.random.default_rng(0)
    for name, count in (("t.csv", 60), ("t.test.csv", 20)):
        x = random.normal((5, 2000), (1, 400), (count, 2))
        y = (x[:, 0] - 5 + (x[:, 1] - 2000) / 400 > 0)
        write_csv(tmp_path / name, ["width", "price", "always", "kind"], [[*row, 7, "big" if k else "small"] for row, k in zip(x.tolist(), y)])
    return tmp_path / "t.csv"


@pytest.fixture
def texts(tmp_path):
    random = np.random.default_rng(0)
    words = {"yes": ["sun", "warm", "Sea", "holiday"], "no": ["rain", "cold", "office", "tax"]}
    for name, count in (("m.csv", 40), ("m.test.csv", 10)):
        rows = []
        for k in range(count):
            label = ["yes", "no"][k % 2]
            rows.append([k, " ".join(random.choice([*words[label], "the", "a"], 6)) + f", no. {k} <b>&\n", label])
        write_csv(tmp_path / name, ["id", "message", "label"], rows)
    return tmp_path / "m.csv"


def page_data(page):
    return json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', page.read_text(), re.S)[1])


def pipeline(tmp_path, *train):
    result = program.run_json("train", *train, "--seed", 1, "--out", tmp_path / "run")
    assert program.run_json("verify", tmp_path / "run")["exact"]
    program.run("explain", tmp_path / "run", "--queries", "test:0-2", "--precision", "double", "--out", tmp_path / "ledger", *([] if "test_accuracy" in result else ["--measure", "output:0"]))
    program.run("report", tmp_path / "ledger", "-o", tmp_path / "report.html")
    return result, program.run("show", tmp_path / "ledger", "--query", 1, "--top", 3).stdout, page_data(tmp_path / "report.html")


def test_a_table_is_standardised_and_shown_as_it_stands(table, tmp_path):
    result, shown, page = pipeline(tmp_path, "--data", table, "--label", "kind", "--standardise", "--model", "mlp:3-8-2", "--lr", 0.1, "--epochs", 30, "--batch", 10)
    assert result["test_accuracy"] >= 0.85
    rows = list(csv.reader(table.with_suffix(".test.csv").open()))[1:]
    assert f"width {float(rows[1][0]):.5g}, price {float(rows[1][1]):.5g}, always 7" in shown
    assert page["columns"] == ["width", "price", "always"]
    assert page["queries"][1]["values"] == pytest.approx([float(x) for x in rows[1][:3]])
    example = load_file(tmp_path / "ledger/ledger.safetensors")["contributions"][:, 1].argmax()
    train = list(csv.reader(table.open()))[1:]
    assert page["examples"][str(example)]["values"] == pytest.approx([float(x) for x in train[example][:3]])
    assert f"width {float(train[example][0]):.5g}" in shown
    assert program.run_json("info", tmp_path / "run")["standardise"]


def test_standardising_uses_the_training_part(table, tmp_path):
    """The network sees what numpy gives: its inputs are in the ledger, as they are few."""
    pipeline(tmp_path, "--data", table, "--label", "kind", "--standardise", "--model", "mlp:3-2")
    read = lambda path: np.array([[float(x) for x in row[:3]] for row in list(csv.reader(path.open()))[1:]])
    train, test = read(table), read(table.with_suffix(".test.csv"))
    scale = np.where(train.std(0) > 0, train.std(0), 1)
    ledger = load_file(tmp_path / "ledger/ledger.safetensors")
    assert np.allclose(ledger["example_inputs"], (train - train.mean(0)) / scale, atol=1e-12)
    assert np.allclose(ledger["query_inputs"], ((test - train.mean(0)) / scale)[:3], atol=1e-6)


def test_texts_are_hashed_and_shown(texts, tmp_path):
    result, shown, page = pipeline(tmp_path, "--data", texts, "--label", "label", "--text", "message", "--buckets", 64, "--model", "mlp:64-8-2", "--lr", 0.5, "--epochs", 40, "--batch", 8)
    assert result["test_accuracy"] >= 0.9
    rows = list(csv.reader(texts.with_suffix(".test.csv").open()))[1:]
    assert f'"{rows[1][1].replace(chr(10), " ")}"' in shown and rows[1][1].split(",")[0] in shown
    assert page["queries"][1]["text"] == rows[1][1].replace("\n", " ") and page["image"] is None
    assert all("text" in example for example in page["examples"].values())
    program.run("train", "--data", texts, "--label", "label", "--text", "message", "--buckets", 64, "--limit", 10, "--model", "mlp:64-2", "--out", tmp_path / "few")
    assert program.run_json("info", tmp_path / "few")["examples"] == 10


def test_what_does_not_fit_is_refused(texts, table, tmp_path):
    def refused(*arguments, parts, code=3):
        done = program.run("train", *arguments, "--out", tmp_path / "run", code=code)
        for part in parts:
            assert part in done.stderr, done.stderr

    refused("--data", texts, "--label", "label", "--text", "nothing", parts=["no column 'nothing' with text", "id, message, label"])
    refused("--data", texts, "--label", "label", "--text", "label", parts=["name two"])
    refused("--data", texts, "--label", "label", parts=["'message'", "not a number"])
    refused("--data", "digits", "--standardise", parts=["belongs to a .csv file"])
    refused("--data", texts, "--label", "label", "--text", "message", "--standardise", parts=["--text"], code=2)
    refused("--data", table, "--label", "kind", "--buckets", 9, parts=["--text"], code=2)


DATA = {"breast-cancer": ("mlp:30-16-2", 0.9), "wine": ("mlp:13-16-3", 0.9), "diabetes": ("mlp:10-16-1", None), "spam": ("mlp:1024-16-2", 0.85)}


@pytest.mark.parametrize("name", DATA)
def test_real_data(name, tmp_path):
    model, accuracy = DATA[name]
    if not any((pathlib.Path(folder) / name / f"{name}.csv").exists() for folder in (os.environ.get("PATHKERNEL_DATA", ""), program.ROOT / ".cache/data")):
        pytest.skip(f"the data set {name} is not there (make setup, make data)")
    schedule = ["--optimizer", "adamw", "--batch", 32, *(["--lr", 0.01, "--epochs", 20] if accuracy else ["--lr", 0.05, "--epochs", 40])]
    result, shown, page = pipeline(tmp_path, "--data", name, "--model", model, *schedule)
    if accuracy:
        assert result["test_accuracy"] >= accuracy
    else:
        assert result["test_mse"] < 3500  # the mean for everybody has 4,000 and more; 2,400 was measured
    query = page["queries"][0]
    assert ("text" in query) == (name == "spam") and ("values" in query) != (name == "spam")
    assert "adds up to" in shown
