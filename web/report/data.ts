// What explain/report_page.cpp writes into the page.

export interface Example { target: string; image?: string; values?: (number | string)[] }
export interface Push { example: number; contribution: number; share: number }
export interface Bar { kind: string; label: string; amount: number; from: number; to: number }
export interface Query {
  number: number; input: string; measurement: string;
  target: string; predicted: string; wrong: boolean;
  image?: string; values?: (number | string)[];
  initial: number; final: number; examples: number; terms: [string, number][]; residual: number;
  sumTowards: number; sumAway: number; countTowards: number; countAway: number; limits: string;
  towards: Push[]; away: Push[]; bars: Bar[];
  byClass: [string, number][]; byLayer: [string, number][];
  outputs: [number, number][];
  residualToContributions: number | null; residualToChange: number | null; uncertainty: number | null;
}
export interface Report {
  title: string; measure: string; classification: boolean; examplesCount: number; steps: number;
  settings: [string, string][];
  dataName: string; dataMissing: string;
  image: { channels: number; height: number; width: number } | null;
  columns: string[];
  examples: Record<string, Example>;
  queries: Query[];
  certificate: { brief: string; conventions: [string, string][]; sampledSteps: number; correctionShare: number | null; replayExact: boolean; firstDrift: number };
}
