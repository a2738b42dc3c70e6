#pragma once

#include <pathkernel/model/model.h>

#include <functional>
#include <string>

namespace pathkernel::testing {

/// A network given as a function of its parameters and buffers.
class FunctionModel : public Model {
 public:
  using Forward = std::function<Tensor(const Tensors& w, const Tensors& buffers, const Tensor& x, Mode mode)>;
  FunctionModel(NamedTensors parameters, NamedTensors buffers, Forward forward, std::string specification = "function")
      : parameters_(std::move(parameters)), buffers_(std::move(buffers)), forward_(std::move(forward)), specification_(std::move(specification)) {
    for (const NamedTensor& p : parameters_) p.tensor.set_requires_grad(true);
  }
  NamedTensors parameters() const override { return parameters_; }
  NamedTensors buffers() const override { return buffers_; }
  Tensors forward(const Tensors& inputs, Mode mode) override { return {forward_(values(parameters_), values(buffers_), inputs.at(0), mode)}; }
  std::string specification() const override { return specification_; }

 private:
  NamedTensors parameters_, buffers_;
  Forward forward_;
  std::string specification_;
};

}  // namespace pathkernel::testing
