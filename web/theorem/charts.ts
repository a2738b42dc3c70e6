// The picture: contributions stacked from the untrained to the trained network, and the kernel machine's parts.

import * as Plot from "@observablehq/plot";
import { colour, textStyle } from "../common/charts";
import { signed } from "../common/format";

export interface Example { number: number; x: number; y: number; c: number[]; K: number[] }
export interface Theorem {
  title: string; measurement: string; steps: number;
  x: number[]; initial: number[]; final: number[]; decay: number[]; rounding: number[];
  examples: Example[]; at: number; certificate: string;
}

/** Examples are coloured by their place on the x axis, from dark to light. */
export function colours(examples: Example[]): string[] {
  const scale = Plot.scale({ color: { type: "linear", domain: [0, Math.max(1, examples.length - 1) / 0.9], scheme: "viridis" } });
  return examples.map((_, i) => scale.apply(i));
}

type Point = { x: number; low: number; high: number; k: number };

/** b(x): the untrained network, and what decay (buffers, jumps) added to it. */
const start = (data: Theorem) => data.initial.map((f, q) => f + data.decay[q]);

/**
 * The order in which examples are stacked: next comes the one that leaves the sum smallest. Contributions are larger than their sum
 * and cancel; in this order they cancel early, and the bands stay near the curve they lead to. The sum of all does not depend on it.
 */
export function stackingOrder(data: Theorem): number[] {
  const left = new Set(data.examples.keys()), order: number[] = [];
  let sum = start(data);
  while (left.size > 0) {
    const size = (k: number) => sum.reduce((total, s, q) => total + (s + data.examples[k].c[q]) ** 2, 0);
    const next = [...left].reduce((best, k) => (size(k) < size(best) ? k : best));
    sum = sum.map((s, q) => s + data.examples[next].c[q]);
    order.push(next);
    left.delete(next);
  }
  return order;
}

/** Sums f_0 + c_1 + … + c_k in that order, k = 0 … N. */
function partialSums(data: Theorem, order: number[]): number[][] {
  const sums = [start(data)];
  for (const i of order) sums.push(sums[sums.length - 1].map((s, q) => s + data.examples[i].c[q]));
  return sums;
}

const line = (x: number[], y: number[]) => x.map((v, q) => [v, y[q]] as [number, number]);

const points = (data: Theorem, colour8: string[]) => Plot.dot(data.examples, {
  x: "x", y: "y", r: 5.5, fill: (_: Example, i: number) => colour8[i], stroke: "#fff", strokeWidth: 1.5,
  title: (e: Example) => `example ${e.number}: x = ${e.x.toFixed(3)}, y = ${e.y.toFixed(3)}`,
});

/** The two networks, and the sum of the first `count` examples: of all of them, it lies on the trained network. */
function curves(data: Theorem, sum: number[], complete: boolean): Plot.Markish[] {
  return [
    Plot.line(line(data.x, start(data)), { stroke: colour.soft, strokeWidth: 1.6, strokeDasharray: "5,4" }),
    Plot.line(line(data.x, data.final), { stroke: "#111", strokeWidth: 3.4 }),
    Plot.line(line(data.x, sum), complete ? { stroke: "#ffd94d", strokeWidth: 1.6, strokeDasharray: "5,5" } : { stroke: "#b3262e", strokeWidth: 2 }),
  ];
}

/** @param count  how many examples to stack: all of them lands on the trained network */
export function stacked(data: Theorem, order: number[], count: number, at: number, width: number): Element {
  const sums = partialSums(data, order), colour8 = colours(data.examples);
  const bands: Point[] = [];
  for (let k = 0; k < count; ++k) data.x.forEach((x, q) => bands.push({ x, low: sums[k][q], high: sums[k + 1][q], k: order[k] }));
  const everything = [...sums.flat(), ...data.examples.map((e) => e.y)];
  return Plot.plot({
    width, height: Math.max(320, Math.min(400, width * 0.56)), marginLeft: 48, marginBottom: 40, style: textStyle,
    x: { label: "x →", labelAnchor: "right" }, y: { label: "↑ y", grid: true, ticks: 7, domain: [Math.min(...everything), Math.max(...everything)], nice: true },
    marks: [
      Plot.areaY(bands, { x: "x", y1: "low", y2: "high", z: "k", fill: (p: Point) => colour8[p.k], fillOpacity: 0.42 }),
      sums.slice(1, count).map((s, k) => Plot.line(line(data.x, s), { stroke: colour8[order[k]], strokeWidth: 1 })),
      Plot.ruleX([at], { stroke: "#8a95a1", strokeDasharray: "3,3" }),
      ...curves(data, sums[count], count === data.examples.length),
      points(data, colour8),
    ],
  });
}

/** The same at the scale of the trained network. */
export function landing(data: Theorem, order: number[], count: number, at: number, width: number): Element {
  const heights = [...start(data), ...data.final, ...data.examples.map((e) => e.y)];
  const low = Math.min(...heights), high = Math.max(...heights), room = 0.08 * (high - low || 1);
  return Plot.plot({
    width, height: 250, marginLeft: 48, marginBottom: 40, style: textStyle, clip: true,
    x: { label: "x →", labelAnchor: "right" }, y: { label: "↑ y", grid: true, ticks: 5, domain: [low - room, high + room] },
    marks: [
      Plot.ruleX([at], { stroke: "#8a95a1", strokeDasharray: "3,3" }),
      ...curves(data, partialSums(data, order)[count], count === data.examples.length),
      points(data, colours(data.examples)),
    ],
  });
}

/** One curve an example; null interrupts a curve. */
export function family(data: Theorem, lines: (number | null)[][], label: string, at: number, width: number, bounds?: [number, number]): Element {
  const colour8 = colours(data.examples);
  return Plot.plot({
    width, height: 230, marginLeft: 48, marginBottom: 38, style: textStyle, clip: bounds !== undefined,
    x: { label: "x →", labelAnchor: "right", ticks: 5 }, y: { label, grid: true, ticks: 6, domain: bounds },
    marks: [
      Plot.ruleY([0], { stroke: "#8a95a1" }),
      Plot.ruleX([at], { stroke: "#8a95a1", strokeDasharray: "3,3" }),
      lines.map((c, i) => Plot.line(data.x.map((x, q) => [x, c[q] ?? NaN]), { stroke: colour8[i], strokeWidth: 1.8, title: () => `example ${data.examples[i].number}` })),
      Plot.dot(data.examples.map((e, i) => ({ x: e.x, i })), { x: "x", y: 0, r: 3.2, fill: (p: { i: number }) => colour8[p.i], stroke: "#fff", title: (p: { i: number }) => signed(data.examples[p.i].y) }),
    ],
  });
}
