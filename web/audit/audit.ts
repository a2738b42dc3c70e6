// The suspects of an audit: what each looks like, what it is said to be, and what it did to the loss of each class.

import { addStyle, h, pageData, table } from "../common/dom";
import { plain, signed } from "../common/format";
import pageCss from "../common/page.css";
import { picture } from "../report/picture";
import auditCss from "./audit.css";

interface Suspect {
  rank: number; example: number; label: string; predicted: string; score: number; flippedFrom: string;
  byClass: [string, number][]; image?: string; values?: (number | string)[];
}
interface Audit {
  title: string; dataName: string; queries: string; by: string; meaning: string; planted: number; examples: number;
  image: { channels: number; height: number; width: number } | null; columns: string[];
  methods: { name: string; meaning: string; auc: number | null; precision: number[] }[]; k: number[];
  inWords: string;
  suspects: Suspect[];
}

const audit = pageData<Audit>();

function card(s: Suspect): HTMLElement {
  const worst = s.byClass.length ? s.byClass.reduce((a, b) => (b[1] > a[1] ? b : a)) : null;
  return h("div", { class: s.flippedFrom === "" ? "card" : "card planted", "data-example": s.example },
    picture(audit, s, `training example ${s.example}`),
    h("b", {}, `labelled ${s.label}`), h("br"),
    s.predicted !== s.label ? h("span", {}, `network: ${s.predicted}`, h("br")) : null,
    s.flippedFrom !== "" ? h("span", { class: "mark wrong" }, `was ${s.flippedFrom}`) : null,
    worst ? h("div", { class: "soft" }, `class ${worst[0]}: ${signed(worst[1])}`) : null,
    h("div", { class: "soft" }, `no. ${s.example} · ${plain(s.score)}`));
}

function methods(): HTMLElement {
  const known = audit.planted > 0;
  return h("section", {},
    h("h2", {}, "Ways to rank"),
    known ? h("p", { class: "note" }, `${audit.planted} label errors were planted among ${audit.examples} examples. AUC: how often an error ranks above a right label. Precision at k: the share of planted errors among the first k; ${plain(audit.planted / audit.examples)} by chance.`) : null,
    table(["", "what it is", ...(known ? ["AUC", ...audit.k.map((k) => `at ${k}`)] : [])],
      audit.methods.map((m) => ({ cells: [m.name, m.meaning, ...(known ? [m.auc!.toFixed(4), ...m.precision.map((p) => p.toFixed(3))] : [])], className: m.name === audit.by ? "chosen" : undefined })),
      [false, false, ...(known ? [true, ...audit.k.map(() => true)] : [])]),
    audit.inWords ? h("p", {}, audit.inWords) : null);
}

addStyle(pageCss + auditCss);
document.body.appendChild(h("main", {},
  h("h1", {}, audit.title),
  h("p", { class: "headline" }, `${audit.suspects.length} of ${audit.examples} examples of ${audit.dataName}, ranked by ${audit.by}: ${audit.meaning}. Queries: ${audit.queries}.`),
  methods(),
  h("section", {},
    h("h2", {}, "Suspects"),
    h("p", { class: "note" }, "Most suspect first. Under each: its label, what the trained network says, the class whose loss it pushed up most (down, where none went up), its number and score. A high rank is a reason to look, not a proof of an error; contributions say what an example did on this path."),
    h("div", { class: audit.image ? "cards" : "cards rows" }, audit.suspects.map(card)))));
