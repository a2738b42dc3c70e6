#!/usr/bin/env bash
# scripts/sanitize.sh BUILD [FILTER]: the C++ tests, or those that FILTER names, under gcc's address and undefined-behaviour sanitizers, in a
# build of their own. The first finding ends a test program, and with it this script, with status 1.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
build=$1
filter=${2:-*}
flags="-fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer"

cmake -G Ninja -S . -B "$build" -DCMAKE_BUILD_TYPE=Sanitize -DCMAKE_CXX_FLAGS_SANITIZE="-O1 -g1" -DCMAKE_CXX_FLAGS="$flags" \
  -DCMAKE_CXX_COMPILER_LAUNCHER=ccache -DPython3_EXECUTABLE="${PYTHON:-$PWD/.venv/bin/python}" ${TORCH_ROOT:+-DTORCH_ROOT="$TORCH_ROOT"} >/dev/null
nice ninja -C "$build" ${JOBS:+-j"$JOBS"} pathkernel_tests

# Large allocations that a test asks for on purpose are refused as without the sanitizer. Leaks are looked for everywhere but in torch and
# what it brings (scripts/sanitizers/leaks.txt says why); torch itself is not instrumented.
mkdir -p "$build/test-files"
.venv/bin/python tests/python/write_test_files.py "$build/test-files"
export OMP_NUM_THREADS=1
export ASAN_OPTIONS=allocator_may_return_null=1:detect_stack_use_after_return=1:quarantine_size_mb=64
export UBSAN_OPTIONS=print_stacktrace=1
export LSAN_OPTIONS=suppressions=scripts/sanitizers/leaks.txt:print_suppressions=0
SECONDS=0
"$build/tests/pathkernel_tests" --gtest_brief=1 --gtest_filter="$filter" || exit 1
echo "sanitize: nothing found, $SECONDS seconds"
