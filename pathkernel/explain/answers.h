#pragma once

#include <pathkernel/sweep/ledger.h>

#include <string>
#include <vector>

namespace pathkernel {

/// What one training example did to one query's measurement: positive pushed it up ("towards"), negative down ("away").
struct Push {
  int64_t example = 0;
  double contribution = 0;
  double share = 0;  ///< |contribution| / Σ_i|c_i|
};

/// The examples that did most for and against one query, most first. Examples that did nothing are in neither list.
struct Top {
  std::vector<Push> towards, away;
  double sum_towards = 0, sum_away = 0;        ///< over all examples, not only those listed, nor only those kept
  int64_t count_towards = 0, count_away = 0;   ///< of those that the ledger kept
  std::string limits;                          ///< Shares::limits(): which those are; "" where all are there
};
/// @throws InvalidInput when `query` is not one of the ledger's.  Cost: one partial sort of N numbers.
Top top(const Ledger& ledger, int64_t query, int64_t k);

/// Those of Ledger::terms() that are not zero for every query; rounding always.
std::vector<Ledger::Term> present_terms(const Ledger& ledger);

/// One bar of the way from the initial to the final network: it starts at `from` and ends at `to` = from + amount.
struct WaterfallBar {
  enum class Kind { initial, examples, term, residual, final };
  Kind kind;
  std::string label;
  double amount = 0;
  double from = 0, to = 0;
};
/// initial → examples (one bar a class, the largest push up first; for regression those pushing up, then those pushing down)
/// → present_terms() → residual → final. The last but one bar ends at `final`.
std::vector<WaterfallBar> waterfall(const Ledger& ledger, int64_t query);

/// The certificate of one query alone.
Certificate certificate_of(const Ledger& ledger, int64_t query);

/// "7": the name of class k, or its number where it has no name; "" where k < 0, a class that is not known.
std::string class_name(const std::vector<std::string>& class_names, int64_t k);
/// The class of a training example, "7"; for regression its value; "" where the ledger does not hold targets.
std::string target_of(const Ledger& ledger, int64_t example);

bool is_classification(const Ledger& ledger);
/// True where the final network's class is not the true one.
bool is_wrong(const QueryInfo& query);
/// @throws InvalidInput naming the range.
void check_query(const Ledger& ledger, int64_t query);

}  // namespace pathkernel
