#pragma once

#include <pathkernel/data/dataset.h>

#include <cstdint>
#include <string>

namespace pathkernel {

/// An example in one line of words, where it is a text or a row of a table: the text's beginning in quotes, or "radius 17.99, texture 10.38, …"
/// with the numbers as they stand in the table. Empty for images and other tensors. @param most  letters (more are cut off, with "…")
std::string example_in_words(const Dataset& dataset, int64_t row, size_t most);

/// At most so many letters of UTF-8, on one line; "…" stands for what is cut off.
std::string shortened(const std::string& text, size_t most);

}  // namespace pathkernel
