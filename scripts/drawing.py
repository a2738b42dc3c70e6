"""What the studies draw with: axes as SVG, numbers as pictures, and a PNG of the whole by Chromium."""

import base64
import pathlib
import struct
import subprocess
import tempfile
import zlib

import numpy as np

ROOT = pathlib.Path(__file__).resolve().parents[1]
BLUE, ORANGE, GREY, GREEN, PURPLE = "#2b6cb0", "#c05621", "#4a5568", "#2f855a", "#6b46c1"


class Axes:
    """A frame with ticks, in which to draw by coordinates."""

    def __init__(self, left, top, width, height, x, y):
        self.box, self.x, self.y = (left, top, width, height), x, y
        self.parts = [f'<rect x="{left}" y="{top}" width="{width}" height="{height}" fill="none" stroke="#cbd5e0"/>']

    def at(self, x, y):
        left, top, width, height = self.box
        return left + (x - self.x[0]) / (self.x[1] - self.x[0]) * width, top + height - (y - self.y[0]) / (self.y[1] - self.y[0]) * height

    def line(self, xs, ys, colour, width=2.0, dash=""):
        points = " ".join(f"{a:.1f},{b:.1f}" for a, b in (self.at(x, y) for x, y in zip(xs, ys)))
        self.parts.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="{width}" stroke-dasharray="{dash}"/>')

    def band(self, xs, low, high, colour, opacity):
        points = " ".join(f"{a:.1f},{b:.1f}" for a, b in (self.at(x, y) for x, y in [*zip(xs, low), *zip(xs[::-1], high[::-1])]))
        self.parts.append(f'<polygon points="{points}" fill="{colour}" opacity="{opacity}"/>')

    def dots(self, xs, ys, colour, radius=3.5):
        self.parts += [f'<circle cx="{a:.1f}" cy="{b:.1f}" r="{radius}" fill="{colour}"/>' for a, b in (self.at(x, y) for x, y in zip(xs, ys))]

    def bars(self, xs, ys, errors, colour):
        """Error bars."""
        for x, y, error in zip(xs, ys, errors):
            self.line([x, x], [y - error, y + error], colour, 1.5)

    def heat(self, values, low, high, colours="blue"):
        """A matrix that fills the frame, rows downwards; "red-blue" is white at the middle of low and high."""
        left, top, width, height = self.box
        shown = image((values - low) / (high - low), colours)
        self.parts.insert(0, f'<image x="{left}" y="{top}" width="{width}" height="{height}" preserveAspectRatio="none" image-rendering="pixelated" href="{shown}"/>')

    def text(self, x, y, words, anchor="middle", dx=0, dy=0, colour=GREY, size=13):
        a, b = self.at(x, y)
        self.parts.append(f'<text x="{a + dx:.1f}" y="{b + dy:.1f}" text-anchor="{anchor}" fill="{colour}" font-size="{size}">{words}</text>')

    def title(self, words):
        left, top = self.box[:2]
        self.parts.append(f'<text x="{left}" y="{top - 10}" fill="{GREY}" font-size="15">{words}</text>')

    def ticks(self, xs, ys, x_names=None, y_names=None):
        for k, x in enumerate(xs):
            self.text(x, self.y[0], x_names[k] if x_names else f"{x:g}", dy=18)
        for k, y in enumerate(ys):
            self.text(self.x[0], y, y_names[k] if y_names else f"{y:g}", "end", dx=-6, dy=4)


def image(values, colours="blue"):
    """Numbers from 0 to 1 as a PNG: white to blue, or red over white to blue."""
    values = np.clip(values, 0, 1)[..., None]
    blue, red = np.array([0x1A, 0x36, 0x5D]), np.array([0x9B, 0x2C, 0x2C])
    if colours == "red-blue":
        share = np.abs(2 * values - 1)
        pixels = (255 + share * (np.where(values < 0.5, red, blue) - 255)).astype(np.uint8)
    else:
        pixels = (255 + values * (blue - 255)).astype(np.uint8)
    rows = np.concatenate([np.zeros((len(pixels), 1), np.uint8), pixels.reshape(len(pixels), -1)], 1)

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    content = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", pixels.shape[1], pixels.shape[0], 8, 2, 0, 0, 0)) + chunk(b"IDAT", zlib.compress(rows.tobytes())) + chunk(b"IEND", b"")
    return "data:image/png;base64," + base64.b64encode(content).decode()


def picture(name, parts, width, height):
    """docs/pictures/NAME.png of these pieces of SVG."""
    svg = f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" font-family="sans-serif">{"".join(parts)}</svg>'
    with tempfile.TemporaryDirectory() as folder:
        page = pathlib.Path(folder) / f"{name}.html"
        page.write_text(f'<!doctype html><meta charset="utf-8"><body style="margin:10px;background:white">{svg}</body>', encoding="utf-8")
        subprocess.run([ROOT / "scripts/page_picture.sh", page, ROOT / f"docs/pictures/{name}.png", str(width + 20), str(height + 20)], check=True)
