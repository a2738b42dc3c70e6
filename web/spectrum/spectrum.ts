// Spectra of kernels on the sphere: eigenvalues, how they fall off, and what theory says.

import { widthOf } from "../common/charts";
import { addStyle, h, pageData, table, type Child } from "../common/dom";
import { plain } from "../common/format";
import pageCss from "../common/page.css";
import { colourOf, eigenvalues, ratios, slopes } from "./charts";
import { type Kernel, type Parity, type Spectra } from "./data";
import spectrumCss from "./spectrum.css";

const data = pageData<Spectra>();
const several = data.kernels.length > 1;
const reference = data.kernels[data.reference];
const first = data.kernels[0];
const predicted = data.kernels.some((kernel) => kernel.nu !== null);

const v = (name: string, index?: string) => [h("i", {}, name), index ? h("sub", {}, index) : null];
/** Seven digits at most: 0.5, −1.350474 */
const compact = (x: number) => String(Number(x.toPrecision(7))).replace("-", "−");
const key = (index: number) => h("i", { class: "key", style: `background:${colourOf(index)}` });

function header(): HTMLElement {
  return h("header", {},
    h("h1", {}, data.title),
    h("p", {}, "A kernel κ(⟨", v("x"), ", ", v("x"), "′⟩) on the unit sphere of ", String(first.dim), " dimensions has the spherical harmonics as eigenfunctions: all of degree ", v("k"),
      " share one eigenvalue ", v("μ", "k"), ". How fast it falls off says which functions the kernel learns from few examples, and which functions are in its space at all."));
}

const keys = () => h("div", { class: "keys" }, data.kernels.map((kernel, i) => h("span", {}, key(i), kernel.name)),
  h("span", {}, "● even ", v("k"), "  ○ odd ", v("k")), predicted ? h("span", {}, "– – theory") : "");

function figure(id: string, title: Child, caption: Child): HTMLElement {
  return h("section", {}, h("h2", {}, title), h("figure", {}, keys(), h("div", { class: "chart", id }), h("figcaption", {}, caption)));
}

/** What was measured, with what is predicted under it. */
const cell = (parity: Parity) => h("span", { "data-value": parity.fitted?.exponent }, parity.fitted_text.replace("-", "−"));

function decays(): HTMLElement {
  const number = (x: number | null) => (x === null ? "–" : compact(x));
  const theory = (kernel: Kernel) => {
    const [even, odd] = [kernel.even.predicted_text, kernel.odd.predicted_text].map((t) => t.replace("-", "−"));
    return even === odd ? even : `${even} even, ${odd} odd`;
  };
  const head: Child[] = ["kernel", ["even ", v("k")], ["odd ", v("k")], "theory", v("ν"), [v("c"), h("sub", {}, "1")], [v("c"), h("sub", {}, "−1")]];
  const rows = data.kernels.map((kernel, i) => ({
    cells: [h("span", {}, key(i), kernel.name), cell(kernel.even), cell(kernel.odd), theory(kernel), number(kernel.nu), number(kernel.c_plus), number(kernel.c_minus)],
  }));
  return h("section", {}, h("h2", {}, "Exponents"), h("div", { class: "table", id: "exponents" }, table(head, rows, [false, true, true, true, true, true, true])),
    h("p", { class: "note", style: "margin-top:10px" }, v("μ", "k"), " ~ ", v("k"), h("sup", {}, "exponent"), ", measured separately on even and on odd ", v("k"),
      "; the error is what the form of the fit leaves open. Theory (Bietti and Bach 2021, Theorem 1): near ", v("u"), " = 1 and −1 the kernel is a polynomial plus ", v("c"), h("sub", {}, "±1"), " ",
      v("t"), h("sup", {}, "ν"), ", and the exponent is −", v("d"), " − 2ν + 1 = −", String(first.dim), " − 2ν + 1; where ", v("c"), h("sub", {}, "1"), " + (−1)", h("sup", {}, "k"), v("c"), h("sub", {}, "−1"),
      " = 0 for every ν, eigenvalues vanish."));
}

const provenance = () => h("section", {}, h("h2", {}, "How these numbers were computed"), h("ul", {}, data.kernels.map((kernel) => h("li", {}, kernel.brief + ". Σ ", v("μ", "k"), " ", v("N"), "(", v("d"), ", ", v("k"), ") up to ", v("k"),
  ` = ${kernel.k_max} is ${compact(kernel.trace.partial)} of κ(1) = ${compact(kernel.kappa_at_one)}`,
  kernel.trace.tail_known ? `; with the tail by the expansion at u = ±1 it is off by ${plain(Math.abs(kernel.trace.gap))} of it.` : "."))));

function draw(): void {
  const place = (id: string, chart: (width: number) => Element) => {
    const element = document.getElementById(id);
    element?.replaceChildren(chart(widthOf(element, 1200)));
  };
  place("eigenvalues", (width) => eigenvalues(data, width));
  place("slopes", (width) => slopes(data, width));
  place("ratios", (width) => ratios(data, width));
}

const slopeFigure = () => figure("slopes", ["The slope at every ", v("k")], ["Between neighbouring ", v("k"), " of one parity, in log ", v("μ", "k"), v("N"), "(", v("d"), ", ", v("k"), ") over log √(", v("k"), "(", v("k"), "+", v("d"),
  "−2)), less ", v("d"), " − 2." + (predicted ? " Dashed: theory's exponent." : "")]);
const leadingTerm = () => ["(", v("c"), h("sub", {}, "1"), " + (−1)", h("sup", {}, "k"), v("c"), h("sub", {}, "−1"), ") ", v("μ", "k"), "[(1−", v("u"), ")", h("sup", {}, "ν"), "]"];
const ratioFigure = () => several
  ? figure("ratios", [v("μ", "k"), " over that of the ", reference.name], ["A curve that levels off: the two kernels' spaces hold the same functions, with norms that differ by at most a constant. A curve that keeps rising or falling: they do not. Zero eigenvalues are left out."])
  : figure("ratios", [v("μ", "k"), " over theory's leading term"], ["It tends to 1: theory gives the constant too."]);

addStyle(pageCss + spectrumCss);
document.getElementById("page")!.replaceChildren(
  header(),
  h("div", { class: "pair" },
    figure("eigenvalues", ["Eigenvalues ", v("μ", "k")], predicted ? ["Dashed: theory's leading term ", ...leadingTerm(), ", with its constant; nothing is fitted."] : ["They fall off faster than any power of ", v("k"), ", or nothing is known of the kernel near ", v("u"), " = ±1."]),
    several || predicted ? ratioFigure() : slopeFigure()),
  several || predicted ? slopeFigure() : "",
  decays(), provenance());
draw();
addEventListener("resize", draw);
