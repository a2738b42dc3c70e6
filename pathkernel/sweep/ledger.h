#pragma once

#include <pathkernel/core/tensors.h>

#include <string>
#include <vector>

namespace pathkernel {

/// What a ledger proves and how far (theory 3b, "what the residual certifies").
struct Certificate {
  Tensor residual_to_contributions;  ///< [Q] |residual| / Σ_i|c_i|: proves replay, optimizer form and arithmetic
  Tensor residual_to_change;         ///< [Q] |residual| / |f_T − f_0|
  Tensor rounding_to_change;         ///< [Q] |rounding| / |f_T − f_0|
  Tensor split_uncertainty;          ///< [Q] E: ‖c^(m) − c^(2m)‖ / ‖c^(2m)‖ on sampled steps: estimates how far the split is off (docs/accuracy.md); undefined: not measured
  int64_t sampled_steps = 0;         ///< how many steps E was measured on
  Tensor quadrature_defect;          ///< [Q] Σ_s |r_s| of gauss and left before any closure (theory 3, A times the change); undefined: secant
  Tensor stride_deviation;           ///< [m] ‖c^K − c^1‖ / ‖c^1‖ of the first queries with stride K against 1; undefined: stride 1
  double correction_share = 0;       ///< Σ|rank-one correction| / Σ|VJP part| over operations without a rule; 0: none was met
  double optimizer_mismatch = 0;     ///< largest ‖Δ^FLF − Δ‖∞ over steps, next to `optimizer_bound`, its allowance
  double optimizer_bound = 0;
  bool replay_exact = true;          ///< every replayed step had the recorded hash
  int64_t first_drift = -1;          ///< first step that had not

  /// One plain line, e.g. "adds up to 3e-07 of Σ|c|; shares uncertain by ±0.6 %; conventions: …".
  std::string brief(const std::string& conventions) const;
};

/// Settings a ledger was made with; written into ledger.json as they are.
struct LedgerSettings {
  std::string recording;             ///< folder
  std::string method;                ///< empty: the path's account; "tracin over …": scores that are no account (tracin.h)
  std::string rule = "secant";       ///< secant | gauss:Q | left
  int64_t panels = 1;
  int64_t stride = 1;                ///< steps that share one segment gradient (theory 2.7)
  std::string network = "weights";   ///< weights | average: which network was asked
  std::string regulariser;           ///< "l1:0.0001"; empty: none
  bool coupled = false;              ///< batches coupled their examples: each loss was differentiated with its batch as context (theory 2.5)
  std::string convention = "propagate";  ///< propagate (theory 2.4 B) | ledger (A)
  std::string precision = "float";   ///< float | double
  std::string measure = "log-odds";
  std::string queries;               ///< as asked for, "test:0-15"
  int64_t first_step = 0, last_step = 0;  ///< the window of the path: steps first_step … last_step−1

  bool is_account() const { return method.empty(); }
  /// "propagated decay, frozen preconditioner, credit at draw time", and what coupled batches add
  std::string conventions() const;
  /// What a ledger made so proves, in one line: its certificate, or, of scores, that they are none.
  std::string summary_of(const Certificate& certificate) const;
};

/// What one query is: a measurement of one input, or of a set of inputs (QuerySet), which has no row, target or prediction of its own.
struct QueryInfo {
  std::string input;        ///< "test:3"; a set's name
  std::string measurement;  ///< "log-odds of 7 (runner-up 2)"
  int64_t row = -1;         ///< row of the dataset part the input was taken from; -1 when it comes from elsewhere
  std::string part;         ///< "test" | "train" | file name
  int64_t target = -1;      ///< true class; -1 for regression
  int64_t predicted = -1;   ///< the final network's class; -1 for regression
  int64_t set_size = 0;     ///< inputs of the set; 0: one input

  bool is_set() const { return set_size > 0; }
};

/// What the examples did to one query: all of them, or those that a ledger kept.
struct Shares {
  Tensor examples;      ///< [k] int64: their numbers
  Tensor values;        ///< [k] float64: their contributions
  int64_t of = 0;       ///< N examples in all
  double rest = 0;      ///< Σ c_i of the others
  double rest_size = 0; ///< Σ|c_i| of the others

  int64_t others() const { return of - examples.size(0); }
  /// "the largest 100 of 60000 contributions; the other 59900 sum to +0.031 (sizes 0.42)"; "" where all are there.
  std::string limits() const;
};

/// Every prediction as a sum over training examples:
///     final = initial + Σ_i contributions[i] + decay + regulariser + in_flight + buffers + jumps + rounding + residual
/// Contributions say what an example did on this path; they do not say what its removal would do.
/// A ledger too large to be kept whole (SweepOptions::most_numbers) keeps each query's K largest contributions, `kept…` and `dropped…`
/// in place of `contributions`, `draws` and the step-wise views; readers ask shares(), total() and total_size(), which know of both.
/// Sizes: N training examples, Q queries, T steps, D draws (Σ_s |B_s|), L layers, C classes. All tensors on the CPU.
struct Ledger {
  Tensor contributions;                 ///< [N, Q] float64; undefined where only the largest are kept
  Tensor kept;                          ///< [K, Q] float64: the K contributions of largest size, largest first; undefined: all are there
  Tensor kept_examples;                 ///< [K, Q] int64: whose they are
  Tensor dropped, dropped_size;         ///< [Q] float64: Σ c_i and Σ|c_i| of the others
  Tensor dropped_count;                 ///< [Q] int64: how many others, N − K
  Tensor initial, final;                ///< [Q] float64: the measurement at the window's first step and at its end
  Tensor decay;                         ///< [Q] float64, as all terms: weight decay
  Tensor regulariser;                   ///< a term of the loss that belongs to no example
  Tensor in_flight;                     ///< pushes from before the window that arrived in it (optimizer memory, averaged weights)
  Tensor buffers;                       ///< running statistics, which no gradient moves
  Tensor jumps;                         ///< where the network is discontinuous in its weights
  Tensor rounding;                      ///< the run's arithmetic, and drift of the replay
  Tensor residual;                      ///< what is missing
  Tensor draws;                         ///< [D, Q] float32: one row per example drawn at a step; everything above it is its sum. These
                                        ///< and the step-wise views are undefined where only the largest contributions are kept
  Tensor draw_step, draw_example;       ///< [D] int64; draw_step counts from the run's start, row draw_step − first_step of by_step
  Tensor by_step;                       ///< [T, Q] float64
  Tensor by_layer;                      ///< [L, Q] float64
  Tensor by_class;                      ///< [C, Q] float64 (one row "all" for regression)
  Tensor by_layer_step;                 ///< [T, L, Q] float32
  Tensor by_class_step;                 ///< [T, C, Q] float32
  Tensor outputs;                       ///< [T+1, Q] float64: the measurement before every step, and at the end
  Tensor path_kernel;                   ///< [N, Q] float64: Domingos' K(x, x_i) for scalar outputs; undefined otherwise
  Tensor statistics;                    ///< [N, Q] float64: each example's share of `buffers`, where it was asked for; else undefined. It is no part of
                                        ///< contributions: no gradient made it
  Tensor first_statistics;              ///< [Q] float64: what `buffers` holds of the running statistics at the window's first step, likewise
  Tensor query_inputs;                  ///< [Q, F] float64: the queries' inputs where they are F ≤ 16 numbers; undefined otherwise
  Tensor example_inputs;                ///< [N, F] float64: the training examples' inputs, likewise
  Tensor example_targets;               ///< [N] float64: class number or value y_i; undefined where a target is several numbers

  std::vector<QueryInfo> queries;       ///< Q of them
  std::vector<std::string> layers;      ///< L: names of parameters, module by module ("conv1", "fc1")
  std::vector<std::string> classes;     ///< C
  LedgerSettings settings;
  Certificate certificate;

  /// The terms beside the examples, in the order in which they are told; without the residual.
  struct Term { const char* name; const char* label; const char* meaning; Tensor Ledger::*of; };
  static const std::vector<Term>& terms();
  bool keeps_largest() const { return kept.defined(); }
  Shares shares(int64_t query) const;
  /// Σ_i c_i and Σ_i|c_i| over all examples, kept or not. [Q]
  Tensor total() const;
  Tensor total_size() const;
  /// Σ_i c_i + the terms, without the residual. [Q]
  Tensor change() const;

  /// buffers − Σ_i statistics[i] − first_statistics [Q]: rounding of the statistics, and buffers that were set otherwise. Only with statistics.
  Tensor other_buffers() const { return buffers - statistics.sum(0) - first_statistics; }

  /// What rounding alone may leave as residual: 8 ε Σ_s(|f_s| + |f_{s+1}|), or 1e-6 (float64: 1e-12) of Σ_i|c_i| where that is more. [Q]
  Tensor residual_of_rounding() const;

  int64_t query_count() const { return initial.size(0); }
  int64_t example_count() const;
};

}  // namespace pathkernel
