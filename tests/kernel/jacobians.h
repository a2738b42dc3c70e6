#pragma once

#include <pathkernel/model/model.h>

#include <ATen/core/grad_mode.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/zeros_like.h>

namespace pathkernel::testing {

/// Written out by autograd, one output of one input at a time: [n, O, P]
inline Tensor jacobians(Model& model, const Tensor& x) {
  const at::AutoGradMode on(true);
  Tensors rows;
  for (int64_t i = 0; i < x.size(0); ++i) {
    const Tensor z = model.forward({x.narrow(0, i, 1)}, Mode::eval)[0].reshape(-1);
    Tensors outputs;
    for (int64_t o = 0; o < z.size(0); ++o) {
      for (const auto& [name, p] : model.parameters()) p.mutable_grad() = Tensor();
      z[o].backward({}, /*retain_graph=*/true);
      Tensors parts;
      for (const auto& [name, p] : model.parameters()) parts.push_back((p.grad().defined() ? p.grad() : at::zeros_like(p)).reshape(-1));
      outputs.push_back(at::cat(parts));
    }
    rows.push_back(at::stack(outputs));
  }
  for (const auto& [name, p] : model.parameters()) p.mutable_grad() = Tensor();
  return at::stack(rows).detach();
}

}  // namespace pathkernel::testing
