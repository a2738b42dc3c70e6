#pragma once

#include <pathkernel/core/tensors.h>

#include <map>
#include <string>

namespace pathkernel {

/// Contents of a safetensors file.
struct SafetensorsFile {
  NamedTensors tensors;                         ///< in the order of the file's header; on the CPU, contiguous
  std::map<std::string, std::string> metadata;  ///< "__metadata__" of the header

  bool has(const std::string& name) const;
  /// @throws InvalidInput listing the names there are, when `name` is not one of them.
  const Tensor& at(const std::string& name) const;
};

/// Writes tensors of dtype F64 F32 F16 BF16 I64 I32 I16 I8 U8 BOOL (any device, any strides). The header keeps their order; the
/// data are laid out by falling element size, so that each is aligned. The file appears whole or not at all.
///     layout: 8 bytes length n of the header (little endian) | n bytes JSON | data
/// @throws InvalidInput for a name that stands twice or is reserved, another dtype, or a file that cannot be written.
void write_safetensors(const std::string& path, const NamedTensors& tensors,
                       const std::map<std::string, std::string>& metadata = {});

/// Reads a whole file. Nothing is allocated that the file does not back.
/// @throws InvalidInput when the file cannot be opened, CorruptData (naming the tensor) when it is truncated, its header is not
/// what the format says, or offsets overlap, leave holes, lie outside or do not match dtype and shape.
SafetensorsFile read_safetensors(const std::string& path);

}  // namespace pathkernel
