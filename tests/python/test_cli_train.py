"""The program's train, verify and info: what they write, what they refuse, and how they say so."""

import json
import os
import signal
import sqlite3
import subprocess
import time

import numpy as np
import program
import pytest
import torch
from safetensors.torch import load_file, save_file


def train(data, out, *arguments, **options):
    return program.run("train", "--data", data, "--model", "mlp:6-8-3", "--batch", 8, "--out", out, *arguments, **options)


def says(done, *parts):
    """One or a few plain lines on the standard error, from the program by name."""
    assert done.stderr.startswith("pathkernel: "), done.stderr
    assert len(done.stderr.splitlines()) <= 4, done.stderr
    for part in parts:
        assert str(part) in done.stderr, done.stderr


def test_train_verify_info(data, tmp_path):
    out = tmp_path / "run"
    result = json.loads(train(data, out, "--epochs", 3, "--json").stdout)
    assert result["steps"] == 15 and 0 <= result["test_accuracy"] <= 1
    assert len(result["test_wrong"]) == round((1 - result["test_accuracy"]) * result["test_examples"])
    assert "every hash agrees" in program.run("verify", out).stdout
    verified = program.run_json("verify", out)
    assert verified["exact"] and verified["steps"] == 15 and verified["first_difference"] == -1
    info = program.run_json("info", out)
    assert info["status"] == "complete" and info["checkpoints"] == [0, 4, 8, 12, 15] and info["examples"] == 40
    assert "complete, 15 steps" in program.run("info", out).stdout
    assert sorted(p.name for p in out.iterdir()) == ["checkpoints", "recording.sqlite"]


def test_documented_format_is_readable_without_pathkernel(data, tmp_path):
    out = tmp_path / "run"
    train(data, out, "--momentum", 0.9)
    database = sqlite3.connect(out / "recording.sqlite")
    assert database.execute("PRAGMA application_id").fetchone()[0] == int.from_bytes(b"PKRN", "big")
    assert database.execute("PRAGMA user_version").fetchone()[0] == 4
    manifest = {key: json.loads(value) for key, value in database.execute("SELECT key, value FROM manifest")}
    assert manifest["model"] == "mlp:6-8-3 relu" and manifest["optimizer"]["momentum"] == 0.9 and manifest["status"] == "complete"
    indices, seed, lr, loss, hash_ = database.execute("SELECT indices, random_seed, lr, loss, hash FROM steps WHERE step=0").fetchone()
    assert len(np.frombuffer(indices, "<i8")) == 8 and lr == 0.01 and loss > 0 and int(seed, 16) >= 0 and len(hash_) == 16
    file, size = database.execute("SELECT file, bytes FROM checkpoints WHERE step=5").fetchone()
    assert file == "checkpoints/step-00000005.safetensors" and (out / file).stat().st_size == size
    names = set(load_file(out / file))
    assert names == {f"{group}{p}" for group in ("parameters/", "optimizer/momentum_buffer/") for p in
                     ("fc1.weight", "fc1.bias", "fc2.weight", "fc2.bias")}  # fmt: skip


def test_same_seed_same_weights_and_other_seed_others(data, tmp_path):
    hashes = {}
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        train(data, tmp_path / name, "--seed", seed)
        hashes[name] = program.run_json("info", tmp_path / name)["final_hash"]
    assert hashes["a"] == hashes["b"] != hashes["c"]


def test_checkpoint_budget_keeps_fewer(data, tmp_path):
    train(data, tmp_path / "run", "--epochs", 20, "--checkpoint-budget", "2KiB")
    # 83 weights are 332 bytes: six states fit
    assert program.run_json("info", tmp_path / "run")["checkpoints"] == [0, 20, 40, 60, 80, 100]


def test_killed_run_is_openable(tmp_path):
    data = program.write_data(tmp_path / "data", examples=4000)
    out = tmp_path / "run"
    process = subprocess.Popen([program.path(), "train", "--data", data, "--model", "mlp:6-32-3", "--batch", "4", "--epochs", "200",
                                "--out", out, "--momentum", "0.9"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)  # fmt: skip
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and len(list(out.glob("checkpoints/*.safetensors"))) < 3:
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    info = program.run_json("info", out)
    assert info["status"] == "running" and 0 < info["steps"] < info["planned_steps"]
    assert "interrupted, after" in program.run("info", out).stdout
    assert program.run_json("verify", out)["exact"]


def test_init_by_name_from_a_checkpoint(data, tmp_path):
    train(data, tmp_path / "a")
    last = tmp_path / "a/checkpoints/step-00000005.safetensors"
    train(data, tmp_path / "b", "--init", last)
    a, b = load_file(last), load_file(tmp_path / "b/checkpoints/step-00000000.safetensors")
    for name, tensor in b.items():
        assert torch.equal(a[name], tensor), name


def test_init_that_does_not_fit(data, tmp_path):
    save_file({"fc1.weight": torch.zeros(8, 5), "fc1.bias": torch.zeros(8)}, tmp_path / "bad.safetensors")
    says(train(data, tmp_path / "run", "--init", tmp_path / "bad.safetensors", code=3), "fc1.weight", "[8, 5]")
    assert not (tmp_path / "run").exists()


def test_flipped_bit_in_a_checkpoint(data, tmp_path):
    train(data, tmp_path / "run")
    path = tmp_path / "run/checkpoints/step-00000003.safetensors"
    content = bytearray(path.read_bytes())
    content[-3] ^= 1
    path.write_bytes(content)
    says(program.run("verify", tmp_path / "run", code=3), path, "changed or damaged", "restore it from a copy")


def test_changed_log_is_found_and_the_step_named(data, tmp_path):
    train(data, tmp_path / "run")
    program.change_step(tmp_path / "run", 2, lr=0.02)
    says(program.run("verify", tmp_path / "run", code=4), "step 2 of 5")
    done = program.run("verify", tmp_path / "run", "--json", code=4)
    assert json.loads(done.stdout)["first_difference"] == 2


def test_another_environment_is_named(data, tmp_path):
    train(data, tmp_path / "run", "--threads", 1)
    assert "threads 2 instead of 1" in program.run("verify", tmp_path / "run", "--threads", 2).stdout
    assert "in the recorded environment" in program.run("verify", tmp_path / "run").stdout


def test_moved_data(data, tmp_path):
    train(data, tmp_path / "run")
    data.rename(tmp_path / "moved")
    says(program.run("verify", tmp_path / "run", code=3), data)
    program.run("verify", tmp_path / "run", "--data", tmp_path / "moved")


def test_other_data_are_refused(data, tmp_path):
    train(data, tmp_path / "run")
    program.write_data(tmp_path / "data", seed=5)
    says(program.run("verify", tmp_path / "run", code=3), "fingerprint")


@pytest.mark.parametrize("column, value", [("lr", 0.02), ("loss", 1.0), ("random_seed", "0" * 16), ("hash", "f" * 16), ("checksum", "0" * 16)])
def test_damaged_line_of_the_log(column, value, data, tmp_path):
    train(data, tmp_path / "run")
    with sqlite3.connect(tmp_path / "run/recording.sqlite") as database:
        database.execute(f"UPDATE steps SET {column}=? WHERE step=4", (value,))
    for command in ("info", "verify"):
        says(program.run(command, tmp_path / "run", code=3), tmp_path / "run/recording.sqlite", "line of step 4 was changed or damaged")


def test_damaged_manifest(data, tmp_path):
    train(data, tmp_path / "run")
    with sqlite3.connect(tmp_path / "run/recording.sqlite") as database:
        database.execute("UPDATE manifest SET value=3 WHERE key='batch'")
    says(program.run("info", tmp_path / "run", code=3), tmp_path / "run/recording.sqlite", "the manifest was changed or damaged")


@pytest.mark.parametrize("what", ["missing", "empty folder", "file", "foreign database", "text", "older version", "newer version"])
def test_no_recording(what, data, tmp_path):
    folder = tmp_path / "thing"
    expected = {"missing": "no such folder", "empty folder": "is no recording", "file": "is no folder",
                "foreign database": "another program", "text": "no SQLite database", "older version": "format version 1,", "newer version": "format version 9,"}  # fmt: skip
    if what == "file":
        folder.write_text("x")
    elif what.endswith("version"):
        train(data, folder)
        with sqlite3.connect(folder / "recording.sqlite") as database:
            database.execute(f"PRAGMA user_version={1 if what.startswith('older') else 9}")
    elif what != "missing":
        folder.mkdir()
    if what == "foreign database":
        with sqlite3.connect(folder / "recording.sqlite") as database:
            database.execute("CREATE TABLE t(x)")
    elif what == "text":
        (folder / "recording.sqlite").write_text("no database " * 100)
    for command in ("info", "verify", "resume"):
        says(program.run(command, folder, code=3), folder, expected[what])


def test_missing_data(tmp_path):
    says(program.run("train", "--data", tmp_path / "nothing", "--out", tmp_path / "run", code=3), tmp_path / "nothing")
    assert not (tmp_path / "run").exists()


@pytest.mark.skipif((program.ROOT / ".cache/data/mnist").exists(), reason="MNIST is here, and would be found")
def test_missing_mnist_says_how_to_get_it(tmp_path):
    done = program.run("train", "--data", "mnist", "--out", tmp_path / "run", code=3, cwd=tmp_path,
                       env={**os.environ, "PATHKERNEL_DATA": str(tmp_path)})  # fmt: skip
    says(done, "mnist", "make data")


def test_wrong_dimensions(tmp_path):
    data = program.write_data(tmp_path / "data", inputs=(1, 28, 28), classes=10)
    for model, part in (("mlp:100-10", "layer fc1 takes 100"), ("mlp:784-5", "last layer gives 5")):
        says(program.run("train", "--data", data, "--model", model, "--out", tmp_path / "run", code=3), part)
    small = program.write_data(tmp_path / "small")
    says(program.run("train", "--data", small, "--model", "lenet", "--out", tmp_path / "run", code=3), "layer conv1")
    assert not (tmp_path / "run").exists()


def test_more_memory_than_there_is(data, tmp_path):
    says(program.run("train", "--data", data, "--model", "mlp:6-99999999999999-3", "--out", tmp_path / "run", code=3), "out of memory")
    assert not (tmp_path / "run").exists()


def test_nan_in_data(data, tmp_path):
    x = np.load(data / "train_x.npy")
    x[7, 2] = np.nan
    np.save(data / "train_x.npy", x)
    says(train(data, tmp_path / "run", code=3), "row 7")
    assert not (tmp_path / "run").exists()


def test_divergence(data, tmp_path):
    out = tmp_path / "run"
    says(train(data, out, "--lr", 1e38, "--epochs", 4, code=5), "diverged at step", "--lr", out)
    info = program.run_json("info", out)
    assert info["status"] == "diverged" and info["steps"] < info["planned_steps"]
    assert program.run_json("verify", out)["exact"]


def test_wrong_loss_for_the_targets(data, tmp_path):
    says(train(data, tmp_path / "run", "--loss", "mse", code=3), "use cross-entropy")
    assert not (tmp_path / "run").exists()


def test_loss_decides_what_whole_numbers_are(tmp_path):
    (tmp_path / "rings.csv").write_text("a,b,rings\n" + "".join(f"{i % 5},{i % 3},{i % 7}\n" for i in range(40)))
    (tmp_path / "rings.test.csv").write_text("a,b,rings\n1,2,9\n")
    data = ["--data", tmp_path / "rings.csv", "--label", "rings", "--threads", 1]
    out = {loss: tmp_path / loss.split(":")[0] for loss in ("mse", "huber:2")}
    for loss, folder in out.items():
        result = program.run_json("train", *data, "--model", "mlp:2-1", "--loss", loss, "--out", folder)
        assert result["test_loss"] > 1 and ("test_mse" in result) == (loss == "mse")
        assert program.run_json("info", folder)["data"]["targets"] == "numbers"
        assert program.run_json("verify", folder)["exact"]
    (tmp_path / "rings.test.csv").unlink()
    for loss in ("cross-entropy", "hinge", None):
        program.run("train", *data, "--model", "mlp:2-7", *(["--loss", loss] if loss else []), "--out", tmp_path / f"classes-{loss}")
    says(program.run("train", *data, "--model", "mlp:2-1", "--loss", "bce-with-logits", "--out", tmp_path / "x", code=3), "7 classes")


def test_two_classes_with_one_output(tmp_path):
    data = program.write_data(tmp_path / "data", classes=2)
    result = program.run_json("train", "--data", data, "--model", "mlp:6-8-1", "--loss", "bce-with-logits", "--lr", 0.5, "--epochs", 60, "--batch", 10,
                              "--threads", 1, "--out", tmp_path / "run")  # fmt: skip
    weights = load_file(next(iter(sorted((tmp_path / "run" / "checkpoints").glob("*"), reverse=True))))
    w = {name.removeprefix("parameters/"): tensor for name, tensor in weights.items()}
    x, y = (torch.from_numpy(np.load(data / f"test_{part}.npy")) for part in "xy")
    scores = torch.relu(x @ w["fc1.weight"].T + w["fc1.bias"]) @ w["fc2.weight"].T + w["fc2.bias"]
    assert result["test_accuracy"] == ((scores[:, 0] > 0).long() == y).double().mean().item()
    says(program.run("train", "--data", data, "--model", "mlp:6-8-2", "--loss", "bce-with-logits", "--out", tmp_path / "two", code=3), "the data need 1")


def test_settings_are_recorded_and_told(data, tmp_path):
    train(data, tmp_path / "run", "--optimizer", "rmsprop", "--momentum", 0.9, "--centered", "--clip-norm", 1, "--schedule", "step", "--lr-step", 3,
          "--warmup", 2, "--loss", "label-smoothing:0.1", "--reduction", "sum", "--regulariser", "l2:1e-3")  # fmt: skip
    info = program.run_json("info", tmp_path / "run")
    assert info["objective"] == "label-smoothing:0.1" and info["reduction"] == "sum" and info["regulariser"] == "l2:0.001"
    expected = {"name": "rmsprop", "momentum": 0.9, "alpha": 0.99, "centered": True, "clip_norm": 1, "schedule": "step", "lr_step": 3, "warmup": 2}
    assert expected.items() <= info["optimizer"].items()
    told = program.run("info", tmp_path / "run").stdout
    assert "label-smoothing:0.1 (sum), l2:0.001" in told
    assert "rmsprop, lr 0.01 (2 steps of warm-up, then step: times 0.1 every 3 steps), momentum 0.9, alpha 0.99, eps 1e-08, centered, gradients clipped" in told
    assert program.run_json("verify", tmp_path / "run")["exact"]


@pytest.mark.parametrize(
    "arguments, parts",
    [
        (["--beta1", 0.5], ["--beta1", "sgd", "adam, adamw, nadam, radam, adamax, lion"]),
        (["--optimizer", "adam", "--momentum", 0.9], ["--momentum", "adam", "sgd, rmsprop"]),
        (["--optimizer", "lion", "--eps", 1e-6], ["--eps", "lion"]),
        (["--optimizer", "adagrad", "--alpha", 0.9], ["--alpha", "adagrad", "rmsprop"]),
        (["--optimizer", "adamw", "--decoupled"], ["--decoupled", "adamw", "sgd, nadam, radam"]),
        (["--lr-step", 3], ["--lr-step", "--schedule step", "constant"]),
        (["--lr-gamma", 0.5, "--schedule", "cosine"], ["--lr-gamma", "--schedule step", "cosine"]),
        (["--max-lr", 0.5], ["--max-lr", "--schedule one-cycle"]),
        (["--schedule", "step"], ["lr_step"]),
        (["--warmup", 1000], ["warm-up of 1000"]),
        (["--loss", "huber"], ["huber:1"]),
        (["--loss", "hinges"], ["unknown loss", "hinge"]),
        (["--regulariser", "l3:1"], ["l1:ALPHA"]),
    ],
)
def test_options_that_do_not_go_together(arguments, parts, data, tmp_path):
    says(train(data, tmp_path / "run", *arguments, code=3), *parts)
    assert not (tmp_path / "run").exists()


def test_folder_that_is_not_empty(data, tmp_path):
    out = tmp_path / "run"
    out.mkdir()
    (out / "precious").write_text("x")
    says(train(data, out, code=3), out, "not empty")
    assert [p.name for p in out.iterdir()] == ["precious"]


@pytest.mark.parametrize(
    "arguments, parts",
    [
        (["train", "--out", "x", "--learning-rat", "1"], ["unknown option --learning-rat"]),
        (["train", "--out", "x", "--momentun", "1"], ["unknown option --momentun", "did you mean --momentum?"]),
        (["train"], ["--out"]),
        (["trian"], ["did you mean train?"]),
        (["train", "--out", "x", "--optimizer", "sdg"], ["sdg"]),
        (["train", "--out", "x", "--seed", "-1"], ["--seed", "not a number from zero up"]),
        (["train", "--out", "x", "--lr", "1", "--max-lr", "1"], ["--lr", "--max-lr"]),
        (["train", "--out", "x", "--batch", "0"], ["--batch", "not a number above zero"]),
        (["train", "--out", "x", "--threads", "100000"], ["--threads", "1024"]),
        (["train", "--out", "x", "--epochs", "1", "--batches", "b.npy"], ["--epochs"]),
        ([], ["subcommand"]),
    ],
)
def test_wrong_command_line(arguments, parts, tmp_path):
    says(program.run(*arguments, code=2, cwd=tmp_path), "--help", *parts)


def test_bad_settings_are_refused_before_anything_is_written(data, tmp_path):
    says(train(data, tmp_path / "run", "--nesterov", code=3), "Nesterov needs a momentum")
    says(train(data, tmp_path / "run", "--optimizer", "adam", "--beta1", 1, code=3), "beta1")
    says(train(data, tmp_path / "run", "--checkpoint-budget", "many", code=3), "many")
    assert not (tmp_path / "run").exists()


def test_help_and_version():
    assert program.run("--version").stdout.startswith("pathkernel 0.")
    for command in ("train", "resume", "verify", "info"):
        assert "Example" in program.run(command, "--help").stdout
