"""What a type checker knows of the package."""

import importlib.util
import os
import pathlib
import shutil
import subprocess
import sys

import pytest

from test_package import pk

USE = """
import numpy
import pathkernel as pk

ledger = pk.load_ledger("x")
total: numpy.ndarray = ledger.initial + ledger.contributions.sum(0)
largest: float = ledger.top(0, k=3)[0][0].contribution
ledger.contribution
"""


def test_mypy_knows_a_ledger_s_arrays(tmp_path):
    if not (shutil.which("mypy") or importlib.util.find_spec("mypy")):
        pytest.skip("mypy is not installed")
    (tmp_path / "use.py").write_text(USE)
    command = [shutil.which("mypy")] if shutil.which("mypy") else [sys.executable, "-m", "mypy"]
    package = pathlib.Path(pk.__file__).parents[1]
    done = subprocess.run([*command, "--python-executable", sys.executable, "--follow-imports=silent", "--ignore-missing-imports", "use.py"], cwd=tmp_path,
                          env={**os.environ, "MYPYPATH": str(package)}, capture_output=True, text=True)
    assert done.stdout.count("error") == 2 and 'use.py:8: error: "Ledger" has no attribute "contribution"' in done.stdout, done.stdout  # that one, and the summary
