"""Small data and a small recording that several tests of the program begin with."""

import program
import pytest


@pytest.fixture
def data(tmp_path):
    return program.write_data(tmp_path / "data")


@pytest.fixture
def recording(data, tmp_path):
    """15 steps with momentum; checkpoints at 0, 4, 8, 12, 15."""
    program.run("train", "--data", data, "--model", "mlp:6-8-3", "--batch", 8, "--epochs", 3, "--momentum", 0.9, "--out", tmp_path / "run")
    return tmp_path / "run"
