"""The program's explain, show and report: one pipeline on real digits, what they refuse, and that a failure leaves nothing behind."""

import json
import os

import numpy as np
import program
import pytest
from safetensors.numpy import load_file, save_file


def explain(recording, *arguments, **options):
    return program.run("explain", recording, "--out", recording / "answers", *arguments, **options)


def refuses(recording, *arguments, parts, code=3):
    """The message names every part; nothing is left at --out, nor beside it."""
    before = sorted(p.name for p in recording.iterdir()) if recording.is_dir() else None
    done = explain(recording, *arguments, code=code)
    assert done.stderr.startswith("pathkernel: "), done.stderr
    assert len(done.stderr.splitlines()) <= 4, done.stderr
    for part in parts:
        assert str(part) in done.stderr, done.stderr
    assert not (recording / "answers").exists()
    if before is not None:
        assert sorted(p.name for p in recording.iterdir()) == before


def test_pipeline_on_digits(tmp_path):
    if not program.has_digits():
        pytest.skip("the data set digits is not there (make setup brings it)")
    run, ledger, page = tmp_path / "run", tmp_path / "ledger", tmp_path / "report.html"
    program.run("train", "--data", "digits", "--limit", 200, "--model", "mlp:64-16-10", "--batch", 32, "--epochs", 2, "--momentum", 0.9, "--out", run)
    result = program.run_json("explain", run, "--queries", "test:0-5", "--precision", "double", "--out", ledger)
    assert result["queries"] == 6 and result["examples"] == 200 and result["replay_exact"]
    assert result["residual_to_contributions"] <= 1e-12 and 0 < result["split_uncertainty"] < 0.1
    assert sorted(p.name for p in ledger.iterdir()) == ["ledger.json", "ledger.safetensors"]

    numbers, about = load_file(ledger / "ledger.safetensors"), json.loads((ledger / "ledger.json").read_text())
    total = sum(numbers[k] for k in ("initial", "decay", "regulariser", "in_flight", "buffers", "jumps", "rounding", "residual")) + numbers["contributions"].sum(0)
    assert np.abs(total - numbers["final"]).max() <= 1e-12 * np.abs(numbers["contributions"]).sum(0).max()
    assert [q["input"] for q in about["queries"]] == [f"test:{k}" for k in range(6)]
    assert all(q["measurement"].startswith("log-odds of ") for q in about["queries"])

    shown = program.run_json("show", ledger, "--query", 3, "--top", 4)
    column = numbers["contributions"][:, 3]
    assert [p["example"] for p in shown["towards"]] == list(np.argsort(-column, kind="stable")[:4])
    assert [p["contribution"] for p in shown["away"]] == pytest.approx(np.sort(column)[:4])
    assert shown["examples"] == pytest.approx(column.sum()) and shown["final"] == pytest.approx(numbers["final"][3])
    assert "log-odds of" in program.run("show", ledger, "--query", 3).stdout
    assert "adds up to" in program.run("show", ledger).stdout

    program.run("report", ledger, "-o", page)
    assert page.read_text().count("test:3") >= 1

    # again, in another precision and another folder: the same answers to float32
    single = program.run_json("explain", run, "--queries", "test:0-5", "--precision", "float", "--out", tmp_path / "single")
    assert single["residual_to_contributions"] <= 1e-6
    other = load_file(tmp_path / "single/ledger.safetensors")["contributions"]
    assert np.abs(other - numbers["contributions"]).max() <= 1e-4 * np.abs(other).max()


@pytest.mark.parametrize(
    "measure, queries",
    [("log-odds", 4), ("margin", 4), ("log-prob", 4), ("logit:1", 4), ("logits", 12), ("loss", 4), ("output:2", 4)],
)
def test_every_measure(recording, measure, queries):
    result = json.loads(explain(recording, "--queries", "test:0-3", "--measure", measure, "--json").stdout)
    assert result["queries"] == queries and result["residual_to_contributions"] <= 1e-6


def test_queries_from_a_file(recording, data, tmp_path):
    np.save(tmp_path / "asked.npy", np.load(data / "test_x.npy")[:5])
    explain(recording, "--queries", tmp_path / "asked.npy", "--precision", "double")
    program.run("explain", recording, "--queries", "test:0-4", "--precision", "double", "--out", recording / "again", "--sampled-steps", 0)
    a, b = (load_file(recording / f / "ledger.safetensors") for f in ("answers", "again"))
    assert np.array_equal(a["contributions"], b["contributions"])
    assert "certificate.split_uncertainty" in a and "certificate.split_uncertainty" not in b


@pytest.mark.parametrize(
    "arguments, parts",
    [
        (["--queries", "test:0-99"], ["row 99 is out of range", "20 examples (0 to 19)"]),
        (["--queries", "test:5-2"], ["runs backwards"]),
        (["--queries", "tset:1"], ["not understood", "test:ROWS"]),
        (["--queries", "nothing.npy"], ["nothing.npy"]),
        (["--measure", "logodds"], ["'logodds' is not known", "log-odds, margin"]),
        (["--measure", "logit:3"], ["gives 3 numbers per input"]),
        (["--rule", "simpson"], ["'simpson' is not known", "secant, gauss:Q"]),
        (["--rule", "gauss:0"], ["gauss:0"]),
        (["--memory", "2KiB"], ["memory allows", "allow more"]),
        (["--memory", "lots"], ["lots"]),
        (["--path-kernel"], ["path kernel", "3"]),
        (["--data", "nowhere"], ["nowhere"]),
    ],
)
def test_refusals(recording, arguments, parts):
    refuses(recording, *arguments, parts=parts)


@pytest.mark.parametrize(
    "arguments, part",
    [
        (["--convention", "both"], "--convention"),
        (["--precision", "half"], "--precision"),
        (["--panels", "0"], "--panels"),
        (["--mesure", "loss"], "did you mean --measure?"),
        (["--tolerance", "-1"], "--tolerance"),
    ],
)
def test_wrong_command_line(recording, arguments, part):
    refuses(recording, *arguments, parts=[part], code=2)


def test_query_files_that_do_not_fit(recording, tmp_path):
    path = tmp_path / "asked.npy"
    np.save(path, np.zeros((2, 7), np.float32))
    refuses(recording, "--queries", path, parts=[path, "[2, 7]", "[n, 6]"])
    bad = np.zeros((2, 6), np.float32)
    bad[1, 3] = np.nan
    np.save(path, bad)
    refuses(recording, "--queries", path, parts=[path, "NaN"])
    np.save(path, np.zeros((2, 6), np.int64))
    refuses(recording, "--queries", path, parts=[path, "floating point"])
    np.save(path, np.zeros((2, 6), np.float32))
    refuses(recording, "--queries", path, "--measure", "margin", parts=["no class labels", "log-odds"])
    refuses(recording, "--queries", path, "--measure", "loss", parts=["targets"])
    path.write_bytes(path.read_bytes()[:-8])
    refuses(recording, "--queries", path, parts=[path])


def test_no_recording(tmp_path):
    for folder in (tmp_path / "missing", tmp_path / "empty"):
        if folder.name == "empty":
            folder.mkdir()
        refuses(folder, parts=[folder])
    assert not (tmp_path / "missing").exists()


def test_out_is_not_empty(recording):
    (recording / "answers").mkdir()
    (recording / "answers/precious").write_text("x")
    done = explain(recording, code=3)
    assert str(recording / "answers") in done.stderr and "not empty" in done.stderr
    assert [p.name for p in (recording / "answers").iterdir()] == ["precious"]


def test_out_is_a_file(recording):
    (recording / "answers").write_text("precious")
    done = explain(recording, code=3)
    assert str(recording / "answers") in done.stderr
    assert (recording / "answers").read_text() == "precious"


def test_out_that_cannot_be_written_is_refused_before_the_work(recording):
    done = program.run("explain", recording, "--measure", "nonsense", "--out", "/proc/nowhere/ledger", code=3)
    assert "cannot be made" in done.stderr


def test_flipped_bit_in_a_checkpoint(recording):
    path = recording / "checkpoints/step-00000008.safetensors"
    content = bytearray(path.read_bytes())
    content[-3] ^= 1
    path.write_bytes(content)
    refuses(recording, parts=[path, "changed or damaged"])


def test_data_that_changed(recording, data):
    program.write_data(data, seed=5)
    refuses(recording, parts=["fingerprint"])
    program.write_data(data, examples=30)
    refuses(recording, "--queries", "test:0", parts=["30 examples, but 40"])


def test_drift_is_reported_or_refused(recording):
    program.change_step(recording, 5, hash="0123456789abcdef")
    refuses(recording, "--strict", parts=["step 5", "strict"], code=4)
    done = explain(recording)
    assert "drifted from step 5" in done.stdout and "booked as rounding" in done.stdout
    assert "drifted from step 5" in program.run("show", recording / "answers").stdout
    about = json.loads((recording / "answers/ledger.json").read_text())
    assert about["certificate"]["replay_exact"] is False and about["certificate"]["first_drift"] == 5


def test_other_steps_than_recorded_are_rounding(recording):
    program.change_step(recording, 5, lr=0.02)
    result = json.loads(explain(recording, "--precision", "double", "--json").stdout)
    assert result["replay_exact"] is False and result["rounding_to_change"] > 1e-3
    assert result["residual_to_contributions"] <= 1e-12


def test_tolerance(recording):
    explain(recording, "--tolerance", 1e-6)
    done = program.run("explain", recording, "--rule", "left", "--tolerance", 1e-9, "--out", recording / "left", code=1)
    assert "internal error" not in done.stderr
    assert "--tolerance" in done.stderr and str(recording / "left") in done.stderr
    program.run("show", recording / "left")  # written, as the message says


def test_show_and_report_refuse(recording, tmp_path):
    explain(recording, "--queries", "test:0-3")
    ledger = recording / "answers"
    assert "query" in program.run("show", ledger, "--query", 4, code=3).stderr.lower()
    for command in ("show", "report"):
        assert str(tmp_path / "missing") in program.run(command, tmp_path / "missing", code=3, cwd=tmp_path).stderr
    content = bytearray((ledger / "ledger.safetensors").read_bytes())
    content[-3] ^= 1
    (ledger / "ledger.safetensors").write_bytes(content)
    for command in ("show", "report"):
        assert "ledger.safetensors" in program.run(command, ledger, code=3, cwd=tmp_path).stderr
    assert not (tmp_path / "report.html").exists()


def test_a_run_without_a_step(data, tmp_path):
    init = tmp_path / "init.safetensors"  # finite weights whose loss is not
    save_file({"fc1.weight": np.full((8, 6), 3e38, np.float32), "fc1.bias": np.zeros(8, np.float32),
               "fc2.weight": np.full((3, 8), 3e38, np.float32), "fc2.bias": np.zeros(3, np.float32)}, init)  # fmt: skip
    program.run("train", "--data", data, "--model", "mlp:6-8-3", "--init", init, "--batch", 40, "--epochs", 1, "--out", tmp_path / "run", code=5)
    assert program.run_json("info", tmp_path / "run")["steps"] == 0
    refuses(tmp_path / "run", parts=["has no steps"])


def test_plan_starts_nothing(recording):
    before = sorted(p.name for p in recording.iterdir())
    plan = json.loads(explain(recording, "--queries", "test:0-9", "--measure", "logits", "--plan", "--json").stdout)
    assert sorted(p.name for p in recording.iterdir()) == before
    assert plan["queries"] == 30 and plan["inputs"] == 10 and plan["per_input"] == 3 and plan["steps"] == 15 and plan["draws"] == 120
    assert plan["parameters"] == 6 * 8 + 8 + 8 * 3 + 3 and plan["longest_stretch"] == 4
    assert plan["chunks"] == 1 and plan["inputs_per_chunk"] == 10 and plan["keep"] == 0
    assert plan["free_disk"] > plan["disk_bytes"] > plan["ledger_bytes"] > 0
    assert 0 < plan["seconds"] < 60 and 1 <= plan["timed_steps"] <= 15

    shown = program.run("explain", recording, "--plan", "--queries", "test:0-9").stdout  # no --out: nothing to say of the disk
    assert "10 queries (10 inputs, 1 measurement of each), 15 steps, 120 draws of 40 training examples" in shown
    assert "1 of 10 inputs" in shown and "an estimate" in shown and "nothing was started" in shown and "free)" not in shown

    explain(recording, "--queries", "test:0-9", "--measure", "logits")
    written = sum(p.stat().st_size for p in (recording / "answers").iterdir())
    assert plan["disk_bytes"] / 2 <= written <= plan["disk_bytes"]


def test_plan_refuses_what_the_run_would_refuse(recording):
    plan = json.loads(explain(recording, "--queries", "test:0", "--plan", "--json").stdout)
    enough_for_the_ledger = plan["trace_bytes"] + plan["bytes_of_an_input"] - 1
    assert plan["ledger_bytes"] <= enough_for_the_ledger
    for arguments, parts in (
        (["--memory", "2KiB"], ["ledger of 16 queries", "memory allows", "allow more"]),
        (["--memory", enough_for_the_ledger, "--queries", "test:0"], ["one query needs", "record with more checkpoints"]),
        (["--queries", "test:0-99"], ["row 99"]),
    ):
        refuses(recording, *arguments, parts=parts)
        refuses(recording, *arguments, "--plan", parts=parts)
    assert "--out" in program.run("explain", recording, code=2).stderr


def test_the_largest_contributions_are_kept(recording, tmp_path):
    explain(recording, "--queries", "test:0-3", "--precision", "double")
    done = program.run("explain", recording, "--queries", "test:0-3", "--precision", "double", "--keep", 7, "--out", recording / "kept")
    assert "kept the largest 7 of 40 contributions" in done.stdout
    whole, kept = (load_file(recording / f / "ledger.safetensors") for f in ("answers", "kept"))
    for absent in ("contributions", "draws", "draw_step", "draw_example", "by_layer_step", "by_class_step"):
        assert absent not in kept
    c = whole["contributions"]
    order = np.argsort(-np.abs(c), axis=0, kind="stable")
    assert np.array_equal(kept["kept_examples"], order[:7])
    assert np.allclose(kept["kept"], np.take_along_axis(c, order[:7], 0), rtol=0, atol=1e-12)
    assert np.allclose(kept["kept"].sum(0) + kept["dropped"], c.sum(0), rtol=0, atol=1e-12) and (kept["dropped_count"] == 33).all()
    for name in ("by_step", "by_layer", "by_class", "outputs", "final"):
        assert np.allclose(kept[name], whole[name], rtol=0, atol=1e-12)

    all_of_them, few = (program.run_json("show", recording / f, "--query", 2, "--top", 3) for f in ("answers", "kept"))
    for side in ("towards", "away"):
        for a, b in zip(all_of_them[side], few[side]):
            assert a["example"] == b["example"] and a["share"] == pytest.approx(b["share"])
        assert all_of_them[f"sum_{side}"] == pytest.approx(few[f"sum_{side}"])
    assert few["kept"]["largest"] == 7 and few["kept"]["of"] == 40
    dropped = f"the largest 7 of 40 contributions; the other 33 sum to {kept['dropped'][2]:+.6g}"
    assert dropped in program.run("show", recording / "kept", "--query", 2).stdout
    assert "keeps the largest 7 of 40 contributions" in program.run("show", recording / "kept").stdout
    program.run("report", recording / "kept", "-o", tmp_path / "report.html")
    assert dropped in (tmp_path / "report.html").read_text()

    damaged = load_file(recording / "kept/ledger.safetensors")
    damaged["dropped"][1] += 0.01
    save_file(damaged, recording / "kept/ledger.safetensors")
    assert "dropped" in program.run("show", recording / "kept", code=3).stderr


def test_help():
    assert "Example" in program.run("explain", "--help").stdout
