#pragma once

#include <pathkernel/sweep/queries.h>

#include <string>
#include <vector>

namespace pathkernel {

/// The mean over some inputs.  @param members  int64 [k], rows of Queries::inputs; not empty
QuerySet mean_of(std::string name, Tensor members);

/// One set: the mean over all inputs.  @param specification  as the queries were asked for ("test:all"); begins the sets' names
std::vector<QuerySet> mean_set(const std::string& specification, const Queries& queries);

/// One set a class of the inputs' true labels, "class 3 of test:all"; classes without inputs have none.
/// @throws InvalidInput where the inputs have no class labels.
std::vector<QuerySet> sets_by_class(const std::string& specification, const Queries& queries, const std::vector<std::string>& class_names);

/// A text file with one set a line, `name: rows`, where rows are those of --queries (3,5,9-12 or all), or, without names, the rows of one set
/// that is called as the file is, on one line or on many:
///     sandals: 3,5,9-12          # the mean over six inputs
///     harder than: 17*1, 4*-1    # with weights: their weighted sum
/// Rows are counted as in the part or file that the queries come from, and must be among the queries. Empty lines, and what follows a #,
/// are skipped.  @throws InvalidInput naming file, line and what is not understood.
std::vector<QuerySet> sets_from_file(const std::string& path, const Queries& queries);

/// The first `sets`, each thinned evenly to at most `members` inputs: a sample that stands for them.
Queries sample_of_sets(const Queries& queries, int64_t sets, int64_t members);

}  // namespace pathkernel
