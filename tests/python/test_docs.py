"""make docs: every comment can be made out, every room has its page, and what is not installed is not shown."""

import pathlib
import re
import shutil
import subprocess

import pytest

ROOT = pathlib.Path(__file__).parents[2]


def test_every_room_has_a_group_and_a_line_on_the_main_page():
    rooms = {header.relative_to(ROOT / "pathkernel").parts[0] for header in (ROOT / "pathkernel").glob("*/**/*.h")}
    text = (ROOT / "docs/api/rooms.dox").read_text()
    assert set(re.findall(r"@defgroup (\w+)", text)) == rooms
    assert set(re.findall(r"^\| @ref (\w+) \|", text, re.M)) == rooms


def test_headers_that_are_not_installed_are_not_shown():
    installed = (ROOT / "cmake/Install.cmake").read_text()
    kept_back = {pattern.removeprefix("pathkernel/") for pattern in re.findall(r"PATTERN (\S+) EXCLUDE", installed)}
    doxyfile = (ROOT / "docs/api/Doxyfile").read_text().replace("\\\n", " ")
    hidden = re.search(r"EXCLUDE_PATTERNS += (.*)", doxyfile)[1].split()
    assert {pattern.removeprefix("*/").removeprefix("pathkernel/").removesuffix("/*") for pattern in hidden} == kept_back


@pytest.mark.skipif(shutil.which("doxygen") is None, reason="no doxygen: make docs brings it")
def test_doxygen_makes_out_every_comment(tmp_path):
    done = subprocess.run(["doxygen", "docs/api/Doxyfile"], cwd=ROOT, env={"PATH": "/usr/bin:/bin", "DOCS_OUTPUT": str(tmp_path)}, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert (tmp_path / "index.html").exists()
