"""What the studies of dynamics share: where results go, small pictures of digits, tables, curves."""

import argparse
import csv
import os
import pathlib
import subprocess
import sys
import tempfile

import numpy as np

from drawing import BLUE, GREEN, GREY, ORANGE, PURPLE, Axes

ROOT = pathlib.Path(__file__).resolve().parents[1]
COLOURS = (BLUE, ORANGE, GREEN, PURPLE, GREY)


def arguments(description, **options):
    """build --seeds N --out FOLDER, and numbers by name: their defaults say their type."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("build", nargs="?", default=str(ROOT / "build"), help="folder of the build")
    parser.add_argument("--out", default=str(ROOT / "runs/studies"), help="where the table (.csv) and the figure (.png) go")
    parser.add_argument("--seeds", type=int, default=options.pop("seeds", 3))
    for name, value in options.items():
        parser.add_argument("--" + name.replace("_", "-"), type=type(value), default=value)
    found = parser.parse_args()
    sys.path.insert(0, str(pathlib.Path(found.build).resolve() / "python"))
    pathlib.Path(found.out).mkdir(parents=True, exist_ok=True)
    import torch
    torch.set_num_threads(1)
    return found


def digits(count, size=14, first=0):
    """MNIST's training images from `first` on, averaged down to size × size numbers of mean 0 and variance 1 over all, with labels."""
    places = [pathlib.Path(os.environ["PATHKERNEL_DATA"])] if "PATHKERNEL_DATA" in os.environ else []
    folder = next(p / "mnist" for p in [*places, ROOT / ".cache/data"] if (p / "mnist").is_dir())

    def read(name, head):
        return np.frombuffer(next(folder.rglob(name)).read_bytes(), np.uint8)[head:]

    x = read("train-images-idx3-ubyte", 16).reshape(-1, size, 28 // size, size, 28 // size)[first:first + count].mean((2, 4)).reshape(count, -1) / 255.0
    return (x - 0.1307) / 0.27, read("train-labels-idx1-ubyte", 8)[first:first + count].astype(np.int64)


def spread(values, digits=3):
    """Mean and standard deviation over the seeds; what is not there is left out."""
    there = np.asarray([v for v in values if np.isfinite(v)])
    return f"{there.mean():.{digits}g} ± {there.std():.1g}" if len(there) else "–"


def table(path, names, rows):
    """Prints a Markdown table, and writes the same as .csv."""
    print("\n| " + " | ".join(names) + " |\n|" + "---|" * len(names))
    for row in rows:
        print("| " + " | ".join(str(cell) for cell in row) + " |", flush=True)
    with open(path, "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([names, *rows])


class Chart(Axes):
    """Curves with bands over seeds, on axes that may be logarithmic."""

    def __init__(self, left, top, title, x, y, log_x=False, log_y=False, x_name="", width=480, height=300, legend="top"):
        self.logs = (log_x, log_y)
        self.own = (x, y)
        super().__init__(left, top, width, height, *(tuple(np.log10(v) for v in limits) if log else limits for limits, log in zip((x, y), self.logs)))
        self.title(title)
        self.names, self.legend = 0, legend
        self.parts.append(f'<text x="{left + width / 2}" y="{top + height + 38}" text-anchor="middle" fill="{GREY}" font-size="13">{x_name}</text>')
        self._ticks()

    def _scaled(self, values, axis):
        low, high = self.own[axis]
        values = np.clip(np.asarray(values, float), low, high)
        return np.log10(values) if self.logs[axis] else values

    def _ticks(self):
        at = []
        for (low, high), log in zip(self.own, self.logs):
            if log:
                at.append([10.0**k for k in range(int(np.ceil(np.log10(low) - 1e-9)), int(np.floor(np.log10(high) + 1e-9)) + 1)])
            else:
                step = next(s for s in (10.0**k * m for k in range(-6, 7) for m in (1, 2, 5)) if (high - low) / s <= 6)
                at.append([s * step for s in range(int(np.ceil(low / step - 1e-9)), int(np.floor(high / step + 1e-9)) + 1)])
        self.ticks(self._scaled(at[0], 0), self._scaled(at[1], 1), [f"{v:g}" for v in at[0]], [f"{v:g}" for v in at[1]])

    def curve(self, name, xs, values, colour, dash="", label=True):
        """@param values [x, seeds]: the mean with a band of one standard deviation (of the logarithms, on a logarithmic axis)"""
        values = np.asarray(values, float).reshape(len(xs), -1)
        there = np.isfinite(values).any(1)
        xs, values = self._scaled(np.asarray(xs)[there], 0), values[there]
        values = np.log10(np.maximum(values, 1e-300)) if self.logs[1] else values
        mean, deviation = np.nanmean(values, 1), np.nanstd(values, 1)
        low, high = self.y
        self.band(xs, np.clip(mean - deviation, low, high), np.clip(mean + deviation, low, high), colour, 0.15)
        self.line(xs, np.clip(mean, low, high), colour, 2, dash)
        if len(xs) <= 24 and not dash:
            self.dots(xs, np.clip(mean, low, high), colour, 2.5)
        if label:
            left, top, _, height = self.box
            self.names += 1
            line = top + 17 * self.names if self.legend == "top" else top + height + 9 - 17 * self.names
            self.parts.append(f'<line x1="{left + 10}" x2="{left + 34}" y1="{line - 4}" y2="{line - 4}" stroke="{colour}" stroke-width="2" stroke-dasharray="{dash}"/>')
            self.parts.append(f'<text x="{left + 40}" y="{line}" fill="{GREY}" font-size="13">{name}</text>')

    def mark(self, x, words):
        """A vertical line."""
        at = self._scaled([x], 0)[0]
        self.line([at, at], self.y, GREY, 1, "3 3")
        self.text(at, self.y[0], words, "start", dx=5, dy=-8, size=12)


def figure(path, charts, width, height):
    """A PNG of these charts, by Chromium; without one, the page itself."""
    svg = f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" font-family="sans-serif">{"".join(part for chart in charts for part in chart.parts)}</svg>'
    content = f'<!doctype html><meta charset="utf-8"><body style="margin:10px;background:white">{svg}</body>'
    with tempfile.TemporaryDirectory() as folder:
        page = pathlib.Path(folder) / "page.html"
        page.write_text(content, encoding="utf-8")
        done = subprocess.run([ROOT / "scripts/page_picture.sh", page, path, str(width + 20), str(height + 20)])
    if done.returncode != 0:
        path = pathlib.Path(path).with_suffix(".html")
        path.write_text(content, encoding="utf-8")
    print(path)
