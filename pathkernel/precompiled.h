#pragma once

// Precompiled for the library's own units: the headers nearly all of them need and that take longest to read.
#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/core/dispatch/Dispatcher.h>

#include <map>
#include <string>
#include <unordered_map>
#include <vector>
