#!/usr/bin/env bash
# make bench: ratios of the sweep and of TracIn against training, in one run; the wide MLP; the laws in Q, T, P and N; the Gram matrix of a deep NTK; SVM beside LIBSVM. STEPS and THREADS may be set.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
build=${1:-build}
"$build"/bench/sweep_bench "${STEPS:-200}" "${THREADS:-$(nproc)}"
"$build"/bench/tracin_bench "${THREADS:-$(nproc)}"
"$build"/bench/wide_bench 12 "${THREADS:-$(nproc)}"
"$build"/bench/scaling_bench "${THREADS:-1}"
"$build"/bench/kernel_bench 5000 "${THREADS:-$(nproc)}"
"$build"/bench/svm_bench
