// What the pages' charts share. The charts themselves are Observable Plot's.

export const colour = { towards: "#1b6ca8", away: "#c2570c", total: "#4a5461", soft: "#5b6673" };

export const textStyle = { fontSize: "12.5px", color: "#1d232b", background: "none", overflow: "visible" };

/** The inner width of an element that is on the page, within bounds. */
export function widthOf(element: HTMLElement, most: number): number {
  return Math.max(280, Math.min(most, element.clientWidth));
}
