"""The program's retrain and compare: what they write, what they say, what they refuse."""

import json

import numpy as np
import program
import pytest
from safetensors.numpy import load_file


def info(folder):
    return program.run_json("info", folder)


def explain(recording, out, *arguments):
    program.run("explain", recording, "--out", out, *arguments)
    return load_file(out / "ledger.safetensors")


def test_nothing_changed_is_the_same_to_the_bit(recording, tmp_path):
    done = program.run("retrain", recording, "--out", tmp_path / "again")
    assert info(recording)["final_hash"] == info(tmp_path / "again")["final_hash"]
    assert "bit for bit" in done.stdout and "its data as they were" in done.stdout


def test_dropped_examples_are_gone_and_the_recording_is_whole(recording, tmp_path):
    out = tmp_path / "without"
    done = program.run("retrain", recording, "--drop", "3,5,9-12", "--out", out)
    assert "dropped 6 of 40 training examples" in done.stdout and "3,5,9-12" in done.stdout
    about = info(out)
    assert about["dropped"] == [3, 5, 9, 10, 11, 12] and not about["renormalise"] and about["retrained_from"] == str(recording)
    assert about["final_hash"] != info(recording)["final_hash"] and about["initial_hash"] == info(recording)["initial_hash"]
    assert "retrained" in program.run("info", out).stdout
    assert program.run_json("verify", out)["exact"]
    ledger = explain(out, tmp_path / "ledger", "--queries", "test:0-3", "--precision", "double")
    assert np.all(ledger["contributions"][[3, 5, 9, 10, 11, 12]] == 0)
    assert np.count_nonzero(np.abs(ledger["contributions"]).sum(1)) == 34
    program.run("retrain", out, "--drop", "0", "--renormalise", "--out", tmp_path / "more")
    assert info(tmp_path / "more")["dropped"] == [0, 3, 5, 9, 10, 11, 12] and info(tmp_path / "more")["renormalise"]


@pytest.mark.parametrize("by", ["towards", "away", "size"])
def test_the_largest_of_a_ledger_are_dropped(recording, tmp_path, by):
    c = explain(recording, tmp_path / "ledger", "--queries", "test:0-3")["contributions"][:, 2]
    program.run("retrain", recording, "--top", "4:query=2", "--by", by, "--ledger", tmp_path / "ledger", "--out", tmp_path / "without")
    key = {"towards": -c, "away": c, "size": -np.abs(c)}[by]
    assert info(tmp_path / "without")["dropped"] == sorted(np.argsort(key, kind="stable")[:4].tolist())


def test_relabelled_from_a_file_and_back(recording, data, tmp_path):
    was = np.load(data / "train_y.npy")
    (tmp_path / "wrong.csv").write_text(f"example,label\n7,{(was[7] + 1) % 3}\n")
    (tmp_path / "right.csv").write_text(f"example,why,label\n7,a mistake,{was[7]}\n")
    done = program.run("retrain", recording, "--relabel", tmp_path / "wrong.csv", "--out", tmp_path / "wrong")
    assert f"relabelled example 7: {was[7]} → {(was[7] + 1) % 3}" in done.stdout
    assert info(tmp_path / "wrong")["relabelled"] == [{"example": 7, "label": str((was[7] + 1) % 3)}]
    assert program.run_json("verify", tmp_path / "wrong")["exact"]
    ledger = explain(tmp_path / "wrong", tmp_path / "ledger", "--queries", "train:7")
    assert ledger["example_targets"][7] == (was[7] + 1) % 3
    program.run("retrain", tmp_path / "wrong", "--relabel", tmp_path / "right.csv", "--out", tmp_path / "mended")
    assert info(tmp_path / "mended")["final_hash"] == info(recording)["final_hash"]


def test_compare_sets_contributions_beside_changes(recording, tmp_path):
    program.run("retrain", recording, "--drop", "3,5,9-12", "--out", tmp_path / "without")
    ledger = explain(recording, tmp_path / "ledger", "--queries", "test:0-7", "--precision", "double")
    compared = program.run_json("compare", recording, tmp_path / "without", "--ledger", tmp_path / "ledger")
    assert compared["dropped"] == [3, 5, 9, 10, 11, 12]
    for k, q in enumerate(compared["queries"]):
        assert q["dropped_contributed"] == pytest.approx(ledger["contributions"][[3, 5, 9, 10, 11, 12], k].sum(), rel=1e-9)
        assert q["before"] == pytest.approx(ledger["final"][k], rel=1e-9) and q["change"] == pytest.approx(q["after"] - q["before"])
    expected, real = [-q["dropped_contributed"] for q in compared["queries"]], [q["change"] for q in compared["queries"]]
    assert compared["correlation"] == pytest.approx(np.corrcoef(expected, real)[0, 1], abs=1e-9)
    # Without a ledger one is made on the way.
    alone = program.run_json("compare", recording, tmp_path / "without", "--queries", "test:0-7", "--precision", "double")
    assert [q["dropped_contributed"] for q in alone["queries"]] == pytest.approx([q["dropped_contributed"] for q in compared["queries"]], rel=1e-6, abs=1e-9)
    text = program.run("compare", recording, tmp_path / "without", "--queries", "test:0-7").stdout
    assert "it is not what its removal does" in text and "correlate by" in text and "dropped had contributed" in text


def test_what_makes_no_sense_is_refused(recording, tmp_path):
    def refused(*arguments, parts, code=3):
        done = program.run(*arguments, code=code)
        assert done.stderr.startswith("pathkernel: ") and len(done.stderr.splitlines()) <= 4, done.stderr
        for part in parts:
            assert part in done.stderr, done.stderr
        assert not (tmp_path / "new").exists()

    new = ("--out", tmp_path / "new")
    refused("retrain", recording, "--drop", "", *new, parts=["names no examples"])
    refused("retrain", recording, "--drop", "40", *new, parts=["there are 40"])
    refused("retrain", recording, "--drop", tmp_path / "none.txt", *new, parts=["none.txt"])
    refused("retrain", recording, "--top", "4:query=2", *new, parts=["--ledger"], code=2)
    explain(recording, tmp_path / "ledger", "--queries", "test:0-3")
    for top in ("4", "0:query=2", "4:query", "x:query=1"):
        refused("retrain", recording, "--top", top, "--ledger", tmp_path / "ledger", *new, parts=["20:query=3"])
    refused("retrain", recording, "--top", "4:query=9", "--ledger", tmp_path / "ledger", *new, parts=["0 … 3"])
    refused("retrain", recording, "--top", "41:query=0", "--ledger", tmp_path / "ledger", *new, parts=["ask for fewer"])
    refused("compare", recording, recording, parts=["--queries"])
    (tmp_path / "labels.csv").write_text("example,label\n7,9\n")
    refused("retrain", recording, "--relabel", tmp_path / "labels.csv", *new, parts=["none of the classes"])
    (tmp_path / "labels.csv").write_text("example,label\n40,1\n")
    refused("retrain", recording, "--relabel", tmp_path / "labels.csv", *new, parts=["example 40", "there are 40"])


def test_an_old_recording_is_read(recording, tmp_path):
    """Version 2 knew of nothing dropped or relabelled."""
    import contextlib
    import sqlite3

    with contextlib.closing(sqlite3.connect(recording / "recording.sqlite")) as database:
        database.execute("DELETE FROM manifest WHERE key IN ('dropped', 'renormalise', 'relabelled', 'retrained_from', 'text', 'standardise')")
        rows = sorted(database.execute("SELECT key, value FROM manifest WHERE key <> 'checksum'").fetchall(), key=lambda row: row[0].encode())
        checksum = program.xxh3("".join(f"{key} {value}\n" for key, value in rows).encode())
        database.execute("UPDATE manifest SET value = ? WHERE key = 'checksum'", (json.dumps(checksum),))
        database.execute("PRAGMA user_version = 2")
        database.commit()
    assert program.run_json("verify", recording)["exact"]
