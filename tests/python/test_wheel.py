"""`pip install .`: the wheel pins the torch it was built against, and the package and its program work from where they are installed."""

import email
import os
import pathlib
import subprocess
import sys
import zipfile

import program
import pytest
import torch

SCRIPT = """
import pathlib, torch
import pathkernel as pk
assert pathlib.Path(pk.__file__).is_relative_to({site!r}), pk.__file__
model = torch.nn.Linear(3, 2)
with pk.record({run!r}, model=model, optimizer=torch.optim.SGD(model.parameters(), lr=0.1), loss=torch.nn.CrossEntropyLoss(), data=(torch.randn(8, 3), torch.arange(8) % 2)) as run:
    run.fit(2, 4, progress=False)
ledger = run.explain(torch.randn(2, 3), progress=False)
print(ledger.contributions.shape)
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """Built in build-wheel/; what `make build` compiled comes from ccache."""
    folder = tmp_path_factory.mktemp("wheel")
    done = subprocess.run([sys.executable, "-m", "pip", "wheel", "-q", "--no-build-isolation", "--no-deps", str(program.ROOT), "-w", str(folder)], capture_output=True, text=True, timeout=3000)
    assert done.returncode == 0, done.stdout + done.stderr
    return next(folder.glob("pathkernel-*.whl"))


def test_the_wheel_pins_its_torch_and_holds_what_it_needs(wheel):
    with zipfile.ZipFile(wheel) as files:
        names = files.namelist()
        metadata = email.message_from_bytes(files.read(next(n for n in names if n.endswith("METADATA"))))
    assert f"torch=={torch.__version__.split('+')[0]}" in metadata.get_all("Requires-Dist")
    for wanted in ("pathkernel/py.typed", "pathkernel/_engine.pyi", "pathkernel/machines/__init__.py", "pathkernel/libpathkernel.so", "pathkernel/bin/pathkernel"):
        assert wanted in names
    assert not any("torch" in n.lower() and n.endswith(".so") for n in names)


def test_the_installed_package_works(wheel, tmp_path):
    site = tmp_path / "site"
    subprocess.run([sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", str(site), str(wheel)], check=True, capture_output=True, timeout=300)
    environment = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "LD_LIBRARY_PATH")} | {"PYTHONPATH": str(site)}
    script = SCRIPT.format(site=str(site), run=str(tmp_path / "run"))
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300)
    assert (done.returncode, done.stdout) == (0, "(8, 2)\n"), done.stderr
    # Of the program in the wheel: torch lies beside the package there, and here where the build found it.
    binary = site / "pathkernel/bin/pathkernel"
    libraries = str(pathlib.Path(torch.__file__).parent / "lib")
    done = subprocess.run([str(binary), "verify", str(tmp_path / "run")], env=environment | {"LD_LIBRARY_PATH": libraries}, capture_output=True, text=True, timeout=300)
    assert done.returncode == 3 and "pathkernel.open" in done.stderr, done.stderr
