// The picture of the theorem: a trained network is its untrained self plus what every example did; a kernel machine.

import { widthOf } from "../common/charts";
import { addStyle, h, pageData, table, type Child } from "../common/dom";
import { plain, signed } from "../common/format";
import pageCss from "../common/page.css";
import { colours, family, landing, stacked, stackingOrder, type Theorem } from "./charts";
import theoremCss from "./theorem.css";

const data = pageData<Theorem>();
const N = data.examples.length;
const colour8 = colours(data.examples);
const largestK = Math.max(...data.examples.flatMap((e) => e.K.map(Math.abs)));
const order = stackingOrder(data);
const tolerance = 1e-2 * largestK;  // below it c/K is a quotient of two small numbers
const a = data.examples.map((e) => e.c.map((c, q) => (Math.abs(e.K[q]) > tolerance ? c / e.K[q] : null)));
const hasDecay = data.decay.some((d) => d !== 0);
const largestDifference = Math.max(...data.rounding.map(Math.abs));  // what is left of f_T after b and all contributions

let at = nearest(data.at);
let shown = N;

/** Number of the grid point next to x. */
function nearest(x: number): number {
  return data.x.reduce((best, v, q) => (Math.abs(v - x) < Math.abs(data.x[best] - x) ? q : best), 0);
}

const v = (name: string, index?: string) => [h("i", {}, name), index ? h("sub", {}, index) : null];

function header(): HTMLElement {
  return h("header", {},
    h("h1", {}, data.title),
    h("p", { class: "formula" }, v("y"), " = Σ", h("sub", {}, "i"), " ", v("a", "i"), "(", v("x"), ") ", v("K"), "(", v("x"), ", ", v("x", "i"), ") + ", v("b"), "(", v("x"), "),  ",
      v("b"), " = ", v("f", "0"), hasDecay ? " and what decay left" : ""),
    h("p", {}, `A network with one input and one output was trained for ${data.steps} steps on ${N} points. Every example's contribution `, v("c", "i"), "(", v("x"),
      ") was collected along the path the weights took. Added to the untrained network ", v("f", "0"), " they give the trained network ", v("f", "T"), " at every ", v("x"),
      " – not approximately, but up to rounding."));
}

/** A piece of a line, for the key; `over`: a dashed line on it. */
function stroke(colour: string, dashes: string, over?: string): Element {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("width", "30"); svg.setAttribute("height", "10"); svg.setAttribute("class", "stroke");
  const add = (stroke: string, width: number, dash: string) => {
    const line = document.createElementNS(svg.namespaceURI, "line");
    for (const [name, value] of Object.entries({ x1: 0, x2: 30, y1: 5, y2: 5, stroke, "stroke-width": width, "stroke-dasharray": dash })) line.setAttribute(name, String(value));
    svg.append(line);
  };
  add(colour, over ? 3.4 : 1.6, dashes);
  if (over) add(over, 1.6, "5,5");
  return svg;
}

function mainFigure(): HTMLElement {
  const slider = h("input", { type: "range", min: 0, max: N, step: 1, value: N, id: "count", oninput: () => { shown = Number(slider.value); draw(); } });
  return h("section", {},
    h("h2", {}, "From untrained to trained, one example after another"),
    h("figure", {},
      h("div", { class: "keys" },
        h("span", {}, stroke("#5b6673", "5,4"), "untrained network ", v("f", "0")), h("span", {}, stroke("#111", "", "#ffd94d"), "trained network ", v("f", "T"), ", and the sum on it"),
        h("span", {}, data.examples.map((_, i) => h("i", { class: "key band", style: `background:${colour8[i]}` })), " the ", String(N), " examples, left to right")),
      h("div", { class: "chart", id: "stacked" }),
      h("div", { class: "slider" }, h("label", { for: "count" }, "examples added"), slider, h("output", { id: "count-out" })),
      h("figcaption", {}, hasDecay ? "The dashed gray line includes what weight decay left of the untrained network. " : "", "Each band is what one example did; it leads from the sum before it to the sum after it. ",
        "The examples pull against each other, so the bands are larger than what they add up to; they are stacked in the order that cancels earliest."),
      h("h3", { style: "margin-top:16px" }, "The same at the scale of the trained network"),
      h("div", { class: "chart", id: "landing" }),
      h("figcaption", {}, "Black: the trained network ", v("f", "T"), ". The dashed yellow line on it is ", v("f", "0"), hasDecay ? ", decay and all contributions. The" : " plus all contributions. The largest difference between the two, over ",
        `${data.x.length} values of x, is `, h("b", { id: "difference", "data-value": largestDifference }, plain(largestDifference)), ".")));
}

function machine(): HTMLElement {
  const slider = h("input", { type: "range", min: 0, max: data.x.length - 1, step: 1, value: at, id: "at", oninput: () => { at = Number(slider.value); draw(); } });
  return h("section", {},
    h("h2", {}, "The kernel machine at one ", v("x")),
    h("div", { class: "slider" }, h("label", { for: "at" }, v("x")), slider, h("output", { id: "at-out" })),
    h("div", { class: "chart", id: "table" }),
    h("p", { class: "note", style: "margin-top:10px" }, "The coefficients ", v("a", "i"), " depend on ", v("x"), ": move the slider. They are the quotient ", v("c", "i"), "/", v("K"),
      ", diverge where ", v("K"), " passes through zero, and are left out there (–). What is determined by the path itself are the contributions ", v("c", "i"), "."));
}

function drawTable(): void {
  const rows = data.examples.map((e, i) => ({
    value: e.c[at],
    cells: [h("span", {}, h("i", { class: "key", style: `background:${colour8[i]}` }), String(e.number)), plain(e.x, 2), plain(e.y, 2), signed(a[i][at], 4), signed(e.K[at], 2), signed(e.c[at], 4)],
  }));
  const line = (name: Child, amount: number, className?: string) => ({ value: amount, className, cells: [name, "", "", "", "", className ? plain(amount, 4) : signed(amount, 4)] });
  const head = [v("i"), v("x", "i"), v("y", "i"), [...v("a", "i"), "(", ...v("x"), ")"], [...v("K"), "(", ...v("x"), ", ", ...v("x", "i"), ")"], [...v("a", "i"), "·", ...v("K"), " = ", ...v("c", "i")]];
  document.getElementById("table")!.replaceChildren(table(head, [
    ...rows, line([...v("b"), " = ", ...v("f", "0"), "(", ...v("x"), ")"], data.initial[at]), ...(hasDecay ? [line("decay", data.decay[at])] : []), line("rounding", data.rounding[at]),
    line(["sum = ", ...v("f", "T"), "(", ...v("x"), ")"], data.final[at], "total")], [false, true, true, true, true, true]));
}

/** Bounds that leave out the poles of a_i: those of its middle 96 %, with room. Curves are interrupted where they leave them. */
function withoutPoles(curves: (number | null)[][]): { curves: (number | null)[][]; bounds: [number, number] } {
  const values = curves.flat().filter((x): x is number => x !== null).sort((p, q) => p - q);
  if (!values.length) return { curves, bounds: [-1, 1] };
  const low = Math.min(0, values[Math.floor(0.04 * (values.length - 1))]), high = Math.max(0, values[Math.ceil(0.96 * (values.length - 1))]);
  const room = 0.15 * (high - low || 1);
  const bounds: [number, number] = [low - room, high + room];
  return { bounds, curves: curves.map((curve) => curve.map((x) => (x !== null && x >= bounds[0] && x <= bounds[1] ? x : null))) };
}
const calm = withoutPoles(a);

function draw(): void {
  const place = (id: string, most: number, chart: (width: number) => Element) => {
    const element = document.getElementById(id)!;
    element.replaceChildren(chart(widthOf(element, most)));
  };
  const x = data.x[at];
  place("stacked", 780, (width) => stacked(data, order, shown, x, width));
  place("landing", 780, (width) => landing(data, order, shown, x, width));
  place("kernel", 480, (width) => family(data, data.examples.map((e) => e.K), "↑ K(x, xᵢ)", x, width));
  place("coefficients", 480, (width) => family(data, calm.curves, "↑ aᵢ(x)", x, width, calm.bounds));
  place("contributions", 780, (width) => family(data, data.examples.map((e) => e.c), "↑ cᵢ(x)", x, width));
  document.getElementById("count-out")!.textContent = shown === N ? `all ${N}` : `${shown} of ${N}`;
  document.getElementById("at-out")!.textContent = `x = ${x.toFixed(3).replace("-", "−")}`;
  drawTable();
}

const panel = (id: string, title: (Node | string | null)[], note: string) => h("section", {}, h("h2", {}, title), h("p", { class: "note" }, note), h("div", { class: "chart", id }));

addStyle(pageCss + theoremCss);
document.getElementById("page")!.replaceChildren(
  header(),
  h("div", { class: "main" },
    h("div", {}, mainFigure(),
      panel("contributions", ["Contributions ", ...v("c", "i"), "(", ...v("x"), ")"], "What each example did to the network's value at x: the bands above, each from zero. Dots on the axis: the examples' places.")),
    h("div", {}, machine(),
      panel("kernel", ["Path kernel ", ...v("K"), "(", ...v("x"), ", ", ...v("x", "i"), ")"], "How much a step for the example also moved the network at x, summed over training."),
      panel("coefficients", ["Coefficients ", ...v("a", "i"), "(", ...v("x"), ") = ", ...v("c", "i"), "/", ...v("K")], "Interrupted where K is almost zero, and where they run off to a pole beside it."))),
  h("section", {}, h("h2", {}, "What is proven"), h("p", {}, data.certificate + "."),
    h("p", { class: "note" }, "Contributions say what an example did on this training path, not what its removal would do. And the identity alone proves little: with any other kernel k ≠ 0 in place of K, coefficients cᵢ/k would give the same sum. It is the path that determines the contributions.")));
draw();
addEventListener("resize", draw);
