"""Guides for the program do what they say: their commands are run in order, and the lines shown come out, numbers included."""

import os
import pathlib
import re
import subprocess

import program
import pytest

GUIDES = ("workflows", "spectra", "deep_equals_shallow")
NUMBER = re.compile(r"[-+−]?\d+(?:\.\d+)?(?:e[-+]?\d+)?")


def sections(guide):
    """(guide, heading, [(command, [line it should print])]) of every part with console blocks."""
    found = []
    for part in re.split(r"(?m)^## ", (program.ROOT / f"docs/{guide}.md").read_text())[1:]:
        commands = []
        for block in re.findall(r"(?s)```console\n(.*?)```", part):
            for line in block.splitlines():
                if line.startswith("$ "):
                    commands.append((line[2:], []))
                elif line.strip() not in ("…", ""):
                    commands[-1][1].append(line)
        if commands:
            found.append((guide, part.splitlines()[0], commands))
    return found


def shape(line):
    return re.sub(r"\s+", " ", NUMBER.sub("#", line)).strip()


def close(a, b):
    a, b = (float(x.replace("−", "-")) for x in (a, b))
    return abs(a - b) <= 0.02 + 0.02 * abs(b)


def says(line, printed):
    return shape(line) == shape(printed) and all(close(a, b) for a, b in zip(NUMBER.findall(printed), NUMBER.findall(line)))


def comes_out(guide, line, printed):
    """Trained networks' numbers may differ a little between machines; eigenvalues may not, only the errors of their fits."""
    exact = guide != "workflows" and "±" not in line
    return line.split() == printed.split() if exact else says(line, printed)


@pytest.mark.parametrize("guide, heading, commands", [part for guide in GUIDES for part in sections(guide)], ids=lambda value: value if isinstance(value, str) else "")
def test_guide(guide, heading, commands, tmp_path):
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
            assert any(comes_out(guide, line, other) for other in printed), f"{command}\ndoes not print, in this order: {line}\nbut:\n{done.stdout}"
