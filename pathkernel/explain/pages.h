#pragma once

#include <pathkernel/explain/source.h>
#include <pathkernel/sweep/ledger.h>

#include <cstdint>
#include <string>
#include <vector>

namespace pathkernel {

/// Pages are one HTML document each: data, style and program inside, nothing fetched from anywhere. The program is web/.

struct ReportOptions {
  std::string title = "Pathkernel report";
  int64_t top = 10;              ///< training examples shown on each side of a query
  std::vector<int64_t> queries;  ///< which of the ledger's queries; empty: all of them
};
/// Every query's account: its input, the examples that pushed it most, the ledger as a waterfall, the measurement while training,
/// sums by class and layer, the certificate in words. @param source  the data the run was trained on, for pictures and numbers
/// @throws InvalidInput for a query that is not in the ledger.
std::string report_page(const Ledger& ledger, const Source& source, const ReportOptions& options);

struct TheoremOptions {
  std::string title = "Gradient training as a kernel machine";
  double at = 0;          ///< x at which the table opens
  bool at_given = false;  ///< otherwise the middle of the grid
};
/// The picture of the theorem for one input and one output: every example's contribution c_i(x) stacked from f_0(x) to f_T(x), and
/// the kernel machine f_T(x) = Σ_i a_i(x) K(x, x_i) + b(x), with K the path kernel and a_i = c_i / K (theory 1).
/// @throws InvalidInput when the ledger is not of a one-dimensional regression over a grid of x, saying what is missing.
std::string theorem_page(const Ledger& ledger, const TheoremOptions& options);

}  // namespace pathkernel
