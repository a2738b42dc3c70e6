#pragma once

#include <pathkernel/data/dataset.h>

#include <string>

namespace pathkernel {

/// The column of a table that holds the text to predict from, and how many numbers are made of it (data/text.h).
struct TextColumn {
  std::string name = {};  ///< empty: the other columns are numbers
  int64_t buckets = 1024;
};

/// A .csv with a header line as a dataset: `label_column` is what to predict, every other column is a number (float64 inputs
/// [N, columns]). The label column becomes
///   classes    when it holds text, or at most 100 different integers (spelled without point or exponent); sorted
///   regression otherwise: float64 targets [N]
/// With a text column the inputs are its hashed words, the texts themselves stay at hand (Dataset::texts), and further columns are not read.
/// All this with targets "auto". With "numbers" it is a regression whatever it holds, with "classes" integers are classes however many differ.
/// @throws InvalidInput naming column and line of a value that is missing, not a number or not finite, or a decimal that should be a
/// class; listing the columns when there is none of that name.
Dataset read_table(const std::string& path, const std::string& label_column, const std::string& targets = "auto", const TextColumn& text = {});

/// The same columns and classes as `like` has, from another file: its test part.
/// @throws InvalidInput also when the columns differ, or a class is not among those of `like`.
Dataset read_table_like(const std::string& path, const std::string& label_column, const Dataset& like, const TextColumn& text = {});

}  // namespace pathkernel
