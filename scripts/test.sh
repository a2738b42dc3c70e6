#!/usr/bin/env bash
# Runs every test of a build folder and ends with one line "N passed, N failed". Exit status 1 when something failed.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
build=$(realpath "${1:-build}")
export PATHKERNEL_BUILD=$build
results=$build/test-results
rm -rf "$results" "$build/test-files"
mkdir -p "$results" "$build/test-files"

.venv/bin/python tests/python/write_test_files.py "$build/test-files"
"$build/tests/pathkernel_tests" --gtest_brief=1 --gtest_output="xml:$results/cpp.xml"
echo $? >"$results/cpp.status"

if compgen -G "tests/python/test_*.py" >/dev/null; then
  .venv/bin/python -m pytest -q -rs tests/python --junitxml="$results/python.xml"
  echo $? >"$results/python.status"
fi

.venv/bin/python scripts/count_tests.py "$results"
