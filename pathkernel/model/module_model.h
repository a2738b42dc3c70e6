#pragma once

#include <pathkernel/model/model.h>

#include <functional>
#include <memory>

namespace torch::nn { class Module; }

namespace pathkernel {

/// Any torch::nn::Module as a Model. `forward` calls the module (a closure, because torch::nn::Module has no virtual forward).
/// train()/eval() is set on the module from the mode. Parameters that do not require gradients count as buffers.
std::unique_ptr<Model> wrap(std::shared_ptr<torch::nn::Module> module, std::function<Tensors(const Tensors&)> forward,
                            std::string specification = {});

}  // namespace pathkernel
