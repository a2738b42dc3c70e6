// Elements from plain values. Text goes in as text nodes only, so nothing in the data can become markup.

export type Child = Node | string | number | null | undefined | Child[];

export function h<K extends keyof HTMLElementTagNameMap>(tag: K, attributes: Record<string, unknown> = {}, ...children: Child[]): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value as EventListener);
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  append(element, children);
  return element;
}

function append(parent: Node, child: Child): void {
  if (child === null || child === undefined) return;
  if (Array.isArray(child)) child.forEach((c) => append(parent, c));
  else parent.appendChild(child instanceof Node ? child : document.createTextNode(String(child)));
}

/** A table; cells that are numbers or begin with a sign stand right. `values` keeps the full numbers for whoever reads the page. */
export function table(head: Child[], rows: { cells: Child[]; value?: number; className?: string }[], numeric: boolean[]): HTMLTableElement {
  const side = (i: number) => (numeric[i] ? "number" : undefined);
  return h("table", {},
    h("thead", {}, h("tr", {}, head.map((name, i) => h("th", { class: side(i) }, name)))),
    h("tbody", {}, rows.map((row) => h("tr", { class: row.className, "data-value": row.value },
      row.cells.map((cell, i) => h("td", { class: side(i) }, cell))))));
}

/** The data the program wrote into the page. */
export function pageData<T>(): T {
  return JSON.parse(document.getElementById("data")!.textContent!) as T;
}

export function addStyle(css: string): void {
  document.head.appendChild(h("style", {}, css));
}
