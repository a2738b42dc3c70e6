// What the program wrote into the page (spectrum_report.cpp).

export interface Parity {
  fitted: { exponent: number; error: number; k_from: number; k_to: number } | null;
  predicted: { exponent: number; nu: number; c: number } | null;
  zero: boolean; fitted_text: string; predicted_text: string;
}
/** k, log₁₀ μ_k (null: zero), log₁₀ N(d, k), log₁₀ of theory's leading term (null: none) */
export type PointData = [number, number | null, number, number | null];
export interface Kernel {
  name: string; dim: number; k_max: number; digits: number; brief: string; kappa_at_one: number;
  trace: { partial: number; tail_known: boolean; tail: number; gap: number };
  even: Parity; odd: Parity; nu: number | null; c_plus: number | null; c_minus: number | null;
  points: PointData[];
}
export interface Spectra { title: string; reference: number; kernels: Kernel[] }

/** One kernel's eigenvalues of one parity. */
export interface Branch { kernel: Kernel; index: number; odd: boolean; points: PointData[] }

export function branches(data: Spectra): Branch[] {
  return data.kernels.flatMap((kernel, index) => [false, true].map((odd) => ({
    kernel, index, odd, points: kernel.points.filter((p) => p[0] > 0 && (p[0] % 2 === 1) === odd && p[1] !== null),
  }))).filter((b) => b.points.length > 0);
}
