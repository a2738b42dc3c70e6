"""The guides for Python do what they say: their blocks are run in order, and print the lines shown beneath them, numbers included."""

import os
import pathlib
import re
import subprocess
import sys

import program
import pytest
from test_workflows import says

GUIDES = [*sorted((program.ROOT / "docs").glob("python_*.md")), program.ROOT / "docs/machines.md"]


@pytest.mark.parametrize("guide", GUIDES, ids=lambda g: g.stem)
def test_guide(guide, tmp_path):
    blocks = re.findall(r"(?s)```(python|text)\n(.*?)```", guide.read_text())
    script = tmp_path / "guide.py"
    script.write_text("\n".join(code for kind, code in blocks if kind == "python"))
    build = pathlib.Path(os.environ.get("PATHKERNEL_BUILD", program.ROOT / "build")).resolve()
    done = subprocess.run([sys.executable, str(script)], cwd=tmp_path, env=dict(os.environ, PYTHONPATH=str(build / "python")), capture_output=True, text=True, timeout=400)
    assert done.returncode == 0, done.stderr
    printed = iter(done.stdout.splitlines())
    expected = [line for kind, text in blocks if kind == "text" for line in text.splitlines() if line.strip()]
    assert expected
    for line in expected:
        assert any(says(line, other) for other in printed), f"not printed, in this order: {line}\nbut:\n{done.stdout}"
