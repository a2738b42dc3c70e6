#include <pathkernel/core/generators.h>

#include <ATen/Context.h>

#include <mutex>

namespace pathkernel {

GeneratorStates GeneratorStates::now(at::Device device) {
  GeneratorStates out;
  const auto keep = [&](at::Device of) {
    at::Generator generator = at::globalContext().defaultGenerator(of);
    const std::lock_guard lock(generator.mutex());
    out.states_.emplace_back(generator, generator.get_state());
  };
  keep(at::kCPU);
  if (!device.is_cpu()) keep(device);
  return out;
}

void GeneratorStates::restore() const {
  for (auto [generator, state] : states_) {
    const std::lock_guard lock(generator.mutex());
    generator.set_state(state);
  }
}

}  // namespace pathkernel
