#pragma once

#include <stdexcept>
#include <string>

namespace pathkernel {

/// Bad input: the caller (or the user behind it) can mend it. The message names what was looked at, what was found,
/// what was expected and what to do.
class InvalidInput : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// A recording, checkpoint or ledger on disk that is damaged, of another version, or not what it says it is.
class CorruptData : public InvalidInput {
 public:
  using InvalidInput::InvalidInput;
};

/// Replay did not reproduce the recorded weights: names the first step that differs.
class ReplayMismatch : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// An invariant of the engine was violated (design.md section 4): a bug, or an optimizer that is not what it says.
class InvariantViolated : public std::logic_error {
 public:
  using std::logic_error::logic_error;
};

/// Training left the finite numbers.
class Diverged : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

}  // namespace pathkernel
