// Eigenvalues over k, the slope at every k, and eigenvalues over those of another kernel; k is on a logarithmic axis, sizes are drawn by
// their logarithms because doubles do not hold them.

import * as Plot from "@observablehq/plot";
import { textStyle } from "../common/charts";
import { power10 } from "../common/format";
import { branches, type Branch, type Spectra } from "./data";

const palette = ["#1b6ca8", "#c2570c", "#2e7d4f", "#8a3ea8", "#b08a00", "#b3262e", "#4a5461", "#1d9a9a"];
export const colourOf = (index: number) => palette[index % palette.length];

const kAxis = (data: Spectra): Plot.ScaleOptions => ({
  type: "log", label: "k →", labelAnchor: "right", domain: [1, Math.max(2, ...data.kernels.map((kernel) => kernel.k_max))], ticks: 6, tickFormat: "~d",
});

/** Even k are filled, odd k hollow; a line through them where they are dense. */
function marks(branch: Branch, points: { k: number; y: number; title?: string }[]): Plot.Markish[] {
  const colour = colourOf(branch.index);
  return [
    Plot.line(points, { x: "k", y: "y", stroke: colour, strokeWidth: 1, strokeOpacity: 0.7 }),
    Plot.dot(points, { x: "k", y: "y", r: 2.3, stroke: colour, strokeWidth: 1.1, fill: branch.odd ? "#fff" : colour, title: "title" }),
  ];
}

const parity = (branch: Branch) => (branch.odd ? "odd" : "even");

export function eigenvalues(data: Spectra, width: number): Element {
  const all = branches(data);
  const measured = all.map((b) => marks(b, b.points.map(([k, mu]) => ({ k, y: mu!, title: `${b.kernel.name}\nk = ${k}: 10^${mu!.toFixed(3)}` }))));
  const single = data.kernels.length === 1;
  const theory = all.map((b) => Plot.line(b.points.filter((p) => p[3] !== null && p[0] >= 4), {
    x: "0", y: "3", stroke: single ? "#111" : colourOf(b.index), strokeWidth: single ? 1.6 : 1.1, strokeDasharray: single && b.odd ? "2,4" : "6,4",
  }));
  return Plot.plot({
    width, height: Math.max(340, Math.min(460, width * 0.6)), marginLeft: 58, marginBottom: 40, style: textStyle,
    x: kAxis(data), y: { label: "↑ μₖ", grid: true, tickFormat: power10 },
    marks: [measured, theory],
  });
}

/** Between neighbouring points of one parity, in log(μ N) over log √(k(k+d−2)), less d − 2: theory's exponent where the kernel has one. */
export function slopes(data: Spectra, width: number): Element {
  const curves = branches(data).map((b) => {
    const frequency = (k: number) => 0.5 * Math.log10(k * (k + b.kernel.dim - 2));
    const points = b.points.slice(1).map((p, i) => {
      const q = b.points[i];
      const y = (p[1]! + p[2] - q[1]! - q[2]) / (frequency(p[0]) - frequency(q[0])) - (b.kernel.dim - 2);
      return { k: Math.sqrt(p[0] * q[0]), y, title: `${b.kernel.name}\nk = ${q[0]} to ${p[0]}: ${y.toFixed(4)}` };
    }).filter((p) => p.k >= 3);
    return { branch: b, points };
  });
  // The first few slopes of a deep kernel are far off; the picture is about where they lead.
  const ends = curves.flatMap((c) => c.points.filter((p) => p.k >= 8).map((p) => p.y));
  const lines = branches(data).map((b) => (b.odd ? b.kernel.odd : b.kernel.even).predicted?.exponent).filter((e): e is number => e !== undefined);
  const low = Math.min(...ends, ...lines), high = Math.max(...ends, ...lines), room = 0.08 * (high - low || 1);
  return Plot.plot({
    width, height: 320, marginLeft: 58, marginBottom: 40, style: textStyle, clip: true,
    x: kAxis(data), y: { label: "↑ slope", grid: true, domain: [low - room, high + room] },
    marks: [
      Plot.ruleY([...new Set(lines)], { stroke: "#111", strokeWidth: 1.4, strokeDasharray: "6,4" }),
      curves.map((c) => marks(c.branch, c.points)),
    ],
  });
}

/** Over the eigenvalues of the reference kernel; of a single kernel, over theory's leading term. */
export function ratios(data: Spectra, width: number): Element {
  const single = data.kernels.length === 1;
  const reference = new Map(data.kernels[data.reference].points.map((p) => [p[0], single ? p[3] : p[1]]));
  const curves = branches(data).filter((b) => single || b.index !== data.reference).map((b) => ({
    branch: b,
    points: b.points.filter((p) => reference.get(p[0]) != null).map((p) => {
      const y = 10 ** (p[1]! - reference.get(p[0])!);
      return { k: p[0], y, title: `${b.kernel.name}, ${parity(b)} k = ${p[0]}: ${y.toPrecision(5)}` };
    }),
  }));
  return Plot.plot({
    width, height: 340, marginLeft: 58, marginBottom: 40, style: textStyle,
    x: kAxis(data), y: { type: "log", label: "↑ ratio", grid: true, ticks: 6, tickFormat: "~g" },
    marks: [
      Plot.ruleY([1], single ? { stroke: "#111", strokeWidth: 1.4, strokeDasharray: "6,4" } : { stroke: colourOf(data.reference), strokeWidth: 1.6 }),
      curves.map((c) => marks(c.branch, c.points)),
    ],
  });
}
