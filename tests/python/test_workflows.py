"""docs/workflows.md does what it says: its commands are run in order, and the lines it shows come out, numbers included."""

import os
import pathlib
import re
import subprocess

import program
import pytest

GUIDE = program.ROOT / "docs/workflows.md"
NUMBER = re.compile(r"[-+−]?\d+(?:\.\d+)?(?:e[-+]?\d+)?")


def sections():
    """(heading, [(command, [line it should print])]) of every part with console blocks."""
    found = []
    for part in re.split(r"(?m)^## ", GUIDE.read_text())[1:]:
        commands = []
        for block in re.findall(r"(?s)```console\n(.*?)```", part):
            for line in block.splitlines():
                if line.startswith("$ "):
                    commands.append((line[2:], []))
                elif line.strip() not in ("…", ""):
                    commands[-1][1].append(line)
        if commands:
            found.append((part.splitlines()[0], commands))
    return found


def shape(line):
    return re.sub(r"\s+", " ", NUMBER.sub("#", line)).strip()


def close(a, b):
    a, b = (float(x.replace("−", "-")) for x in (a, b))
    return abs(a - b) <= 0.02 + 0.02 * abs(b)


def says(line, printed):
    return shape(line) == shape(printed) and all(close(a, b) for a, b in zip(NUMBER.findall(printed), NUMBER.findall(line)))


@pytest.mark.parametrize("heading, commands", sections(), ids=lambda value: value if isinstance(value, str) else "")
def test_guide(heading, commands, tmp_path):
    folders = [os.environ.get("PATHKERNEL_DATA", ""), program.ROOT / ".cache/data"]
    for name in ("digits", "diabetes", "spam"):
        if any(f" {name} " in command for command, _ in commands) and not any((pathlib.Path(folder) / name).is_dir() for folder in folders):
            pytest.skip(f"the data set {name} is not there (make setup brings it)")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/pathkernel").symlink_to(pathlib.Path(program.path()).resolve())
    environment = dict(os.environ, PATH=f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    for command, expected in commands:
        done = subprocess.run(["bash", "-c", command], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, f"{command}\n{done.stderr}"
        printed = iter(done.stdout.splitlines())
        for line in expected:
            assert any(says(line, other) for other in printed), f"{command}\ndoes not print, in this order: {line}\nbut:\n{done.stdout}"
