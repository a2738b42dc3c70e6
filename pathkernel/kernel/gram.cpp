#include <pathkernel/kernel/gram_tiles.h>

#include <pathkernel/core/bytes.h>
#include <pathkernel/core/error.h>
#include <pathkernel/core/finite.h>
#include <pathkernel/data/mapped_npy.h>

#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/zeros_like.h>
#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <mutex>

namespace pathkernel {
namespace {

struct Tile { int64_t row, rows, column, columns; };

/// Tiles of one matrix, and how many threads work on them at a time.
struct Plan {
  std::vector<Tile> tiles;
  int64_t size = 1, threads = 1;
};

constexpr double in_cache = 1 << 20;            // numbers of a tile in work
constexpr int64_t smallest = 8, largest = 512;  // rows of a tile: own kernels of both sides cost the more, the smaller it is

double bytes_per_pair(const Kernel& kernel, const Tensor& x) { return kernel.numbers_per_pair(x) * static_cast<double>(x.element_size()); }

/// Rows of a square tile; also cuts the threads where not even small tiles fit for all of them.
int64_t tile_size(double numbers_per_pair, double pair_bytes, int64_t rows, int64_t columns, int64_t memory, const GramOptions& options,
                  int64_t& threads, int64_t processes) {
  const auto fitting = [&] { return static_cast<int64_t>(std::sqrt(static_cast<double>(memory) / static_cast<double>(threads) / pair_bytes)); };
  while (threads > 1 && fitting() < 16) threads /= 2;
  const int64_t fits = fitting();
  if (fits < 1)
    throw InvalidInput(fmt::format("gram: one pair of inputs takes {} of working memory, but only {} are allowed for it; allow more memory",
                                   print_bytes(static_cast<int64_t>(pair_bytes)), print_bytes(std::max<int64_t>(0, memory))));
  if (options.tile > 0) {
    if (options.tile > fits)
      throw InvalidInput(fmt::format("gram: tiles of {} rows take more than the {} allowed; with {} threads at most {} rows fit", options.tile,
                                     print_bytes(memory), threads, fits));
    return options.tile;
  }
  const double cached = std::sqrt(in_cache / numbers_per_pair);
  int64_t size = std::min(fits, std::clamp(static_cast<int64_t>(cached), smallest, largest));
  const auto count = [&] { return ((rows + size - 1) / size) * ((columns + size - 1) / size); };
  while (size > 64 && threads * processes > 1 && count() < 4 * threads * processes) size /= 2;  // so that no thread waits long for the last ones
  return size;
}

Plan plan(const Kernel& kernel, const Tensor& x, const Tensor& y, int64_t memory, const GramOptions& options, const TileShare& share) {
  const bool symmetric = !y.defined();
  const int64_t rows = x.size(0), columns = symmetric ? rows : y.size(0);
  Plan plan;
  plan.threads = at::get_num_threads();
  plan.size = tile_size(kernel.numbers_per_pair(x), bytes_per_pair(kernel, x), rows, columns, memory, options, plan.threads, share.of);
  int64_t number = 0;
  for (int64_t row = 0; row < rows; row += plan.size)
    for (int64_t column = 0; column < columns && !(symmetric && column > row); column += plan.size)
      if (number++ % share.of == share.first) plan.tiles.push_back({row, std::min(plan.size, rows - row), column, std::min(plan.size, columns - column)});
  return plan;
}

/// What the layers of a network refuse shows when they run: on one pair, before any work.
void try_one_pair(const Kernel& kernel, const Tensor& x, const Tensor& y) {
  const Tensor first = x.narrow(0, 0, 1);
  if (y.defined()) kernel.gram(first, y.narrow(0, 0, 1));
  else kernel.gram(first);
}

void check_finite(const Kernel& kernel, const Tensor& values, const Tile& tile) {
  const int64_t at = first_not_finite(values);
  if (at < 0) return;
  const int64_t i = at / tile.columns, j = at % tile.columns;
  throw InvalidInput(fmt::format("gram: entry ({}, {}) of {} is {}; numbers this large overflow in {} (inputs or weights too large), or the kernel "
                                 "is infinite there",
                                 tile.row + i, tile.column + j, kernel.specification(), values[i][j].item<double>(),
                                     values.scalar_type() == at::kFloat ? "float32" : "float64"));
}

void compute(const Kernel& kernel, const Tensor& x, const Tensor& y, const Tile& tile, Tensor& out) {
  const Tensor rows = x.narrow(0, tile.row, tile.rows);
  const bool diagonal = !y.defined() && tile.row == tile.column;
  const Tensor values = diagonal ? kernel.gram(rows) : kernel.gram(rows, (y.defined() ? y : x).narrow(0, tile.column, tile.columns));
  check_finite(kernel, values, tile);
  out.narrow(0, tile.row, tile.rows).narrow(1, tile.column, tile.columns).copy_(values);
  if (!y.defined() && !diagonal) out.narrow(0, tile.column, tile.columns).narrow(1, tile.row, tile.rows).copy_(values.t());
}

int64_t bytes_of(const Tensor& x, const Tensor& y) {
  const double bytes = static_cast<double>(x.size(0)) * static_cast<double>((y.defined() ? y : x).size(0)) * static_cast<double>(x.element_size());
  return bytes < 9e18 ? static_cast<int64_t>(bytes) : std::numeric_limits<int64_t>::max();
}

}  // namespace

int64_t gram_tile(const Kernel& kernel, const Tensor& x, const Tensor& y, int64_t memory, const GramOptions& options, const TileShare& share) {
  return plan(kernel, x, y, memory, options, share).size;
}

int64_t gram_bytes(const Tensor& x, const Tensor& y, const GramOptions& options) {
  const int64_t bytes = bytes_of(x, y);
  if (bytes > options.memory - options.memory / 8)
    throw InvalidInput(fmt::format("gram: the matrix of {} x {} numbers takes {}, and an eighth of the {} allowed is kept for computing; allow more "
                                   "memory, or take fewer inputs; only written to a file (pathkernel kernel -o FILE.npy) may it be larger",
                                   x.size(0), (y.defined() ? y : x).size(0), print_bytes(bytes), print_bytes(options.memory)));
  return bytes;
}

void fill_gram(const Kernel& kernel, const Tensor& x, const Tensor& y, Tensor out, int64_t memory, const GramOptions& options, const TileShare& share) {
  const Plan work = plan(kernel, x, y, memory, options, share);
  try_one_pair(kernel, x, y);
  const auto total = static_cast<int64_t>(work.tiles.size());
  std::atomic<int64_t> next{0};
  int64_t done = 0;
  std::mutex reporting;
  const auto worker = [&](int64_t, int64_t) {
    const at::NoGradGuard no_grad;  // of this thread
    try {
      for (int64_t t = next++; t < total; t = next++) {
        compute(kernel, x, y, work.tiles[static_cast<size_t>(t)], out);
        const std::lock_guard lock(reporting);
        ++done;
        if (options.progress) options.progress("Gram matrix", done, total);
      }
    } catch (...) {
      next = total;  // the others stop at their next tile
      throw;
    }
  };
  if (work.threads == 1 || total <= 1) return worker(0, 1);
  at::parallel_for(0, std::min(work.threads, total), 1, worker);  // operations within run on their own thread alone
}

Tensor gram_matrix(const Kernel& kernel, const Tensor& x, const Tensor& y, const GramOptions& options) {
  const at::NoGradGuard no_grad;
  kernel.check(x, y);
  const int64_t bytes = gram_bytes(x, y, options);
  const Tensor out = at::empty({x.size(0), (y.defined() ? y : x).size(0)}, x.options());
  fill_gram(kernel, x, y, out, options.memory - bytes, options);
  return out;
}

void gram_to_npy(const Kernel& kernel, const Tensor& x, const Tensor& y, const std::string& path, const GramOptions& options) {
  const at::NoGradGuard no_grad;
  kernel.check(x, y);
  MappedNpy file(path, {x.size(0), (y.defined() ? y : x).size(0)}, x.scalar_type());
  fill_gram(kernel, x, y, file.tensor(), options.memory, options);
  file.commit();
}

Tensor gram_diagonal(const Kernel& kernel, const Tensor& x, const GramOptions& options) {
  const at::NoGradGuard no_grad;
  kernel.check(x);
  const auto rows = static_cast<int64_t>(static_cast<double>(options.memory) / bytes_per_pair(kernel, x));
  if (rows < 1) throw InvalidInput(fmt::format("gram: one input takes {} of working memory, more than the {} allowed",
                                               print_bytes(static_cast<int64_t>(bytes_per_pair(kernel, x))), print_bytes(options.memory)));
  Tensors parts;
  for (int64_t row = 0; row < x.size(0); row += rows) parts.push_back(kernel.diagonal(x.narrow(0, row, std::min(rows, x.size(0) - row))));
  return at::cat(parts);
}

GramEstimate gram_estimate(const Kernel& kernel, const Tensor& x, const Tensor& y, int64_t draws, const GramOptions& options) {
  if (draws < 2) throw InvalidInput(fmt::format("gram_estimate: {} draws, but an error bar needs at least 2", draws));
  GramEstimate result;
  Tensor squares;
  for (int64_t r = 0; r < draws; ++r) {
    const KernelPtr again = kernel.redrawn(static_cast<uint64_t>(r));
    if (!again) throw InvalidInput(fmt::format("gram_estimate: {} is exact; compute it once", kernel.specification()));
    const Tensor K = gram_matrix(*again, x, y, options);
    if (r == 0) {
      result.mean = at::zeros_like(K);
      squares = at::zeros_like(K);
    }
    const Tensor step = K - result.mean;  // Welford
    result.mean += step / (r + 1);
    squares += step * (K - result.mean);
  }
  result.standard_error = (squares / static_cast<double>((draws - 1) * draws)).sqrt();
  return result;
}

}  // namespace pathkernel
