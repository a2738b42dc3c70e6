"""The installed library, as a stranger uses it: install, find_package, build tests/downstream, run it."""

import os
import pathlib
import re
import shutil
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("PATHKERNEL_BUILD", ROOT / "build"))


def call(*command, **options):
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, timeout=600, **options)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def cached(name):
    """A variable of the build's CMake cache."""
    return re.search(rf"^{name}:\w+=(.*)$", (BUILD / "CMakeCache.txt").read_text(), re.M)[1]


def launcher():
    return "ccache" if shutil.which("ccache") else "env"


@pytest.fixture(scope="module")
def prefix(tmp_path_factory):
    """Installed, and moved to another place afterwards."""
    folder = tmp_path_factory.mktemp("installed")
    call("cmake", "--install", BUILD, "--prefix", folder / "first")
    (folder / "first").rename(folder / "moved")
    return folder / "moved"


def test_a_strangers_program_prints_a_ledger_that_adds_up(prefix, tmp_path):
    call("cmake", "-G", "Ninja", "-S", ROOT / "tests/downstream", "-B", tmp_path / "build", f"-DCMAKE_PREFIX_PATH={prefix}",
         f"-DCMAKE_CXX_COMPILER_LAUNCHER={launcher()}", "-DCMAKE_BUILD_TYPE=Debug")
    call("cmake", "--build", tmp_path / "build")
    out = call(tmp_path / "build/downstream", tmp_path / "run", env={"OMP_NUM_THREADS": "1"})

    ledgers = re.split(r"^test:", out.split("certificate:")[0], flags=re.M)[1:]
    network = [float(x) for x in re.findall(r"^network: (\S+)$", out, re.M)]
    assert len(ledgers) == len(network) == 4
    for ledger, odds in zip(ledgers, network):
        bars = re.findall(r"^  (\S.*?) +([+-]\d+\.\d{9})$", ledger, re.M)
        assert [bars[0][0], bars[-1][0]] == ["initial network", "final network"] and len(bars) >= 6
        *terms, final = [float(amount) for _, amount in bars]
        assert abs(sum(terms) - final) < 1e-8 * len(bars)  # nine digits are printed
        assert abs(final - odds) < 1e-5 * (1 + abs(odds))  # float32, in two orders of summation
        assert len(re.findall(r"example \d+ \((inside|outside)\) pushed", ledger)) == 4
    assert re.search(r"^certificate: adds up to \de-\d\d of Σ\|c\|.*shares uncertain", out, re.M)


def test_installed_headers_need_nothing_but_torch(prefix, tmp_path):
    """Each public header compiles, and what the library uses inside (JSON, SQLite, {fmt}, xxHash) does not show."""
    headers = sorted(path.relative_to(prefix / "include").as_posix() for path in (prefix / "include").rglob("*.h"))
    assert "pathkernel/pathkernel.h" in headers and "pathkernel/record/format.h" not in headers
    unit = tmp_path / "headers.cpp"
    unit.write_text("".join(f"#include <{header}>\n" for header in headers))
    torch = pathlib.Path(cached("TORCH_INCLUDE"))
    call(cached("CMAKE_CXX_COMPILER"), "-std=c++20", "-DNDEBUG", "-Wall", "-Wextra", "-Werror", "-fsyntax-only", "-MD", "-MF", tmp_path / "needs", "-I",
         prefix / "include", "-isystem", torch, "-isystem", torch / "torch/csrc/api/include", unit)
    needs = (tmp_path / "needs").read_text().split()
    assert sum("/include/pathkernel/" in path for path in needs) == len(headers)
    private = [path for path in needs if re.search(r"nlohmann|sqlite|xxhash|zstd|CLI11|(?<!torch)/include/fmt", path)]
    assert private == []


def test_the_installed_program_runs_and_nothing_refers_to_the_build(prefix):
    assert re.match(r"pathkernel \d+\.\d+\.\d+", call(prefix / "bin/pathkernel", "--version", env={}))
    for path in (prefix / "lib/cmake/pathkernel").iterdir():
        assert str(BUILD) not in path.read_text(), path
    paths = call("readelf", "-d", prefix / "bin/pathkernel", prefix / "lib/libpathkernel.so")
    assert str(BUILD) not in paths and "$ORIGIN/../lib:" in paths


def test_another_torch_is_refused(prefix, tmp_path):
    other = tmp_path / "torch"
    (other / "include/torch/headeronly").mkdir(parents=True)
    (other / "include/ATen/core").mkdir(parents=True)
    (other / "include/ATen/core/Tensor.h").touch()
    (other / "include/torch/headeronly/version.h").write_text('#define TORCH_VERSION \\\n  "2.9.1"\n')
    (other / "lib").mkdir()
    for name in ("torch", "torch_cpu", "c10"):
        (other / f"lib/lib{name}.so").touch()
    done = subprocess.run(["cmake", "-S", ROOT / "tests/downstream", "-B", tmp_path / "build", f"-DCMAKE_PREFIX_PATH={prefix}", f"-DTORCH_ROOT={other}"],
                          capture_output=True, text=True)
    assert done.returncode != 0
    said = " ".join(done.stderr.split())
    assert re.search(r"built with torch 2\.\d+\.\d+, but \S+/torch is torch 2\.9\.1", said), done.stderr
