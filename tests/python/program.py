"""Runs the built program, and makes small data for it."""

import contextlib
import ctypes
import ctypes.util
import json
import os
import pathlib
import sqlite3
import struct
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


def xxh3(content):
    library = ctypes.CDLL(ctypes.util.find_library("xxhash"))
    library.XXH3_64bits.restype = ctypes.c_uint64
    library.XXH3_64bits.argtypes = [ctypes.c_char_p, ctypes.c_size_t]
    return f"{library.XXH3_64bits(content, len(content)):016x}"


def change_step(recording, step, **changes):
    """Changes columns of one line of the log, and its checksum as docs/recording.md says: as if the run had been another."""
    with contextlib.closing(sqlite3.connect(recording / "recording.sqlite")) as database:
        names = ("indices", "random_seed", "lr", "loss", "hash")
        row = dict(zip(names, database.execute(f"SELECT {', '.join(names)} FROM steps WHERE step=?", (step,)).fetchone()), **changes)
        numbers = struct.pack("<qQddQ", step, int(row["random_seed"], 16), row["lr"], row["loss"], int(row["hash"], 16))
        row["checksum"] = xxh3(numbers + row["indices"])
        database.execute(f"UPDATE steps SET {', '.join(f'{name}=?' for name in row)} WHERE step=?", (*row.values(), step))
        database.commit()
