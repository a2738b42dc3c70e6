#pragma once

#include <pathkernel/machine/trained_machine.h>

#include <string>

namespace pathkernel {

/// Writes machine.safetensors into a folder (made if need be): the machine's tensors, the examples it needs, and in the metadata its kind, kernel, classes, numbers
/// and a checksum of the tensors (docs/machines.md). The file appears whole or not at all. A support vector machine over a kernel is written compact.
void save_machine(const std::string& folder, const TrainedMachine& machine);

/// @throws InvalidInput when there is none, CorruptData when the file is damaged or of another version, naming what does not fit
TrainedMachine load_machine(const std::string& folder);

}  // namespace pathkernel
