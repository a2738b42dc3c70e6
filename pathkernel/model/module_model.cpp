#include <pathkernel/model/module_model.h>

#include <torch/nn/module.h>

namespace pathkernel {
namespace {

class ModuleModel : public Model {
 public:
  ModuleModel(std::shared_ptr<torch::nn::Module> module, std::function<Tensors(const Tensors&)> forward, std::string specification)
      : module_(std::move(module)), forward_(std::move(forward)), specification_(std::move(specification)) {}

  NamedTensors parameters() const override {
    NamedTensors parameters;
    for (const auto& item : module_->named_parameters())
      if (item.value().requires_grad()) parameters.push_back({item.key(), item.value()});
    return parameters;
  }

  NamedTensors buffers() const override {
    NamedTensors buffers;
    for (const auto& item : module_->named_parameters())  // a frozen parameter is part of the state and never learns
      if (!item.value().requires_grad()) buffers.push_back({item.key(), item.value()});
    for (const auto& item : module_->named_buffers()) buffers.push_back({item.key(), item.value()});
    return buffers;
  }

  Tensors forward(const Tensors& inputs, Mode mode) override {
    const bool training = mode == Mode::train;
    if (module_->is_training() != training) module_->train(training);
    return forward_(inputs);
  }

  std::string specification() const override { return specification_; }

 private:
  std::shared_ptr<torch::nn::Module> module_;
  std::function<Tensors(const Tensors&)> forward_;
  std::string specification_;
};

}  // namespace

std::unique_ptr<Model> wrap(std::shared_ptr<torch::nn::Module> module, std::function<Tensors(const Tensors&)> forward,
                            std::string specification) {
  return std::make_unique<ModuleModel>(std::move(module), std::move(forward), std::move(specification));
}

}  // namespace pathkernel
