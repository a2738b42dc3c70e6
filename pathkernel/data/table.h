#pragma once

#include <pathkernel/data/dataset.h>

#include <string>

namespace pathkernel {

/// A .csv with a header line as a dataset: `label_column` is what to predict, every other column is a number (float64 inputs
/// [N, columns]). The label column becomes
///   classes    when it holds text, or at most 100 different integers (spelled without point or exponent); sorted
///   regression otherwise: float64 targets [N]
/// with targets "auto". With "numbers" it is a regression whatever it holds, with "classes" integers are classes however many differ.
/// @throws InvalidInput naming column and line of a value that is missing, not a number or not finite, or a decimal that should be a
/// class; listing the columns when there is none of that name.
Dataset read_table(const std::string& path, const std::string& label_column, const std::string& targets = "auto");

/// The same columns and classes as `like` has, from another file: its test part.
/// @throws InvalidInput also when the columns differ, or a class is not among those of `like`.
Dataset read_table_like(const std::string& path, const std::string& label_column, const Dataset& like);

}  // namespace pathkernel
