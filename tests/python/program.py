"""Runs the built program, and makes small data for it."""

import json
import os
import pathlib
import subprocess

import numpy as np

ROOT = pathlib.Path(__file__).resolve().parents[2]


def path():
    """PATHKERNEL_PROGRAM, else the program of the build folder under test."""
    build = pathlib.Path(os.environ.get("PATHKERNEL_BUILD", ROOT / "build"))
    return os.environ.get("PATHKERNEL_PROGRAM", str(build / "pathkernel"))


def run(*arguments, code=0, **options):
    """The finished process; fails the test when it ends with another exit code."""
    command = [path(), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, **options)
    assert done.returncode == code, f"{command}\nexit code {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done


def run_json(*arguments, **options):
    return json.loads(run(*arguments, "--json", **options).stdout)


def write_data(folder, examples=40, inputs=(6,), classes=3, dtype=np.float32, seed=0):
    """train_x.npy and so on in `folder`; classes=0 makes a regression."""
    random = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    for part, count in (("train", examples), ("test", examples // 2)):
        x = random.standard_normal((count, *inputs)).astype(dtype)
        y = random.integers(0, classes, count) if classes else x.reshape(count, -1).sum(1).astype(dtype)
        if classes:
            y[:classes] = np.arange(classes)
        np.save(folder / f"{part}_x.npy", x)
        np.save(folder / f"{part}_y.npy", y)
    return folder
