#include <pathkernel/sweep/plan.h>

#include <fmt/format.h>
#include <pathkernel/core/bytes.h>
#include <pathkernel/core/error.h>

#include <algorithm>

namespace pathkernel {
namespace {

constexpr int64_t json_bytes = 8192, json_bytes_of_a_query = 256;  // ledger.json, and names of tensors: about

/// Per query, in either form: by_step and outputs [T], by_layer [L], by_class [C], its input, terms and certificate.
int64_t bytes_always(const LedgerSizes& z) { return 8 * (2 * z.steps + z.layers + z.classes + z.features + 20); }

int64_t numbers_whole(const LedgerSizes& z) { return z.examples * (1 + z.more_accounts) + z.draws + z.steps * (z.layers + z.classes); }
int64_t bytes_whole(const LedgerSizes& z) { return 8 * z.examples * (1 + z.more_accounts) + 4 * z.draws + 4 * z.steps * (z.layers + z.classes); }
constexpr int64_t bytes_of_a_kept = 16, numbers_of_a_kept = 2;

std::string print_time(double seconds) {
  if (seconds < 120) return seconds < 10 ? fmt::format("{:.1f} s", seconds) : fmt::format("{:.0f} s", seconds);
  return seconds < 7200 ? fmt::format("{:.0f} min", seconds / 60) : fmt::format("{:.1f} h", seconds / 3600);
}

std::string plural(int64_t count, const std::string& one, const std::string& several) {
  return fmt::format("{} {}", count, count == 1 ? one : several);
}

}  // namespace

int64_t SweepPlan::bytes_per_input() const {
  const int64_t contributions = keep > 0 ? 8 * sizes.examples : 0;
  if (of_sets()) return per_input * (adjoint_bytes + widest_bytes + contributions + 3 * gradient_bytes);  // G, G with more panels, a piece's part
  return 4 * tape_bytes + widest_bytes + per_input * (adjoint_bytes + widest_bytes + contributions);
}

int64_t SweepPlan::bytes_of_a_streamed_input() const { return 4 * tape_bytes + (1 + per_input) * widest_bytes; }

int64_t SweepPlan::chunk_bytes() const {
  return inputs_per_chunk * bytes_per_input() + inputs_per_piece * bytes_of_a_streamed_input() + held_pieces * bytes_of_a_held_piece();
}

void SweepPlan::fit_ledger(int64_t asked_to_keep, int64_t most_numbers) {
  const LedgerSizes& z = sizes;
  const int64_t Q = z.queries;
  const int64_t of_the_examples = 8 * z.examples * (z.features + 1), of_the_draws = 16 * z.draws;  // inputs and target; step and example
  const int64_t always = Q * bytes_always(z) + of_the_examples;
  const int64_t would_fit = (memory - always) / bytes_of_a_kept / Q;
  keep = 0;
  if (asked_to_keep > 0) keep = std::min(asked_to_keep, z.examples);
  else if (numbers_whole(z) > most_numbers / Q) keep = std::clamp<int64_t>(std::min(most_numbers / numbers_of_a_kept / Q, would_fit), 1, z.examples);
  if (keep > 0 && z.more_accounts > 0) {
    throw InvalidInput(fmt::format("explain: the path kernel and shares of the statistics need all contributions of every query ({} numbers), and this ledger would keep "
                                   "the largest {} only; ask fewer queries{}",
                                   Q * numbers_whole(z), keep, asked_to_keep > 0 ? ", and leave out keep" : ""));
  }
  ledger_bytes = always + (keep > 0 ? Q * keep * bytes_of_a_kept : Q * bytes_whole(z) + of_the_draws);
  disk_bytes = ledger_bytes + json_bytes + Q * json_bytes_of_a_query;
  if (ledger_bytes <= memory) return;
  std::string kept;
  if (would_fit > 0) kept = fmt::format("keep only the largest contributions (keep {} or less), ", std::min(would_fit, z.examples));
  throw InvalidInput(fmt::format("explain: the ledger of {} queries over {} draws of examples takes {}, but memory allows {}; "
                                 "ask fewer queries at a time, {}or allow more",
                                 Q, z.draws, print_bytes(ledger_bytes), print_bytes(memory), kept));
}

void SweepPlan::fit_chunks() {
  const int64_t left = memory - trace_bytes, per_input_bytes = bytes_per_input();
  const int64_t streamed = of_sets() ? bytes_of_a_streamed_input() : 0;
  if (left < per_input_bytes + streamed) {
    throw InvalidInput(fmt::format("explain: one query needs {} and the trace of a stretch of {} steps {}, but memory allows {}; "
                                   "allow more, or record with more checkpoints",
                                   print_bytes(per_input_bytes + streamed), longest_stretch, print_bytes(trace_bytes), print_bytes(memory)));
  }
  if (of_sets()) {  // a piece first, a quarter at most; then as many sets as fit beside it; then tapes that are held
    constexpr int64_t most_at_a_time = 256;  // more are no faster
    inputs_per_piece = std::clamp<int64_t>(std::min(left / 4, left - per_input_bytes) / streamed, 1, std::min(most_at_a_time, inputs_of_sets));
  }
  inputs_per_chunk = std::clamp<int64_t>((left - inputs_per_piece * streamed) / per_input_bytes, 1, inputs());
  chunks = (inputs() + inputs_per_chunk - 1) / inputs_per_chunk;
  if (!of_sets()) return;
  const int64_t pieces = (inputs_of_sets + inputs_per_piece - 1) / inputs_per_piece;
  held_pieces = std::clamp<int64_t>((left - chunk_bytes()) / std::max<int64_t>(1, bytes_of_a_held_piece()), 0, pieces);
}

std::string SweepPlan::brief() const {
  const LedgerSizes& z = sizes;
  const char *one = of_sets() ? "set" : "input", *several = of_sets() ? "sets" : "inputs";
  std::string text = fmt::format("{} ({}, {} of each), {}, {} of {}, {}\n", plural(z.queries, "query", "queries"),
                                 plural(inputs(), one, several), plural(per_input, "measurement", "measurements"),
                                 plural(z.steps, "step", "steps"), plural(z.draws, "draw", "draws"),
                                 plural(z.examples, "training example", "training examples"), plural(parameters, "parameter", "parameters"));
  const auto line = [&text](const char* name, const std::string& value) { text += fmt::format("  {:<16}{}\n", name, value); };
  line("chunks", fmt::format("{} of {}; the run is replayed once for each", chunks, plural(inputs_per_chunk, one, several)));
  if (of_sets()) {
    line("of a set", fmt::format("{}: adjoint states {} a query, its gradient {}", print_bytes(bytes_per_input()),
                                 print_bytes(adjoint_bytes), print_bytes(gradient_bytes)));
    line("inputs of sets", fmt::format("{}, {} at a time ({}, a tape {}); tapes of {} of them held", inputs_of_sets, inputs_per_piece,
                                       print_bytes(inputs_per_piece * bytes_of_a_streamed_input()), print_bytes(tape_bytes),
                                       std::min(inputs_of_sets, held_pieces * inputs_per_piece)));
  } else {
    line("of an input", fmt::format("{}: adjoint states {} a query, a tape {}", print_bytes(bytes_per_input()),
                                    print_bytes(adjoint_bytes), print_bytes(tape_bytes)));
  }
  line("trace", fmt::format("{} for the longest stretch between checkpoints, {}", print_bytes(trace_bytes),
                            plural(longest_stretch, "step", "steps")));
  line("ledger", fmt::format("{} in memory, {} on disk{}", print_bytes(ledger_bytes), print_bytes(disk_bytes),
                             free_disk >= 0 ? fmt::format(" ({} free)", print_bytes(free_disk)) : ""));
  if (keep > 0) {
    line("", fmt::format("the largest {} of {} contributions of each query, the others as a sum; no draws, no layers or classes by step",
                         keep, z.examples));
  }
  line("peak memory", fmt::format("{} at most, beside the program, its model and its data (memory {})", print_bytes(peak_bytes()),
                                  print_bytes(memory)));
  if (seconds >= 0) line("time", fmt::format("about {}: an estimate, from {} timed now", print_time(seconds), plural(timed_steps, "step", "steps")));
  return text;
}

}  // namespace pathkernel
