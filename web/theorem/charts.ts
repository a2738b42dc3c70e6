// The picture: contributions stacked from the untrained to the trained network, and the kernel machine's parts.

import * as Plot from "@observablehq/plot";
import { colour, textStyle } from "../common/charts";
import { signed } from "../common/format";

export interface Example { number: number; x: number; y: number; c: number[]; K: number[] }
export interface Theorem {
  title: string; measurement: string; steps: number;
  x: number[]; initial: number[]; final: number[]; decay: number[]; rounding: number[];
  largestResidual: number; examples: Example[]; at: number; certificate: string;
}

/** Examples are coloured by their place on the x axis, from dark to light. */
export function colours(examples: Example[]): string[] {
  const scale = Plot.scale({ color: { type: "linear", domain: [0, Math.max(1, examples.length - 1) / 0.9], scheme: "viridis" } });
  return examples.map((_, i) => scale.apply(i));
}

type Point = { x: number; low: number; high: number; k: number };

/** Sums f_0 + c_1 + … + c_k, k = 0 … N. */
export function partialSums(data: Theorem): number[][] {
  const sums = [data.initial];
  for (const e of data.examples) sums.push(sums[sums.length - 1].map((s, q) => s + e.c[q]));
  return sums;
}

const line = (x: number[], y: number[]) => x.map((v, q) => [v, y[q]] as [number, number]);

/** @param count  how many examples to stack: all of them lands on the trained network */
export function stacked(data: Theorem, count: number, at: number, width: number): Element {
  const sums = partialSums(data), colour8 = colours(data.examples);
  const bands: Point[] = [];
  for (let k = 0; k < count; ++k) data.x.forEach((x, q) => bands.push({ x, low: sums[k][q], high: sums[k + 1][q], k }));
  const everything = [...sums.flat(), ...data.examples.map((e) => e.y)];
  return Plot.plot({
    width, height: Math.max(330, Math.min(560, width * 0.72)), marginLeft: 48, marginBottom: 40, style: textStyle,
    x: { label: "x →", labelAnchor: "right" }, y: { label: "↑ y", grid: true, domain: [Math.min(...everything), Math.max(...everything)], nice: true },
    marks: [
      Plot.areaY(bands, { x: "x", y1: "low", y2: "high", z: "k", fill: (p: Point) => colour8[p.k], fillOpacity: 0.38 }),
      sums.slice(1, count).map((s, k) => Plot.lineY(line(data.x, s), { stroke: colour8[k], strokeWidth: 1, strokeOpacity: 0.9 })),
      Plot.ruleX([at], { stroke: "#8a95a1", strokeDasharray: "3,3" }),
      Plot.lineY(line(data.x, data.initial), { stroke: colour.soft, strokeWidth: 1.6, strokeDasharray: "5,4" }),
      Plot.lineY(line(data.x, data.final), { stroke: "#111", strokeWidth: 3.2 }),
      count > 0 ? Plot.lineY(line(data.x, sums[count]), { stroke: count === data.examples.length ? "#ffd94d" : colour8[count - 1], strokeWidth: count === data.examples.length ? 1.6 : 2, strokeDasharray: count === data.examples.length ? "5,5" : undefined }) : null,
      Plot.dot(data.examples, { x: "x", y: "y", r: 5.5, fill: (_: Example, i: number) => colour8[i], stroke: "#fff", strokeWidth: 1.5, title: (e: Example) => `example ${e.number}: x = ${e.x.toFixed(3)}, y = ${e.y.toFixed(3)}` }),
    ],
  });
}

/** One curve an example; null interrupts a curve. */
export function family(data: Theorem, curves: (number | null)[][], label: string, at: number, width: number, bounds?: [number, number]): Element {
  const colour8 = colours(data.examples);
  return Plot.plot({
    width, height: 250, marginLeft: 48, marginBottom: 38, style: textStyle, clip: bounds !== undefined,
    x: { label: "x →", labelAnchor: "right", ticks: 5 }, y: { label, grid: true, ticks: 6, domain: bounds },
    marks: [
      Plot.ruleY([0], { stroke: "#8a95a1" }),
      Plot.ruleX([at], { stroke: "#8a95a1", strokeDasharray: "3,3" }),
      curves.map((c, i) => Plot.lineY(data.x.map((x, q) => [x, c[q] ?? NaN]), { stroke: colour8[i], strokeWidth: 1.8, title: () => `example ${data.examples[i].number}` })),
      Plot.dot(data.examples.map((e, i) => ({ x: e.x, i })), { x: "x", y: bounds ? bounds[0] : 0, r: 3.2, fill: (p: { i: number }) => colour8[p.i], stroke: "#fff", title: (p: { i: number }) => signed(data.examples[p.i].y) }),
    ],
  });
}
