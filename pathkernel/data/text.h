#pragma once

#include <pathkernel/core/tensors.h>

#include <cstdint>
#include <string>
#include <vector>

namespace pathkernel {

/// Texts as rows of numbers, by hashing (Weinberger et al. 2009, arXiv:0902.2206): every word and every pair of neighbouring words adds ±1
/// to one of `buckets` numbers, place and sign by its XXH3 hash; each row is then divided by its length. A word is a run of letters,
/// digits, apostrophes and bytes beyond ASCII; ASCII letters are taken as small ones. A text without words is a row of zeros.
/// @return float32 [N, buckets]   Cost: one hash for each word and pair.
/// @throws InvalidInput for fewer than one bucket
Tensor hashed_texts(const std::vector<std::string>& texts, int64_t buckets);

}  // namespace pathkernel
