// The report of a ledger: a list of queries, and the account of the one that is picked.

import { widthOf } from "../common/charts";
import { addStyle, h, pageData, table } from "../common/dom";
import { count, percent, signed, plain } from "../common/format";
import pageCss from "../common/page.css";
import { sums, waterfall, whileTraining } from "./charts";
import type { Push, Query, Report } from "./data";
import { picture } from "./picture";
import reportCss from "./report.css";
import { certificateInWords, measurementInWords, notInfluence } from "./words";

const report = pageData<Report>();
const noun = report.image ? "training images" : "training examples";

function mark(query: Query): HTMLElement | null {
  if (query.target === "" || query.predicted === "") return null;
  return query.wrong ? h("span", { class: "mark wrong" }, "✗ wrong") : h("span", { class: "mark" }, "right");
}

// ---- the list of queries ----

function entry(query: Query): HTMLLIElement {
  const title = query.predicted === "" ? query.input : query.wrong ? `${query.target} taken for ${query.predicted}` : query.predicted;
  return h("li", { "data-query": query.number },
    h("button", { type: "button", onclick: () => { location.hash = `query=${query.number}`; } },
      query.image ? picture(report, query, query.input) : h("span", {}),
      h("span", {}, title, " ", query.wrong ? mark(query) : null, h("br"), h("span", { class: "name" }, `${query.number} · ${query.input}`, h("br"), query.measurement))));
}

function navigation(): HTMLElement {
  const entries = report.queries.map(entry);
  const none = h("div", { class: "none", hidden: true }, "No query matches.");
  const search = h("input", { type: "search", placeholder: "class, input or measurement", "aria-label": "Search the queries" });
  const wrongOnly = h("input", { type: "checkbox", id: "wrong-only" });
  const filter = () => {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    let left = 0;
    report.queries.forEach((q, i) => {
      const text = `${q.number} ${q.input} ${q.measurement} ${q.target} ${q.predicted} ${q.wrong ? "wrong" : "right"}`.toLowerCase();
      const shown = words.every((w) => text.includes(w)) && (!wrongOnly.checked || q.wrong);
      entries[i].hidden = !shown;
      if (shown) ++left;
    });
    none.hidden = left > 0;
  };
  search.addEventListener("input", filter);
  wrongOnly.addEventListener("change", filter);
  const wrong = report.queries.filter((q) => q.wrong).length;
  return h("nav", { "aria-label": "Queries" },
    h("h1", {}, report.title),
    h("div", { class: "filter" }, search, report.classification ? h("label", { for: "wrong-only" }, wrongOnly, ` only wrong ones (${wrong} of ${report.queries.length})`) : null),
    h("ul", {}, entries, none));
}

// ---- one account ----

function heading(query: Query): HTMLElement {
  const says = query.predicted !== "" ? `The network says ${query.predicted}` : `The network gives ${plain(query.final)}`;
  const truth = query.target !== "" && query.wrong ? `; it is ${query.target}` : "";
  return h("section", {},
    h("header", { class: "query" },
      query.image ? picture(report, query, `${query.input}, the input of this query`) : null,
      h("div", {},
        h("h1", {}, says, truth, " ", mark(query)),
        h("p", { class: "headline" }, `Measured: ${query.measurement}. Training moved it from `, h("b", {}, plain(query.initial)), " to ", h("b", {}, plain(query.final)),
          query.limits
            ? `: examples pushed it up by ${signed(query.sumTowards)} in all, and down by ${signed(query.sumAway)}. This ledger keeps ${query.limits}.`
            : `: ${count(query.countTowards)} ${noun} pushed it up by ${signed(query.sumTowards)} in all, ${count(query.countAway)} pushed it down by ${signed(query.sumAway)}.`),
        h("p", { class: "note" }, measurementInWords(report, query)),
        !query.image && query.values?.length ? picture(report, query, query.input) : null)));
}

/** What the terms beside the examples are; those that are zero everywhere are not listed. */
function termsInWords(query: Query): string {
  const words: Record<string, string> = {
    "weight decay": "Weight decay: the pull of the weights towards zero, with what it left of the first weights. ",
    regulariser: "Regulariser: a term of the loss that belongs to no example. ",
    "in flight": "In flight: pushes from before this window of steps that arrived in it. ",
    buffers: "Buffers: running statistics that are not trained. ",
    jumps: "Jumps: places where the network is discontinuous. ",
    rounding: "Rounding: the arithmetic of the training run. ",
  };
  return query.terms.map(([name]) => words[name] ?? "").join("") + "Residual: what this account misses.";
}

function ledger(query: Query): HTMLElement {
  const rows = [
    ["initial network", query.initial], [`all ${count(report.examplesCount)} examples`, query.examples],
    ...query.terms, ["residual", query.residual],
  ] as [string, number][];
  const chart = h("div", { class: "chart", id: "waterfall" });
  return h("section", {},
    h("h2", {}, "The ledger: from the untrained to the trained network"),
    h("div", { class: "legend" },
      h("span", {}, h("i", { class: "key", style: "background:var(--towards)" }), "pushed the measurement up (+)"),
      h("span", {}, h("i", { class: "key", style: "background:var(--away)" }), "pushed it down (−)"),
      h("span", {}, h("i", { class: "key", style: "background:var(--total)" }), "value of the network")),
    h("div", { class: "ledger" }, chart,
      h("div", {},
        table(["", "amount"], [
          ...rows.map(([name, x]) => ({ cells: [name, name === "initial network" ? plain(x) : signed(x)], value: x })),
          { cells: ["final network", plain(query.final)], value: query.final, className: "total" }], [false, true]))),
    h("p", { class: "note" }, "Every amount is in the units of the measurement. Examples pull against each other at every step, so the bars can be much larger than the change they add up to. ", termsInWords(query)));
}

function card(push: Push): HTMLElement {
  const example = report.examples[push.example];
  return h("div", { class: `card ${push.contribution > 0 ? "towards" : "away"}`, "data-value": push.contribution },
    picture(report, example, `training example ${push.example}`),
    h("b", {}, signed(push.contribution)), h("br"),
    example.target !== "" ? h("span", {}, report.classification ? `class ${example.target}` : `y = ${example.target}`, h("br")) : null,
    h("span", { class: "soft" }, `no. ${push.example}`, h("br"), percent(push.share)));
}

function side(query: Query, pushes: Push[], up: boolean): HTMLElement {
  const rest = (up ? query.sumTowards : query.sumAway) - pushes.reduce((sum, p) => sum + p.contribution, 0);
  const others = (up ? query.countTowards : query.countAway) - pushes.length;
  const rows = !report.image && pushes.some((p) => report.examples[p.example].values);
  return h("section", { id: up ? "towards" : "away" },
    h("h3", { class: up ? "towards" : "away" }, up ? "Pushed up most" : "Pushed down most"),
    pushes.length ? h("div", { class: rows ? "cards rows" : "cards" }, pushes.map(card)) : h("p", { class: "note" }, "None."),
    others > 0 || query.limits ? h("p", { class: "note", "data-value": rest, style: "margin:10px 0 0" }, `${query.limits ? "All others" : `The other ${count(others)}`} on this side add ${signed(rest)}.`) : null);
}

function examples(query: Query): HTMLElement[] {
  return [
    h("h2", { style: "margin-top:22px" }, report.image ? "The training images that did most" : "The training examples that did most"),
    h("p", { class: "note" }, `Signed contribution to this measurement, class, number in the training data, and share of the summed sizes of all contributions. ${notInfluence}`,
      report.dataMissing ? ` Shown without the data: ${report.dataMissing}` : ""),
    h("div", { class: "sides" }, side(query, query.towards, true), side(query, query.away, false))];
}

function certificate(query: Query): HTMLElement {
  const c = report.certificate;
  return h("section", { id: "certificate" },
    h("h2", {}, "What these numbers prove, and what they do not"),
    certificateInWords(report, query).map((words) => h("p", {}, words)),
    h("p", {}, notInfluence),
    h("p", {}, "Conventions, choices that another account could make differently:"),
    h("ul", {}, c.conventions.map(([name, meaning]) => h("li", {}, h("b", {}, name), ": ", meaning))),
    h("p", { class: "note" }, `Over all queries of this ledger: ${c.brief}.`));
}

function settings(): HTMLElement {
  return h("section", {}, h("details", {}, h("summary", {}, "Settings of the run and of this account"),
    h("table", {}, h("tbody", {}, report.settings.map(([name, value]) => h("tr", {}, h("td", {}, name), h("td", { class: "wrap" }, value)))))));
}

function drawCharts(query: Query): void {
  const draw = (id: string, most: number, chart: (width: number) => Element) => {
    const place = document.getElementById(id);
    if (place) place.replaceChildren(chart(widthOf(place, most)));
  };
  const largestFirst = (pairs: [string, number][]) => [...pairs].sort((a, b) => b[1] - a[1]);
  draw("waterfall", 760, (width) => waterfall(query.bars, width));
  draw("outputs", 640, (width) => whileTraining(query, width));
  draw("by-class", 500, (width) => sums(largestFirst(query.byClass), width));
  draw("by-layer", 500, (width) => sums(query.byLayer, width));
}

function show(query: Query): void {
  const place = (title: string, note: string, id: string) => h("section", {}, h("h2", {}, title), h("p", { class: "note" }, note), h("div", { class: "chart", id }));
  document.querySelector("main")!.replaceChildren(
    heading(query), ledger(query), ...examples(query),
    h("div", { style: "height:16px" }),
    place("While training", "The measurement before every training step, and at the end.", "outputs"),
    h("div", { class: "two" },
      report.classification ? place("By class", "Sum of the contributions of all training examples of each class.", "by-class") : null,
      place("By layer", "Sum of what the updates of each layer's weights did, from the input to the output.", "by-layer")),
    certificate(query), settings());
  for (const item of document.querySelectorAll<HTMLElement>("nav li")) item.firstElementChild!.setAttribute("aria-current", String(Number(item.dataset.query) === query.number));
  const list = document.querySelector("nav ul")!, current = list.querySelector<HTMLElement>("[aria-current=true]");
  if (current && list.scrollWidth > list.clientWidth) list.scrollLeft = current.offsetLeft - (list as HTMLElement).offsetLeft;
  drawCharts(query);
}

function picked(): Query {
  const number = Number(/query=(\d+)/.exec(location.hash)?.[1] ?? NaN);
  return report.queries.find((q) => q.number === number) ?? report.queries[0];
}

addStyle(pageCss + reportCss);
document.getElementById("page")!.replaceChildren(navigation(), h("main"));
show(picked());
addEventListener("hashchange", () => { show(picked()); scrollTo(0, 0); });
addEventListener("resize", () => drawCharts(picked()));
