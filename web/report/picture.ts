// An example as a person sees it: an image, a text, or the row's numbers.

import { h } from "../common/dom";
import { plain } from "../common/format";
import type { Report } from "./data";

type Looks = { image?: string; text?: string; values?: (number | string)[] };

/** Gray or colour bytes, row by row, onto a canvas that CSS enlarges without smoothing. */
function canvas(base64: string, shape: NonNullable<Report["image"]>, label: string): HTMLCanvasElement {
  const bytes = Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));
  const element = h("canvas", { width: shape.width, height: shape.height, role: "img", "aria-label": label });
  const context = element.getContext("2d")!;
  const pixels = context.createImageData(shape.width, shape.height);
  const size = shape.width * shape.height;
  for (let p = 0; p < size; ++p) {
    for (let c = 0; c < 3; ++c) pixels.data[4 * p + c] = bytes[(shape.channels === 3 ? c * size : 0) + p];
    pixels.data[4 * p + 3] = 255;
  }
  context.putImageData(pixels, 0, 0);
  return element;
}

export function picture(report: Pick<Report, "image" | "columns">, looks: Looks, label: string): HTMLElement | null {
  if (looks.image && report.image) return canvas(looks.image, report.image, label);
  if (looks.text !== undefined) return h("blockquote", { class: "text" }, looks.text === "" ? "(empty)" : looks.text);
  if (!looks.values?.length) return null;
  const name = (i: number) => report.columns[i] ?? `x${i + 1}`;
  return h("dl", { class: "row" }, looks.values.map((v, i) => h("div", {}, h("dt", {}, name(i)), h("dd", {}, typeof v === "number" ? plain(v) : v))));
}
