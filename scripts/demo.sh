#!/usr/bin/env bash
# The theorem at work on MNIST, two pages to look at:  make demo
# Everything lands in runs/demo; what is there already is not done again (remove the folder to start over).
#   DIGITS=20   of how many test digits all ten logits are explained        DEMO=DIR   another folder
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
program=${PATHKERNEL:-build/pathkernel} demo=${DEMO:-runs/demo} digits=${DIGITS:-100} threads=${THREADS:+--threads $THREADS}
mkdir -p "$demo"

say() { printf '\n\033[1m== %s\033[0m\n' "$*"; }

# once NAME FOLDER COMMAND…   runs a command that writes FOLDER and keeps what it printed and how long it took; later prints that again
once() {
  local name=$demo/$1 folder=$2 begin
  shift 2
  printf '$ %s\n' "$*"
  if [ ! -f "$name.seconds" ] || [ ! -d "$folder" ]; then
    rm -rf "$folder" "$name.seconds"
    begin=$(date +%s%N)
    "$@" >"$name.part"
    mv "$name.part" "$name.txt"
    printf '%s\n' $((($(date +%s%N) - begin) / 1000000000)) >"$name.seconds"
  fi
  cat "$name.txt"
}
seconds() { cat "$demo/$1.seconds"; }

say "1. Train LeNet on 60,000 digits, one epoch of plain SGD, recording every step"
once train "$demo/lenet" "$program" train --data mnist --model lenet --optimizer sgd --lr 0.1 --batch 64 --epochs 1 --seed 0 $threads --out "$demo/lenet"

say "2. The theorem at work: $digits test digits, all ten logits, as sums over the 60,000 training images"
once "logits-$digits" "$demo/logits-$digits" \
  "$program" explain "$demo/lenet" --queries "test:0-$((digits - 1))" --measure logits $threads --out "$demo/logits-$digits"
echo
"$program" show "$demo/logits-$digits" --predictions --top 12 | tee "$demo/predictions.txt"
printf 'Training took %s s, this explanation %s s.\n' "$(seconds train)" "$(seconds "logits-$digits")"

# The first twelve digits that are wrong, which train has named, and the first twelve that are right.
wrong=$(sed -n 's/^wrong ones: test:\([0-9,]*\).*/\1/p' "$demo/train.txt")
right=$(seq 0 99 | grep -vxF "${wrong//,/$'\n'}" | sed -n 1,12p | paste -sd,)
say "3. Why did it predict this? Log-odds of twelve wrong and twelve right digits"
once odds "$demo/log-odds" "$program" explain "$demo/lenet" --queries "test:$wrong,$right" --measure log-odds $threads --out "$demo/log-odds"
"$program" report "$demo/log-odds" -o "$demo/report.html"

say "4. The picture of the theorem: a network with one input and one output, eight points"
[ -f "$demo/eight/grid.npy" ] || .venv/bin/python examples/eight_points.py "$demo/eight"
once eight "$demo/eight/run" "$program" train --data examples/eight_points.csv --label y --model mlp:1-32-1 --activation tanh --dtype double \
  --init "$demo/eight/initial.safetensors" --optimizer sgd --lr 0.01 --batch 8 --epochs 400 --threads 1 --out "$demo/eight/run"
once grid "$demo/eight/ledger" "$program" explain "$demo/eight/run" --queries "$demo/eight/grid.npy" --measure output:0 --path-kernel --threads 1 --out "$demo/eight/ledger"
"$program" theorem "$demo/eight/ledger" -o "$demo/theorem.html"

say "Done"
echo "$demo/theorem.html   every example's contribution as a curve, and the kernel machine y = Σ a_i K(x, x_i) + b"
echo "$demo/report.html    digits with the training images that pushed them most, wrong ones first"
echo "Both open in any browser, without network:  xdg-open $demo/report.html"
