#include <pathkernel/kernel/tangent_kernel.h>

#include <pathkernel/core/bytes.h>
#include <pathkernel/core/error.h>
#include <pathkernel/core/rows.h>
#include <pathkernel/kernel/tangent_blocks.h>
#include <pathkernel/tangent/contraction.h>
#include <pathkernel/tangent/coupled_batch.h>
#include <pathkernel/tangent/example_gradients.h>

#include <ATen/core/grad_mode.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/zeros.h>
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <memory>

namespace pathkernel {
namespace {

int64_t count_of(const Tensors& inputs) { return inputs.empty() || inputs.front().dim() == 0 ? 0 : inputs.front().size(0); }

class TangentKernel {
 public:
  TangentKernel(Model& model, const Tensors& x, const Tensors& y, const TangentOptions& options)
      : model_(model), x_(x), y_(y.empty() ? x : y), symmetric_(y.empty()), options_(options), n_(count_of(x)), m_(count_of(y_)) {
    if (n_ == 0 || m_ == 0) throw InvalidInput("tangent_kernel: no inputs were given");
    const at::NoGradGuard no_grad;
    const Tensor z = first_output(model.forward(rows(x, 0, 1), Mode::eval));
    O_ = z.size(1);
    options_of_result_ = z.options();
    block_ = size_of_blocks(checked_sample(), z.element_size());
  }

  Tensor run() {
    Tensor all = at::zeros(shape(n_, m_), options_of_result_);
    const int64_t blocks_n = (n_ + block_ - 1) / block_, blocks_m = (m_ + block_ - 1) / block_;
    int64_t done = 0;
    const int64_t pairs = symmetric_ ? blocks_n * (blocks_n + 1) / 2 : blocks_n * blocks_m;
    for (int64_t i = 0; i < n_; i += block_) {
      const std::shared_ptr<const Jacobians> of_row = symmetric_ ? of_column(i) : jacobians(x_, n_, i);
      const Jacobians& g = *of_row;
      for (int64_t j = 0; j < (symmetric_ ? i + 1 : m_); j += block_) {
        const bool diagonal = symmetric_ && j == i;
        const std::shared_ptr<const Jacobians> of_other = diagonal ? of_row : of_column(j);
        const Jacobians& h = *of_other;
        Tensor tile = tangent_product(g, h, options_.form, options_of_result_);
        if (diagonal) tile = (tile + mirrored(tile)) * 0.5;  // a matrix product sums the two halves in different orders
        all.narrow(0, i, g.count).narrow(1, j, h.count).copy_(tile);
        if (symmetric_ && !diagonal) all.narrow(0, j, h.count).narrow(1, i, g.count).copy_(mirrored(tile));
        if (options_.progress) options_.progress("tangent kernel", ++done, pairs);
      }
    }
    return all;
  }

 private:
  std::shared_ptr<const Jacobians> jacobians(const Tensors& inputs, int64_t all, int64_t first) const {
    return std::make_shared<const Jacobians>(model_, rows(inputs, first, std::min(block_, all - first)));
  }

  /// Of a block of columns, which every block of rows meets: kept where all of them fit beside the rest.
  std::shared_ptr<const Jacobians> of_column(int64_t first) {
    if (!keeps_) return jacobians(y_, m_, first);
    std::shared_ptr<const Jacobians>& kept = kept_[first];
    if (!kept) kept = jacobians(y_, m_, first);
    return kept;
  }

  std::vector<int64_t> shape(int64_t n, int64_t m) const {
    if (options_.form == TangentForm::full) return {n, m, O_, O_};
    if (options_.form == TangentForm::diagonal) return {n, m, O_};
    return {n, m};
  }

  Tensor mirrored(const Tensor& tile) const {
    const Tensor t = tile.transpose(0, 1);
    return options_.form == TangentForm::full ? t.transpose(2, 3) : t;
  }

  /// Inputs of a block: what two of them hold of factors, what one parameter's products hold, and the result.
  int64_t size_of_blocks(const std::vector<ParameterGradients>& sample, int64_t element) {
    int64_t result = element;
    for (const int64_t size : shape(n_, m_)) result *= size;
    double factors = 0;  // numbers, of an input
    for (const ParameterGradients& parameter : sample)
      for (const OutputGradients& use : parameter.uses) {
        const double inputs = double(use.varying.size(1)), varying = double(use.varying.numel()) / double(use.varying.size(0)) * double(O_);
        factors += (varying + (use.shared.defined() ? double(use.shared.numel()) : 0.0)) / inputs;
      }
    const auto bytes = [&](int64_t block) {
      double most = 0;
      for (const ParameterGradients& parameter : sample) most = std::max(most, numbers_of_block(parameter, block, O_, options_.form));
      return double(result) + double(element) * (most + 2 * double(block) * factors);
    };
    const auto fits = [&](int64_t block) { return bytes(block) <= double(options_.memory); };
    if (!fits(1))
      throw InvalidInput(fmt::format("tangent_kernel: {} inputs and {}, with {} outputs, take {} for the result and {} at least for the work, but {} are allowed; ask for the "
                                     "trace, for fewer inputs, or allow more",
                                     n_, m_, O_, print_bytes(result), print_bytes(int64_t(bytes(1)) - result), print_bytes(options_.memory)));
    int64_t block = options_.block > 0 ? options_.block : std::min<int64_t>(256, std::max(n_, m_));
    if (options_.block > 0 && !fits(block)) throw InvalidInput(fmt::format("tangent_kernel: blocks of {} inputs take {}, but {} are allowed; make them smaller", block, print_bytes(int64_t(bytes(block))), print_bytes(options_.memory)));
    while (!fits(block)) block = (block + 1) / 2;
    keeps_ = bytes(block) + double(element) * factors * double(m_) <= double(options_.memory);
    if (options_.block == 0 && symmetric_ && keeps_ && block >= n_) block = std::min(n_, std::max<int64_t>(16, (n_ + 1) / 2));  // of four tiles one is mirrored
    return block;
  }

  /// Gradients of a few inputs' outputs, summed with two sets of weights. Checks that an output depends on its own input alone: with weights 1, 2, … they are 1, 2, … times as large.
  std::vector<ParameterGradients> checked_sample() const {
    const int64_t n = std::min<int64_t>(n_, 4);
    const auto weighted = [&](const Tensors& outputs) {
      const Tensor sum = first_output(outputs).sum(1, true);
      return at::cat({sum, sum * at::arange(1, n + 1, sum.options()).unsqueeze(1)}, 1);
    };
    const std::vector<FactorSet> sets = example_gradients(model_, rows(x_, 0, n), {}, weighted);
    const NamedTensors parameters = model_.parameters();
    for (size_t l = 0; l < parameters.size(); ++l) {
      const Tensor once = inner(sets[0].parameters[l], sets[0].parameters[l], n, n), many = inner(sets[1].parameters[l], sets[0].parameters[l], n, n);
      const double scale = many.abs().max().item<double>(), off = (many - once * at::arange(1, n + 1, once.options()).unsqueeze(1)).abs().max().item<double>();
      if (off > (once.scalar_type() == at::kDouble ? 1e-9 : 1e-3) * scale)
        throw CoupledBatch(fmt::format("tangent_kernel: the gradient of '{}' does not split by input (deviation {:.2g} of the largest): the network's outputs depend on other inputs "
                                       "of their batch too", parameters[l].name, off / scale));
    }
    return of_all_outputs(sets, parameters.size());
  }

  Model& model_;
  const Tensors &x_, &y_;
  bool symmetric_;
  const TangentOptions& options_;
  int64_t n_, m_, O_ = 0, block_ = 0;
  bool keeps_ = false;
  std::map<int64_t, std::shared_ptr<const Jacobians>> kept_;
  at::TensorOptions options_of_result_;
};

}  // namespace

Tensor tangent_kernel(Model& model, const Tensors& x, const Tensors& y, const TangentOptions& options) { return TangentKernel(model, x, y, options).run(); }

}  // namespace pathkernel
