// The report's charts: a waterfall, the measurement while training, sums by class or layer.

import * as Plot from "@observablehq/plot";
import { colour, textStyle } from "../common/charts";
import { short, signed } from "../common/format";
import type { Bar, Query } from "./data";

const isTotal = (b: Bar) => b.kind === "initial" || b.kind === "final";
const fill = (b: Bar) => (isTotal(b) ? colour.total : b.amount >= 0 ? colour.towards : colour.away);

/** Each bar begins where the one above it ended; terms that are zero are left out. */
export function waterfall(bars: Bar[], width: number): Element {
  const shown = bars.filter((b) => isTotal(b) || b.amount !== 0);
  const links = shown.slice(0, -1).map((b, i) => ({ x: b.to, from: b.label, to: shown[i + 1].label }));
  const margin = Math.min(170, 22 + 7.2 * Math.max(...shown.map((b) => b.label.length)));
  const low = Math.min(0, ...shown.map((b) => Math.min(b.from, b.to))), high = Math.max(0, ...shown.map((b) => Math.max(b.from, b.to)));
  const falls = shown.some((b) => b.amount < 0), rises = shown.some((b) => b.amount >= 0);
  const room = (high - low || 1) * (78 / Math.max(80, width - margin - 78 * (Number(falls) + Number(rises))));  // for the numbers at the bars' ends
  return Plot.plot({
    width, height: 26 * shown.length + 58, marginLeft: margin, marginRight: 12, marginBottom: 40, style: textStyle,
    x: { label: "measurement →", labelAnchor: "right", grid: true, domain: [falls ? low - room : low, rises ? high + room : high], ticks: Math.max(3, Math.floor(width / 110)) },
    y: { label: null, domain: shown.map((b) => b.label), tickSize: 0, padding: 0.24 },
    marks: [
      Plot.link(links, { x: "x", y1: "from", y2: "to", stroke: "#9aa5b1", strokeDasharray: "2,2" }),
      Plot.barX(shown, { x1: "from", x2: "to", y: "label", fill, rx: 1.5, title: (b: Bar) => `${b.label}: ${signed(b.amount, 6)}` }),
      Plot.ruleX([0], { stroke: "#8a95a1" }),
      Plot.text(shown, {
        x: (b: Bar) => (b.amount >= 0 ? Math.max(b.from, b.to) : Math.min(b.from, b.to)), y: "label", text: (b: Bar) => (isTotal(b) ? short(b.to, false) : short(b.amount)),
        textAnchor: "start", dx: 5, fill, fontWeight: 600, filter: (b: Bar) => b.amount >= 0,
      }),
      Plot.text(shown, {
        x: (b: Bar) => Math.min(b.from, b.to), y: "label", text: (b: Bar) => (isTotal(b) ? short(b.to, false) : short(b.amount)),
        textAnchor: "end", dx: -5, fill, fontWeight: 600, filter: (b: Bar) => b.amount < 0,
      }),
    ],
  });
}

export function whileTraining(query: Query, width: number): Element {
  return Plot.plot({
    width, height: 230, marginLeft: 46, marginBottom: 38, style: textStyle,
    x: { label: "training step →", labelAnchor: "right", ticks: Math.max(3, Math.floor(width / 90)) },
    y: { label: "↑ measurement", grid: true, ticks: 5 },
    marks: [
      Plot.ruleY([0], { stroke: "#8a95a1" }),
      Plot.lineY(query.outputs, { x: "0", y: "1", stroke: colour.total, strokeWidth: 1.4 }),
      Plot.dot(query.outputs.slice(-1), { x: "0", y: "1", r: 3.5, fill: colour.total }),
    ],
  });
}

/** Names with their sums as signed bars, in the order given. */
export function sums(pairs: [string, number][], width: number): Element {
  const low = Math.min(0, ...pairs.map((p) => p[1])), high = Math.max(0, ...pairs.map((p) => p[1]));
  const margin = Math.min(150, 22 + 7.2 * Math.max(...pairs.map((p) => p[0].length)));
  const room = (high - low || 1) * (68 / Math.max(80, width - margin - 68));
  const fill = (p: [string, number]) => (p[1] >= 0 ? colour.towards : colour.away);
  const label = { y: "0", text: (p: [string, number]) => short(p[1]), fill, fontWeight: 600 };
  return Plot.plot({
    width, height: 25 * pairs.length + 52, marginLeft: margin, marginRight: 10, marginBottom: 38, style: textStyle,
    x: { label: "contribution →", labelAnchor: "right", grid: true, domain: [low < 0 ? low - room : 0, high > 0 ? high + room : 0], ticks: Math.max(2, Math.floor(width / 110)) },
    y: { label: null, domain: pairs.map((p) => p[0]), tickSize: 0, padding: 0.24 },
    marks: [
      Plot.barX(pairs, { x: "1", y: "0", fill, rx: 1.5 }),
      Plot.ruleX([0], { stroke: "#8a95a1" }),
      Plot.text(pairs, { ...label, x: "1", textAnchor: "start", dx: 5, filter: (p: [string, number]) => p[1] >= 0 }),
      Plot.text(pairs, { ...label, x: "1", textAnchor: "end", dx: -5, filter: (p: [string, number]) => p[1] < 0 }),
    ],
  });
}
