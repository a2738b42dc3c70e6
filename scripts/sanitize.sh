#!/usr/bin/env bash
# scripts/sanitize.sh BUILD [FILTER]: the C++ tests, or those that FILTER names (a --gtest_filter), under gcc's address, leak and
# undefined-behaviour sanitizers and the checks of libstdc++, in a build of their own. Exit status 1 when a test failed or a sanitizer found
# something: what it found stands in BUILD/findings.txt. Undefined behaviour and leaks do not stop the tests, a wrong access to memory does.
#
# Only Pathkernel is instrumented. Torch is not: what it does to memory is seen where it goes through malloc and free. For the same
# reason there is no thread sanitizer here: the locks and barriers of torch's thread pool (libgomp) are invisible to it, so that
# whatever is handed from one thread to another through them looks like a race.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
build=$(realpath -m "$1")
filter=${2:-*}
python=${PYTHON:-.venv/bin/python}

for runtime in libasan.so libubsan.so; do
  [ -e "$(c++ -print-file-name=$runtime)" ] || { echo "sanitize: $(c++ --version | head -1) brings no $runtime; on Debian: apt-get install g++" >&2; exit 1; }
done

mkdir -p "$build"
# float-cast-overflow: a number read from a file that no integer can hold. -O1 and line numbers alone: half the time of -O2 -g.
cmake -G Ninja -S . -B "$build" -DCMAKE_BUILD_TYPE=Sanitize -DCMAKE_CXX_FLAGS_SANITIZE="-O1 -g1" \
  -DCMAKE_CXX_FLAGS="-fsanitize=address,undefined,float-cast-overflow -fno-omit-frame-pointer -D_GLIBCXX_ASSERTIONS" \
  -DCMAKE_CXX_COMPILER_LAUNCHER=ccache -DPython3_EXECUTABLE="$(realpath -s "$python")" >"$build/configure.log" 2>&1 ||
  { cat "$build/configure.log"; exit 1; }
ninja -C "$build" ${JOBS:+-j"$JOBS"} pathkernel_tests

rm -rf "$build/test-files"
mkdir -p "$build/test-files"
"$python" tests/python/write_test_files.py "$build/test-files"

# Where torch asks for more memory than there is, malloc refuses, as it does without the sanitizer. (A `new` that fails ends the program.)
# What is freed is kept back up to 64 MB: the usual 256 MB are as much as tests/memory_limit.h lets a reader of damaged files take.
export OMP_NUM_THREADS=1
export ASAN_OPTIONS=allocator_may_return_null=1:quarantine_size_mb=64:detect_stack_use_after_return=1
export UBSAN_OPTIONS=print_stacktrace=1:suppressions=$PWD/scripts/sanitizers/undefined.txt
export LSAN_OPTIONS=suppressions=$PWD/scripts/sanitizers/leaks.txt:print_suppressions=0
SECONDS=0 status=0
"$build/tests/pathkernel_tests" --gtest_brief=1 --gtest_filter="$filter" 2>&1 | tee "$build/findings.txt" || status=$?
# Undefined behaviour is told on the way alone: not by the exit status, and, beside the address sanitizer, not through a log_path of its own.
! grep -q 'runtime error: ' "$build/findings.txt" || status=1
[ $status -eq 0 ] && printf 'sanitize: nothing found, %s seconds\n' $SECONDS || printf 'sanitize: FAILED: see %s\n' "$build/findings.txt"
exit $status
