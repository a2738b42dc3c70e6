#pragma once

#include <pathkernel/model/model.h>
#include <pathkernel/tangent/tape.h>

#include <memory>
#include <string>
#include <vector>

namespace pathkernel {

/// Which meaning a tape has (design.md, "Two sides, two meanings").
enum class Side {
  query,     ///< the function's change: every operation whose result depends on a parameter is kept, with its values
  training,  ///< what autograd did: only operations where a parameter enters are kept, and cotangents are caught in backward
  forward,   ///< what autograd did, to be run forwards again (pushforward.h): every operation it would differentiate is kept, with
             ///< its values, and nobody asks whose row is whose
};

/// While it lives, the operations that this thread performs are written on a tape, at the level the user wrote them: a boxed
/// fallback on the dispatcher's TESTING_ONLY_GenericMode key sees each one, from C++ or from Python alike.
/// Not nested; one per thread.
/// @throws InvalidInput (out of the forward pass) naming the operation and what is wrong: a parameter read behind the tape's
/// back, an operation that couples the examples of a batch, a value that decides control flow.
class Capture {
 public:
  /// @param parameters, buffers  the tensors the forward pass will use (already bound)
  /// @param examples  per-example tensors; the first dimension is the example
  Capture(Tape& tape, Side side, const NamedTensors& parameters, const NamedTensors& buffers, const Tensors& examples);
  ~Capture();
  Capture(const Capture&) = delete;
  Capture& operator=(const Capture&) = delete;

  struct State;
  State& state() { return *state_; }

 private:
  std::unique_ptr<State> state_;
};

}  // namespace pathkernel
