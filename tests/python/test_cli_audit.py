"""Planted label errors, TracIn over checkpoints, and the audit that looks for the errors."""
import csv
import json

import numpy
import pytest
from program import has_digits, run
from safetensors.numpy import load_file

pytestmark = pytest.mark.skipif(not has_digits(), reason="digits are not there (make data)")

TRAIN = ("--data", "digits", "--model", "mlp:64-32-10", "--lr", 0.1, "--momentum", 0.9, "--batch", 32, "--epochs", 6, "--seed", 3, "--threads", 1)


@pytest.fixture(scope="module")
def flipped(tmp_path_factory):
    folder = tmp_path_factory.mktemp("audit") / "run"
    assert "labels were flipped before (--flip 0.05)" in run("train", *TRAIN, "--flip", 0.05, "--out", folder).stdout
    return folder


@pytest.fixture(scope="module")
def honest(tmp_path_factory):
    folder = tmp_path_factory.mktemp("honest") / "run"
    run("train", *TRAIN, "--out", folder)
    return folder


def labels_of(recording):
    out = recording.parent / "labels"
    if not out.exists():
        run("explain", recording, "--method", "tracin", "--measure", "loss", "--queries", "test:0", "--out", out)
    return load_file(out / "ledger.safetensors")["example_targets"].astype(int)


def test_flips_are_planted_remembered_and_replayed(flipped, honest):
    truth, planted = labels_of(honest), labels_of(flipped)
    changed = numpy.flatnonzero(truth != planted)
    assert len(changed) == round(0.05 * len(truth))
    assert len(set((planted[changed] - truth[changed]) % 10)) > 5, "the other classes are drawn from"
    assert "every hash agrees" in run("verify", flipped).stdout
    again = flipped.parent / "again"
    run("train", *TRAIN, "--flip", 0.05, "--out", again)
    assert (labels_of(again) == planted).all()


def test_flips_that_cannot_be(tmp_path):
    assert "between" in run("train", *TRAIN, "--flip", 1.5, "--out", tmp_path / "a", code=3).stderr
    numbers = tmp_path / "numbers.csv"
    numbers.write_text("x,y\n" + "".join(f"{k},{k * 0.37}\n" for k in range(30)))
    assert "no two classes" in run("train", "--data", numbers, "--label", "y", "--model", "mlp:1-4-1", "--flip", 0.1, "--out", tmp_path / "b", code=3).stderr


def test_audit_finds_planted_errors(flipped):
    out = flipped.parent / "audit"
    found = json.loads(run("audit", flipped, "--stride", 4, "--out", out, "--json").stdout)
    planted = found["planted"]
    assert found["k"][-1] == planted
    assert set(found["methods"]) == {"path", "path_worst_class", "final_loss", "mean_loss", "tracin", "tracin_self"}
    assert found["methods"]["mean_loss"]["auc"] > 0.9 and found["methods"]["path"]["auc"] > 0.8
    rows = list(csv.DictReader((out / "suspects.csv").open()))
    assert len(rows) == 1000
    scores = numpy.array([float(r["path"]) for r in rows])
    assert (numpy.diff(scores) <= 0).all()
    # What the table says of the first ranks is what the file holds, and the file knows the labels before the flips.
    assert numpy.mean([r["flipped_from"] != "" for r in rows[:planted]]) == pytest.approx(found["methods"]["path"]["precision"][-1])
    assert all(r["flipped_from"] != r["label"] for r in rows)
    assert "suspects" in (out / "suspects.html").read_text()


def test_auc_is_what_it_says(flipped):
    """AUC against scikit-learn's, from the full ranking in suspects.csv."""
    metrics = pytest.importorskip("sklearn.metrics")
    out = flipped.parent / "audit-all"
    found = json.loads(run("audit", flipped, "--stride", 8, "--count", 100000, "--out", out, "--json").stdout)
    rows = list(csv.DictReader((out / "suspects.csv").open()))
    errors = [r["flipped_from"] != "" for r in rows]
    for method, told in found["methods"].items():
        assert told["auc"] == pytest.approx(metrics.roc_auc_score(errors, [float(r[method]) for r in rows]), abs=1e-4), method


def test_path_is_the_account_of_the_mean_loss(flipped):
    out, mean = flipped.parent / "audit-mean", flipped.parent / "mean"
    run("audit", flipped, "--stride", 8, "--queries", "test:0-99", "--count", 100000, "--out", out)  # its classes are not of one size
    run("explain", flipped, "--stride", 8, "--queries", "test:0-99", "--aggregate", "mean", "--measure", "loss", "--sampled-steps", 0, "--out", mean)
    rows = sorted(csv.DictReader((out / "suspects.csv").open()), key=lambda r: int(r["example"]))
    c = load_file(mean / "ledger.safetensors")["contributions"][:, 0]
    assert numpy.abs([float(r["path"]) for r in rows] - c).max() < 1e-4 * numpy.abs(c).max()


def test_audit_without_flips_prints_no_quality(honest):
    text = run("audit", honest, "--stride", 8, "--queries", "test:0-99").stdout
    assert "AUC" not in text and "suspects.csv" in text
    assert "flipped_from" not in (honest / "audit" / "suspects.csv").read_text()


def test_out_that_cannot_be_written_is_refused_before_the_work(honest, tmp_path):
    taken = tmp_path / "taken"
    taken.write_text("precious")
    for out in (taken, "/proc/nowhere/audit"):
        done = run("audit", honest, "--queries", "nonsense", "--out", out, code=3)
        assert f"audit: --out {out} cannot be made" in done.stderr
    assert taken.read_text() == "precious"


def test_tracin_says_that_it_is_no_account(flipped):
    out = flipped.parent / "tracin"
    text = run("explain", flipped, "--method", "tracin", "--checkpoints", 3, "--measure", "loss", "--queries", "test:0-9", "--out", out).stdout
    assert "nothing is claimed to add up" in text
    shown = run("show", out).stdout
    assert "scores, not an account" in shown and "measured" not in shown
    one = run("show", out, "--query", 2).stdout
    assert one.rstrip().endswith("the residual is what they leave of the change") and "on this path" not in one
    assert "what the scores leave of the change" in run("show", out, "--query", 2).stdout
    assert "belongs to --method path" in run("explain", flipped, "--method", "tracin", "--stride", 4, "--out", out / "x", code=2).stderr
    assert "1000 checkpoints are asked for, and the run has" in run("explain", flipped, "--method", "tracin", "--checkpoints", 1000, "--out", out / "x").stderr


def test_tracin_of_a_set_is_the_mean(flipped):
    single, mean = flipped.parent / "tracin-single", flipped.parent / "tracin-mean"
    for out, how in ((single, ()), (mean, ("--aggregate", "mean"))):
        run("explain", flipped, "--method", "tracin", "--measure", "logits", "--queries", "test:0-299", "--out", out, *how)
    c, m = load_file(single / "ledger.safetensors")["contributions"], load_file(mean / "ledger.safetensors")["contributions"]
    expected = c.reshape(len(c), 300, 10).mean(1)
    assert numpy.abs(m - expected).max() < 1e-5 * numpy.abs(c).max()
