#pragma once

#include <pathkernel/model/model.h>

namespace pathkernel {

/// Remembers a model's own weights and buffers, and binds it to them again when it goes: what is done with the model in between is not
/// seen by whoever lent it. Nobody may write into the storage in between.
class OwnWeights {
 public:
  explicit OwnWeights(Model& model);
  ~OwnWeights();
  OwnWeights(const OwnWeights&) = delete;
  OwnWeights& operator=(const OwnWeights&) = delete;

 private:
  Model& model_;
  Tensors weights_, buffers_;
};

}  // namespace pathkernel
