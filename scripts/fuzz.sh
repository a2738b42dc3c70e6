#!/usr/bin/env bash
# scripts/fuzz.sh BUILD [READER…]: the readers of files under libFuzzer (tests/fuzz), FUZZ_SECONDS (60) each, from the committed corpus and
# what earlier runs added to it in BUILD/fuzz/found. Ends with one line a reader. Exit status 1 when a reader crashed, hung, leaked or took
# memory that its file cannot back; the file that did it lies in BUILD/fuzz/crashes.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
build=$1/fuzz
shift
seconds=${FUZZ_SECONDS:-60}
readers=("$@")
[ ${#readers[@]} -gt 0 ] || readers=(idx npy csv safetensors ledger manifest)

cmake -G Ninja -S tests/fuzz -B "$build" -DCMAKE_CXX_COMPILER=clang++-14 -DCMAKE_CXX_COMPILER_LAUNCHER=ccache \
  ${TORCH_ROOT:+-DTORCH_ROOT="$TORCH_ROOT"} >"$build.log" 2>&1 || { cat "$build.log"; exit 1; }
ninja -C "$build" ${JOBS:+-j"$JOBS"}

export OMP_NUM_THREADS=1 UBSAN_OPTIONS=print_stacktrace=1
failed=0 summary=
mkdir -p "$build/crashes"
for reader in "${readers[@]}"; do
  mkdir -p "$build/found/$reader"
  printf '== %s, %s seconds\n' "$reader" "$seconds"
  status=0
  FUZZ_READER=$reader "$build/fuzz_readers" "$build/found/$reader" "tests/fuzz/corpus/$reader" -dict=tests/fuzz/words.dict -max_total_time="$seconds" \
    -timeout=60 -malloc_limit_mb=64 -rss_limit_mb=4096 -use_value_profile=1 -print_final_stats=1 -artifact_prefix="$build/crashes/$reader-" \
    >"$build/$reader.log" 2>&1 || status=$?
  if [ $status -ne 0 ]; then
    failed=1
    tail -40 "$build/$reader.log"
    found=$(sed -nE 's/.*Test unit written to ([^ ]+).*/\1/p' "$build/$reader.log" | tail -1)
    printf '%s\n' "Again: FUZZ_READER=$reader $build/fuzz_readers ${found:-(no file was written)}" \
      "When it is mended, keep the file as tests/fuzz/corpus/$reader/found_<what it was>: make test reads it from then on."
  fi
  coverage=$(sed -nE 's/.*(INITED|DONE) +cov: ([0-9]+) ft: ([0-9]+).*/\2/p' "$build/$reader.log" | paste -sd' ' | sed 's/ / to /')
  executions=$(sed -nE 's/^stat::number_of_executed_units: +//p' "$build/$reader.log")
  summary+=$(printf '%-12s %9s files read, coverage %s edges, %s' "$reader" "$executions" "$coverage" \
    "$([ $status -eq 0 ] && echo 'nothing found' || echo "FAILED: see $build/crashes")")$'\n'
done
printf '%s' "$summary"
exit $failed
