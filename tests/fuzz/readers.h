#pragma once

#include <string_view>
#include <vector>

namespace pathkernel::fuzz {

/// A reader of files that come from elsewhere. `read` gives it `bytes` as a file: true when it reads them, false when it throws
/// InvalidInput; anything else that comes out (another exception, a crash, memory that the file does not back) is a bug.
struct Reader {
  const char* name;  ///< also the folder in corpus/
  bool (*read)(std::string_view bytes);
};

/// idx, npy, csv (its label column is "y"), safetensors, ledger (4 bytes, the length of ledger.json, little endian | ledger.json |
/// ledger.safetensors), manifest (the JSON of a recording).
const std::vector<Reader>& readers();

}  // namespace pathkernel::fuzz
