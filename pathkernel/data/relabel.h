#pragma once

#include <pathkernel/data/dataset.h>

#include <string>
#include <vector>

namespace pathkernel {

/// The same examples with other labels; the later of two changes of one example counts.
/// @throws InvalidInput naming a change whose example is not there, whose label is none of the classes (or no finite number), or of
/// targets that are several numbers.
Dataset relabelled(const Dataset& dataset, const std::vector<Relabelling>& changes);

/// A .csv with the columns `example` (counted from 0) and `label`; other columns are not looked at.
/// @throws InvalidInput naming the line of what cannot be read, or of an example that is named twice.
std::vector<Relabelling> read_relabellings(const std::string& path);

/// Which examples are meant: "3,5,9-12", or a file with such text (commas, spaces and line breaks between, comments from # on), or a .csv
/// with a column `example`.  @param count  examples there are   @return ascending, each once
/// @throws InvalidInput naming what is no number, or none of 0 … count−1.
std::vector<int64_t> read_examples(const std::string& list_or_file, int64_t count);

/// "3,5,9-12": ascending numbers as read_examples() takes them.
std::string brief_list(const std::vector<int64_t>& examples);

}  // namespace pathkernel
