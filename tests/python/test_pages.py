"""The pages that `pathkernel report` and `pathkernel theorem` write, in a real browser."""

import html.parser
import json
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

import ledgers
import program

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = Path(program.path())
BROWSER = shutil.which("chromium") or shutil.which("chromium-browser")

needs_program = pytest.mark.skipif(not PROGRAM.exists(), reason=f"{PROGRAM} is not built")
needs_browser = pytest.mark.skipif(BROWSER is None, reason="no chromium: the pages cannot be shown")


def run(*arguments):
    return subprocess.run([PROGRAM, *map(str, arguments)], capture_output=True, text=True, timeout=120)


class Elements(html.parser.HTMLParser):
    """Every element with its attributes and the text inside, in document order."""

    def __init__(self, text):
        super().__init__()
        self.all, self.open = [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        element = {"tag": tag, **dict(attributes), "text": "", "inside": [e.get("id") for e in self.open if e.get("id")]}
        self.all.append(element)
        if tag not in ("meta", "br", "input", "link", "img", "hr"):
            self.open.append(element)

    def handle_endtag(self, tag):
        while self.open and self.open.pop()["tag"] != tag:
            pass

    def handle_data(self, data):
        for element in self.open:
            element["text"] += data

    def values(self, inside):
        return [float(e["data-value"]) for e in self.all if e.get("data-value") is not None and inside in e["inside"]]


def browse(page, profile, fragment=""):
    """The document after its program ran, and what it said on the console."""
    result = subprocess.run(
        [BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
         f"--user-data-dir={profile}", "--window-size=1280,1600", "--virtual-time-budget=3000", "--enable-logging=stderr", "--dump-dom",
         Path(page).as_uri() + fragment], capture_output=True, text=True, timeout=120)
    return Elements(result.stdout), [line for line in result.stderr.splitlines() if "CONSOLE" in line]


def page_data(text):
    return json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.S)[1])


def as_number(text):
    digits = text.translate(str.maketrans("−⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "--0123456789")).replace("+", "")
    return float(digits.replace("×10", "e"))


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    folder = tmp_path_factory.mktemp("report")
    tensors = ledgers.random_ledger(folder / "ledger", name="<b>{}</b></script>")
    result = run("report", folder / "ledger", "-o", folder / "report.html", "--top", 6)
    assert result.returncode == 0, result.stderr
    return folder / "report.html", tensors


@pytest.fixture(scope="module")
def theorem(tmp_path_factory):
    folder = tmp_path_factory.mktemp("theorem")
    tensors = ledgers.theorem_ledger(folder / "ledger")
    result = run("theorem", folder / "ledger", "-o", folder / "theorem.html", "--at", 0.7)
    assert result.returncode == 0, result.stderr
    return folder / "theorem.html", tensors


@needs_program
def test_show_reads_a_ledger_written_elsewhere(tmp_path):
    tensors = ledgers.random_ledger(tmp_path / "ledger")
    account = json.loads(run("show", tmp_path / "ledger", "--query", 1, "--top", 3, "--json").stdout)
    c = tensors["contributions"][:, 1]
    assert [p["example"] for p in account["towards"]] == list(np.argsort(-c)[:3])
    assert [p["example"] for p in account["away"]] == list(np.argsort(c)[:3])
    terms = sum(account[name] for name in ("initial", "examples", "decay", "regulariser", "in_flight", "buffers", "jumps", "rounding", "residual"))
    assert terms == pytest.approx(account["final"], abs=1e-12)
    text = run("show", tmp_path / "ledger").stdout
    assert max(len(line) for line in text.splitlines()[4:10]) <= 100, "the table fits a terminal"
    assert "1 wrong" in text
    out_of_range = run("show", tmp_path / "ledger", "--query", 5)
    assert out_of_range.returncode == 3 and "0 … 4" in out_of_range.stderr


@needs_program
@pytest.mark.parametrize("kind", ["report", "theorem"])
def test_fetches_nothing(kind, request):
    page, _ = request.getfixturevalue(kind)
    text = page.read_text()
    assert "default-src 'none'" in text
    without_data = text.replace(re.search(r'<script type="application/json".*?</script>', text, re.S)[0], "")
    names = {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xhtml", "http://www.w3.org/1999/xlink", "http://www.w3.org/XML/1998/namespace",
             "http://www.w3.org/2000/xmlns/"}
    assert set(re.findall(r"https?://[^\s\"'`<>)]+", without_data)) <= names
    assert not re.search(r"<(link|img|iframe|script)[^>]+(src|href)=", without_data)


@needs_program
@needs_browser
def test_report_adds_up_as_shown(report, tmp_path):
    page, tensors = report
    shown, console = browse(page, tmp_path / "profile", "#query=1")
    assert console == []
    rows = [e for e in shown.all if e["tag"] == "tr" and e.get("data-value")]
    values = [float(r["data-value"]) for r in rows]
    terms = [name for name in ("decay", "regulariser", "in_flight", "buffers", "jumps") if np.abs(tensors[name]).max() > 0]
    assert len(values) == 5 + len(terms), "initial, examples, terms, rounding, residual, final"
    assert sum(values[:-1]) == pytest.approx(values[-1], abs=1e-9)
    assert values[-1] == pytest.approx(tensors["final"][1])
    cells = [[e["text"] for e in Elements_inside(shown, r)] for r in rows]
    assert sum(as_number(c[-1]) for c in cells[:-1]) == pytest.approx(as_number(cells[-1][-1]), abs=4e-3)

    c = tensors["contributions"][:, 1]
    assert sum(shown.values("towards")) == pytest.approx(c[c > 0].sum())
    assert sum(shown.values("away")) == pytest.approx(c[c < 0].sum())
    for chart in ("waterfall", "outputs", "by-class", "by-layer"):
        assert any(e["tag"] == "svg" and chart in e["inside"] for e in shown.all), chart
    everything = next(e["text"] for e in shown.all if e["tag"] == "body")
    assert "Shown without the data" in everything
    assert "influence" not in everything.lower()


def Elements_inside(elements, row):
    """The cells of a table row: the <td> that follow it up to the next row."""
    start = elements.all.index(row) + 1
    for element in elements.all[start:]:
        if element["tag"] == "tr":
            return
        if element["tag"] == "td":
            yield element


@needs_program
@needs_browser
def test_report_shows_names_as_text(report, tmp_path):
    page, _ = report
    shown, _ = browse(page, tmp_path / "profile")
    heading = [e["text"] for e in shown.all if e["tag"] == "h1"]
    assert any("<b>0</b></script>" in text for text in heading)
    assert len([e for e in shown.all if e["tag"] == "li" and e.get("data-query")]) == 5
    assert len([e for e in shown.all if e.get("class") == "mark wrong"]) == 1


@needs_program
@needs_browser
def test_report_of_a_recorded_run_shows_its_images(tmp_path):
    rng = np.random.default_rng(0)
    data = tmp_path / "data"
    data.mkdir()
    images, labels = rng.random((40, 1, 6, 5)).astype(np.float32), np.arange(40) % 4
    for part in ("train", "test"):
        np.save(data / f"{part}_x.npy", images)
        np.save(data / f"{part}_y.npy", labels)
    trained = run("train", "--data", data, "--model", "mlp:30-8-4", "--batch", 8, "--epochs", 1, "--lr", 0.1, "--out", tmp_path / "run")
    assert trained.returncode == 0, trained.stderr
    ledgers.random_ledger(tmp_path / "ledger", examples=40, classes=4, recording=tmp_path / "run")
    result = run("report", tmp_path / "ledger", "-o", tmp_path / "report.html", "--queries", "0,3", "--top", 4)
    assert result.returncode == 0 and "without pictures" not in result.stdout, result.stderr + result.stdout
    content = page_data((tmp_path / "report.html").read_text())
    assert content["image"] == {"channels": 1, "height": 6, "width": 5}
    assert [q["number"] for q in content["queries"]] == [0, 3]
    shown, console = browse(tmp_path / "report.html", tmp_path / "profile")
    assert console == []
    assert len([e for e in shown.all if e["tag"] == "canvas"]) == 2 + 1 + 8


@needs_program
@needs_browser
def test_theorem_lands_on_the_network(theorem, tmp_path):
    page, tensors = theorem
    shown, console = browse(page, tmp_path / "profile")
    assert console == []
    rows = [e for e in shown.all if e["tag"] == "tr" and e.get("data-value")]
    values = [float(r["data-value"]) for r in rows]
    at = np.abs(tensors["query_inputs"][:, 0] - 0.7).argmin()
    assert sum(values[:-1]) == pytest.approx(values[-1], abs=1e-12)
    assert values[-1] == pytest.approx(tensors["final"][at])
    for row in rows[:8]:
        cells = [e["text"] for e in Elements_inside(shown, row)]
        if cells[3] != "–":
            assert as_number(cells[3]) * as_number(cells[4]) == pytest.approx(as_number(cells[5]), abs=2e-2, rel=2e-2)
    difference = next(float(e["data-value"]) for e in shown.all if e.get("id") == "difference")
    assert difference == pytest.approx(np.abs(tensors["residual"]).max())
    for chart in ("stacked", "landing", "contributions", "kernel", "coefficients"):
        assert any(e["tag"] == "svg" and chart in e["inside"] for e in shown.all), chart


@needs_program
def test_theorem_refuses_what_has_no_x(tmp_path):
    ledgers.random_ledger(tmp_path / "ledger")
    result = run("theorem", tmp_path / "ledger", "-o", tmp_path / "theorem.html")
    assert result.returncode == 3 and "classification" in result.stderr
    assert not (tmp_path / "theorem.html").exists()


@needs_program
def test_program_types(tmp_path):
    tsc = ROOT / "web" / "node_modules" / ".bin" / "tsc"
    if not tsc.exists():
        pytest.skip("web/node_modules is not there: build first")
    result = subprocess.run([tsc, "--noEmit"], cwd=ROOT / "web", capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stdout
