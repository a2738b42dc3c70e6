#pragma once

#include <pathkernel/tangent/tape.h>

#include <string>

namespace pathkernel {

/// An operation whose result is piecewise constant in what it is given: rounding, sign, and everything that gives whole numbers or
/// truth values (argmax, comparisons, the indices of topk). Its result is a decision (Value::decision).
bool is_decision(const std::string& name, at::ScalarType result);

/// An operation that is discontinuous without being a decision (remainder, fmod, frac): its jumps cannot be told from its slope.
bool hides_a_jump(const std::string& name);

/// For which examples two passes of one model took different decisions that some operation on the tape uses: bool [n]. Undefined
/// when for none. Where the operations themselves differ, or a decision is shared by all, for every one. A choice (aten::where) between
/// branches that crossed where it went over counts as no difference: it is a maximum or minimum, and its rule is exact.
Tensor decided_differently(const Tape& a, const Tape& b);

}  // namespace pathkernel
