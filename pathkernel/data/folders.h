#pragma once

#include <pathkernel/data/dataset.h>

#include <string>

namespace pathkernel {

/// True when `folder` holds idx files named as MNIST's are: train-images-idx3-ubyte (or .idx3-ubyte) and so on.
bool has_idx_files(const std::string& folder);

/// train-images, train-labels, t10k-images, t10k-labels (the last two may both be missing: an empty test part).
/// Images [N, H, W] get a channel dimension; uint8 is scaled to 0..1 float32, other types are kept (integers as float32).
/// @param class_names  empty: "0", "1", … up to the largest label
/// @throws InvalidInput naming the file that is missing, or what does not fit together.
TrainTest read_idx_folder(const std::string& folder, std::vector<std::string> class_names = {});

/// True when `folder` holds train_x.npy.
bool has_npy_files(const std::string& folder);

/// train_x, train_y, test_x, test_y (the last two may both be missing). Inputs of any shape [N, ...], used as they are (integers
/// as float32). Targets: integers [N] are classes 0, 1, …, floating point [N] or [N, K] is regression.
/// @throws InvalidInput as above; NaN and infinite values with their row.
TrainTest read_npy_folder(const std::string& folder);

}  // namespace pathkernel
