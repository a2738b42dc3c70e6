#include <pathkernel/kernel/network.h>

#include <pathkernel/core/error.h>

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace pathkernel {

Network::Network(std::vector<stax::LayerPtr> layers) : layers_(std::move(layers)), root_(stax::serial(layers_)) {
  if (layers_.empty()) throw InvalidInput("network: it has no layers; write for example \"dense relu dense\"");
}

std::string Network::specification() const { return root_->specification(); }

KernelState Network::propagate(const Tensor& x, const Tensor& y, Pairing pairing, bool with_tangent, uint64_t draw) const {
  const std::vector<Need> of_output = {Need{}};
  std::vector<KernelState> states = {input_state(x, y, pairing, with_tangent, root_->needs(of_output).at(0))};
  states = root_->propagate(std::move(states), of_output, draw);
  if (states.size() != 1) throw InvalidInput(fmt::format("network \"{}\" ends with {} signals; add faninsum", specification(), states.size()));
  KernelState& end = states[0];
  if (with_tangent && !end.Theta.defined())
    throw InvalidInput(fmt::format("network \"{}\" has no weights, so that it has no tangent kernel; add a dense layer", specification()));
  return end;
}

double Network::numbers_per_pair(const Tensor& x) const {
  std::vector<int64_t> space(x.sizes().begin() + 2, x.sizes().end());
  return root_->numbers_per_pair(space, {Need{}});
}

namespace {

class NetworkKernel : public Kernel {
 public:
  NetworkKernel(std::shared_ptr<Network> network, Limit limit, uint64_t draw) : network_(std::move(network)), limit_(limit), draw_(draw) {}

  std::string specification() const override { return fmt::format("{}({})", limit_ == Limit::ntk ? "ntk" : "nngp", network_->specification()); }
  std::vector<Hyperparameter> hyperparameters() const override { return network_->hyperparameters(); }
  double numbers_per_pair(const Tensor& x) const override { return network_->numbers_per_pair(x); }
  KernelPtr redrawn(uint64_t draw) const override { return network_->is_random() ? std::make_shared<NetworkKernel>(network_, limit_,
      draw) : nullptr; }

 protected:
  Tensor rectangular(const Tensor& x, const Tensor& y) const override { return output(x, y, Pairing::rectangular); }
  Tensor symmetric(const Tensor& x) const override { return output(x, x, Pairing::symmetric); }
  Tensor diagonal_entries(const Tensor& x) const override { return output(x, x, Pairing::paired); }
  bool assign(const std::string& name, const Tensor& value) override { return network_->assign(name, value); }

 private:
  Tensor output(const Tensor& x, const Tensor& y, Pairing pairing) const {
    const KernelState end = network_->propagate(x, y, pairing, limit_ == Limit::ntk, draw_);
    if (!end.space.empty())
      throw InvalidInput(fmt::format("network \"{}\": its outputs still have {} positions, where a Gram matrix needs one number per pair; put "
                                     "flatten or gap before the last dense layer (flatten in front for a network of dense layers on images)",
                                     network_->specification(), fmt::join(end.space, "x")));
    return limit_ == Limit::ntk ? end.Theta : end.K;
  }

  std::shared_ptr<Network> network_;
  Limit limit_;
  uint64_t draw_;
};

}  // namespace

KernelPtr network_kernel(Network network, Limit limit) {
  return std::make_shared<NetworkKernel>(std::make_shared<Network>(std::move(network)), limit, 0);
}

}  // namespace pathkernel
