// The report's sentences: what is measured, and what the numbers prove.

import { percent, plain } from "../common/format";
import type { Query, Report } from "./data";

/** What the measurement is, for someone who does not know the word. */
export function measurementInWords(report: Report, query: Query): string {
  const kind = report.measure.split(":")[0];
  const chance = 1 / (1 + Math.exp(-query.final));
  switch (kind) {
    case "log-odds":
      return `Log-odds of class k is ln(p / (1 − p)) = zₖ − ln Σ e^(zⱼ) over the other classes j, with p its probability and z the network's outputs. 0 means even chances, and every +1 multiplies the odds by 2.7.` + (query.setSize > 0 ? "" : ` The final ${plain(query.final, 2)} is a probability of ${percentOf(chance)}.`);
    case "margin": return "The margin is the score of the true class minus the best other score: above 0 the prediction is right.";
    case "logit": case "logits": return "A logit is the network's raw score of one class; the class with the largest logit is predicted.";
    case "log-prob": return "The log-probability of a class is 0 when the network is certain of it, and falls without bound as it becomes less likely.";
    case "loss": return "The loss is what training makes small: here a positive contribution made " + (query.setSize > 0 ? "the set's loss larger." : "this input's loss larger.");
    case "output": return "This is a number that the network puts out, in the units of the target.";
    default: return "";
  }
}

function percentOf(p: number): string {
  return p > 0.9999 ? "more than 99.99 %" : p < 0.0001 ? "less than 0.01 %" : `${(100 * p).toFixed(2)} %`;
}

/** What the residual and E say of one query. */
export function certificateInWords(report: Report, query: Query): string[] {
  const c = report.certificate;
  const words = [
    `The account adds up: initial value plus all terms differ from the trained network's value by ${plain(Math.abs(query.residual))}, which is ` +
      `${plain(query.residualToContributions)} of the summed sizes of all contributions and ${plain(query.residualToChange)} of the change from initial to final. ` +
      "This proves the bookkeeping: the training run was replayed, the optimizer's arithmetic was followed, nothing was left out.",
  ];
  words.push(query.uncertainty === null
    ? "How uncertain the division among the examples is was not measured for this ledger."
    : `The division among the examples is uncertain by about ±${percent(query.uncertainty)} (compared with a finer computation on ${c.sampledSteps} sampled steps).`);
  words.push(c.replayExact ? "Every training step was repeated bit for bit."
    : `The repeated run differs from the recorded one from step ${c.firstDrift} on; the difference is booked as rounding.`);
  if (c.correctionShare) words.push(`${percent(c.correctionShare)} of the reverse pass came from operations without a rule of their own, divided by a coarser method.`);
  return words;
}

export const notInfluence =
  "Contributions say what an example did on this training path. They do not say what would happen if it were removed: then the others would have acted differently.";
