#include <pathkernel/kernel/distributed_gram.h>

#include <pathkernel/core/error.h>
#include <pathkernel/core/hash.h>
#include <pathkernel/kernel/gram_tiles.h>

#include <ATen/core/grad_mode.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>
#include <fmt/format.h>
#include <torch/csrc/distributed/c10d/ProcessGroup.hpp>

#include <exception>

namespace pathkernel {
namespace {

/// Of every process's number, elementwise.
Tensor reduced(c10d::ProcessGroup& group, Tensor t, c10d::ReduceOp::RedOpType how) {
  std::vector<Tensor> tensors = {t};
  c10d::AllreduceOptions options;
  options.reduceOp = how;
  group.allreduce(tensors, options)->wait();
  return tensors[0];
}

int64_t least(c10d::ProcessGroup& group, int64_t number, at::Device device) {
  return reduced(group, at::tensor({number}, at::TensorOptions(at::kLong).device(device)), c10d::ReduceOp::MIN).item<int64_t>();
}

/// Runs `work` here; where it fails in one process it fails in all, none of them waiting for the others.
template <class Work>
void together(c10d::ProcessGroup& group, at::Device device, const Work& work) {
  std::exception_ptr failure;
  try {
    work();
  } catch (...) {
    failure = std::current_exception();
  }
  const int64_t first = least(group, failure ? group.getRank() : group.getSize(), device);
  if (failure) std::rethrow_exception(failure);
  if (first < group.getSize()) throw InvalidInput(fmt::format("gram: process {} of {} failed; its own message says why", first, group.getSize()));
}

/// That all processes were given the same.
void check_same(c10d::ProcessGroup& group, const Kernel& kernel, const Tensor& x, const Tensor& y) {
  Tensors given = {x.detach().to(at::kCPU).contiguous()};
  if (y.defined()) given.push_back(y.detach().to(at::kCPU).contiguous());
  const auto mine = static_cast<int64_t>((hash_of(given) ^ std::hash<std::string>{}(kernel.specification())) >> 1);
  const int64_t smallest = least(group, mine, x.device()), largest = -least(group, -mine, x.device());  // both, in every process
  if (smallest != largest)
    throw InvalidInput("gram: the processes of the group were given different kernels or inputs; all call it with the same");
}

}  // namespace

Tensor gram_matrix(const Kernel& kernel, const Tensor& x, const Tensor& y, c10d::ProcessGroup& group, const GramOptions& options) {
  const at::NoGradGuard no_grad;
  const TileShare share{group.getRank(), group.getSize()};
  const at::Device device = x.device();
  GramOptions cut = options;
  int64_t work = 0;
  together(group, device, [&] {
    kernel.check(x, y);
    work = options.memory - gram_bytes(x, y, options);
    cut.tile = gram_tile(kernel, x, y, work, options, share);
  });
  check_same(group, kernel, x, y);
  cut.tile = least(group, cut.tile, device);  // one list for all
  const Tensor out = at::zeros({x.size(0), (y.defined() ? y : x).size(0)}, x.options());
  together(group, device, [&] { fill_gram(kernel, x, y, out, work, cut, share); });
  return reduced(group, out, c10d::ReduceOp::SUM);  // every entry is one process's, and zero elsewhere
}

}  // namespace pathkernel
