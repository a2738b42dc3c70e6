#pragma once

#include <pathkernel/model/model.h>

#include <concepts>
#include <functional>
#include <memory>
#include <string>
#include <utility>

namespace torch::nn { class Module; }

namespace pathkernel {

/// Any torch::nn::Module as a Model. `forward` calls the module (a closure, because torch::nn::Module has no virtual forward).
/// train()/eval() is set on the module from the mode. Parameters that do not require gradients count as buffers.
/// @param specification  a name by which the caller can build the module again; kept in the recording's manifest
std::unique_ptr<Model> wrap(std::shared_ptr<torch::nn::Module> module, std::function<Tensors(const Tensors&)> forward,
                            std::string specification = {});

/// The same for a module whose forward takes one tensor and returns one. Of a holder such as torch::nn::Sequential: wrap(net.ptr()).
template <class Net>
  requires requires(Net& net, Tensor x) { { net.forward(x) } -> std::convertible_to<Tensor>; }
std::unique_ptr<Model> wrap(std::shared_ptr<Net> net, std::string specification = {}) {
  const auto forward = [raw = net.get()](const Tensors& x) { return Tensors{raw->forward(x.at(0))}; };  // the model holds the module
  return wrap(std::shared_ptr<torch::nn::Module>(std::move(net)), forward, std::move(specification));
}

}  // namespace pathkernel
