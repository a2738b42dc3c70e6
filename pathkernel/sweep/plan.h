#pragma once

#include <cstdint>
#include <string>

namespace pathkernel {

/// What a ledger's size depends on.
struct LedgerSizes {
  int64_t queries = 0, examples = 0, draws = 0, steps = 0, layers = 0, classes = 0;  ///< Q, N, D, T, L, C
  int64_t features = 0;          ///< F, numbers of an input where the ledger holds the inputs
  int64_t more_accounts = 0;     ///< further numbers per example and query: the path kernel, shares of the running statistics
};

/// What a sweep takes, reckoned before it starts. The sweep itself chooses its chunks by it.
struct SweepPlan {
  LedgerSizes sizes;
  int64_t per_input = 1;         ///< K, measurements of one input, or set of inputs; Q = inputs·K
  int64_t memory = 0;            ///< --memory: for the work of a chunk, and once more for the ledger

  int64_t keep = 0;              ///< contributions kept of each query; 0: all
  int64_t ledger_bytes = 0;      ///< in memory until it is written
  int64_t disk_bytes = 0;        ///< of the ledger's two files

  int64_t parameters = 0;        ///< P
  int64_t adjoint_bytes = 0;     ///< per query: the states of theory 2.2
  int64_t tape_bytes = 0;        ///< per input: one tape
  int64_t widest_bytes = 0;      ///< per query: the widest parameter written out
  int64_t gradient_bytes = 0;    ///< per query: all parameters written out, as a set's gradient is
  int64_t longest_stretch = 0;   ///< steps between two checkpoints, traced at a time
  int64_t trace_bytes = 0;       ///< of that many steps
  int64_t inputs_per_chunk = 0, chunks = 0;  ///< inputs, or sets

  int64_t inputs_of_sets = 0;    ///< members of all sets together; 0: every input is a query of its own
  int64_t inputs_per_piece = 0;  ///< of them evaluated at a time
  int64_t held_pieces = 0;       ///< pieces whose tapes are kept from one step to the next

  int64_t free_disk = -1;        ///< where the ledger will be written; −1: not asked
  double seconds = -1;           ///< expected; −1: not timed
  int64_t timed_steps = 0;       ///< how many steps that expectation comes from

  bool of_sets() const { return inputs_of_sets > 0; }
  int64_t inputs() const { return sizes.queries / per_input; }  ///< inputs, or sets, that are asked about
  /// Everything that grows with a chunk: states, four tapes (two ends, and two points between them where E is measured), gradients
  /// written out, and where only the largest contributions are kept, all of the chunk's until they are chosen. A set's inputs are no
  /// part of it: they are streamed through.
  int64_t bytes_per_input() const;
  int64_t bytes_of_a_streamed_input() const;  ///< four tapes, and its gradients written out
  int64_t bytes_of_a_held_piece() const { return 2 * inputs_per_piece * tape_bytes; }
  /// Of one chunk.
  int64_t chunk_bytes() const;
  /// The most that traces, one chunk and the ledger take together; the program, the model and the data come on top.
  int64_t peak_bytes() const { return trace_bytes + chunk_bytes() + ledger_bytes; }

  /// The ledger's form and bytes for `sizes`: whole, or the largest contributions only where `asked_to_keep` is above zero or the whole
  /// is more than `most_numbers`. How many are kept then: as asked, else as many as `most_numbers` and `memory` allow, N at most.
  /// @throws InvalidInput where the ledger does not fit `memory`.
  void fit_ledger(int64_t asked_to_keep, int64_t most_numbers);
  /// Inputs, or sets, per chunk, and chunks; pieces of the sets' inputs. @throws InvalidInput where one input does not fit `memory` beside the traces.
  void fit_chunks();

  /// A table of some ten lines, with an end of line.
  std::string brief() const;
};

}  // namespace pathkernel
