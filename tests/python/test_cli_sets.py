"""Sets of inputs as one query, from the command line: what they are called, and that they sum up the single ones."""
import json

import numpy
import pytest
from program import has_digits, run
from safetensors.numpy import load_file

pytestmark = pytest.mark.skipif(not has_digits(), reason="digits are not there (make data)")


@pytest.fixture(scope="module")
def recording(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sets") / "run"
    run("train", "--data", "digits", "--model", "mlp:64-16-10", "--lr", 0.1, "--limit", 300, "--batch", 50, "--seed", 3, "--threads", 1, "--out", folder)
    return folder


def explain(recording, name, *options):
    out = recording.parent / name
    run("explain", recording, "--measure", "loss", "--precision", "double", "--sampled-steps", 0, "--out", out, *options)
    return load_file(out / "ledger.safetensors"), json.loads((out / "ledger.json").read_text())


def test_sets_are_the_means_of_their_inputs(recording):
    singles, about = explain(recording, "singles", "--queries", "test:0-99")
    targets = numpy.array([q["target"] for q in about["queries"]])
    predicted = numpy.array([q["predicted"] for q in about["queries"]])
    wrong = targets != predicted
    assert wrong.any() and not wrong.all()
    sets = recording.parent / "sets.txt"
    sets.write_text("# two sets\nfirst: 0-4, 9\nagainst: 3*1, 7*-2\n")
    c = singles["contributions"]
    for how, expected, names in [
        ("mean", [c.mean(1)], ["mean of test:0-99"]),
        ("by-class", [c[:, targets == k].mean(1) for k in range(10)], [f"class {k} of test:0-99" for k in range(10)]),
        ("wrong", [c[:, wrong].mean(1)], ["wrong of test:0-99"]),
        (sets, [c[:, [0, 1, 2, 3, 4, 9]].mean(1), c[:, 3] - 2 * c[:, 7]], ["first", "against"]),
    ]:
        ledger, told = explain(recording, f"sets-{getattr(how, 'name', how)}", "--queries", "test:0-99", "--aggregate", how)
        assert [q["input"] for q in told["queries"]] == names
        assert numpy.abs(ledger["contributions"] - numpy.stack(expected, 1)).max() < 1e-10 * numpy.abs(c).max()
    assert told["queries"][0]["set_size"] == 6 and told["queries"][1]["measurement"] == "weighted sum of loss (cross-entropy)"
    assert about["queries"][0]["set_size"] == 0


def test_show_and_plan_say_that_it_is_a_set(recording):
    explain(recording, "shown", "--queries", "test:0-99", "--aggregate", "by-class")
    folder = recording.parent / "shown"
    assert "class 4 of test:0-99 (" in run("show", folder).stdout
    account = run("show", folder, "--query", 4).stdout
    assert "a set of" in account and "along the path: step 0 " in account and "predicted" not in account
    plan = json.loads(run("explain", recording, "--queries", "test:0-99", "--aggregate", "by-class", "--measure", "loss", "--plan", "--json").stdout)
    assert plan["queries"] == 10 and plan["inputs_of_sets"] == 100 and plan["inputs_per_piece"] == 100 and plan["held_pieces"] == 1
    run("report", folder, "-o", recording.parent / "page.html")
    assert '"setSize"' in (recording.parent / "page.html").read_text()


def test_what_is_no_set_is_refused(recording):
    out = recording.parent / "none"
    assert "--aggregate: is empty" in run("explain", recording, "--queries", "test:0-9", "--aggregate", "", "--out", out, code=2).stderr
    assert "neither mean, by-class nor wrong" in run("explain", recording, "--queries", "test:0-9", "--aggregate", "median", "--out", out, code=3).stderr
    logits = recording.parent / "logits"
    run("explain", recording, "--queries", "test:0-9", "--aggregate", "mean", "--measure", "logits", "--out", logits)
    assert "asks about sets" in run("show", logits, "--predictions", code=3).stderr
