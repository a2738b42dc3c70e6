#include <pathkernel/model/own_weights.h>

namespace pathkernel {

OwnWeights::OwnWeights(Model& model) : model_(model) {
  for (const NamedTensor& p : model.parameters()) weights_.push_back(p.tensor.detach());
  for (const NamedTensor& b : model.buffers()) buffers_.push_back(b.tensor.detach());
}

OwnWeights::~OwnWeights() {
  model_.bind_parameters(weights_);
  model_.bind_buffers(buffers_);
}

}  // namespace pathkernel
