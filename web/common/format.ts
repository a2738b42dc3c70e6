// Numbers as people read them.

const superscript: Record<string, string> = { "-": "⁻", "0": "⁰", "1": "¹", "2": "²", "3": "³", "4": "⁴", "5": "⁵", "6": "⁶", "7": "⁷", "8": "⁸", "9": "⁹" };

/** 10⁻⁷ for −7 */
export function power10(exponent: number): string {
  return `10${[...String(exponent)].map((c) => superscript[c] ?? c).join("")}`;
}

function power(x: number, digits: number): string {
  const [mantissa, exponent] = x.toExponential(digits).split("e");
  return `${mantissa}×${power10(Number(exponent))}`;
}

/** 3.142, 0.0012, 4×10⁻⁷; a true minus sign. */
export function plain(x: number | null, decimals = 3): string {
  if (x === null || !Number.isFinite(x)) return "–";
  const size = Math.abs(x);
  const text = size === 0 ? "0" : size >= 1e6 || size < 0.6 * 10 ** -decimals ? power(size, 1) : size.toFixed(decimals);
  return (x < 0 ? "−" : "") + text;
}

/** plain() with its sign always. */
export function signed(x: number | null, decimals = 3): string {
  const text = plain(x, decimals);
  return x !== null && x > 0 ? "+" + text : text;
}

/** For a chart's labels: as many decimals as four digits leave. */
export function short(x: number, always = true): string {
  const decimals = Math.abs(x) >= 100 ? 0 : Math.abs(x) >= 10 ? 1 : Math.abs(x) >= 1 ? 2 : 3;
  return always ? signed(x, decimals) : plain(x, decimals);
}

export function percent(share: number | null): string {
  if (share === null || !Number.isFinite(share)) return "–";
  const p = 100 * share;
  if (p === 0) return "0 %";
  return (p < 0.01 ? power(p, 0) : p < 1 ? p.toFixed(2) : p.toFixed(1)) + " %";
}

export function count(n: number): string {
  return n.toLocaleString("en-US");
}
