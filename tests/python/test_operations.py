"""docs/operations.md says what the engine does: it is written again and compared."""

import os
import pathlib
import sys

import torch

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(pathlib.Path(os.environ.get("PATHKERNEL_BUILD", ROOT / "build")) / "python"))
sys.path.insert(0, str(ROOT / "scripts"))
import operations  # noqa: E402


def test_the_table_is_the_engines_own():
    dtype = torch.get_default_dtype()
    torch.set_default_dtype(torch.float32)
    written = operations.table()
    torch.set_default_dtype(dtype)
    assert (ROOT / "docs/operations.md").read_text() == written, "docs/operations.md is out of date: PYTHONPATH=build/python .venv/bin/python scripts/operations.py > docs/operations.md"


def test_every_operation_of_the_issue_is_followed_or_refused_by_name():
    lines = [line for line in operations.table().splitlines() if line.startswith("|")]
    refused = [line for line in lines if "refused" in line]
    assert len(refused) == len(operations.LAYERS["What cannot be followed"]), refused
    assert all("the tape" in line or "coupled" in line or "differentiates" in line or "functorch" in line for line in refused), refused
