#!/usr/bin/env bash
# The theorem at work on MNIST, a wrong label traced and mended, three pages to look at:  make demo
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

say "5. One wrong label among 1437 digits: planted, traced by the ledger, mended"
label=$demo/label
mkdir -p "$label"
# Training digit 312, a nine, is called a seven. It was chosen so that it matters: of ten such candidates four turned a prediction (docs/workflows.md).
printf 'example,label\n312,7\n' >"$label/planted.csv"
once label-before "$label/before" "$program" train --data digits --model mlp:64-32-10 --lr 0.1 --batch 32 --epochs 10 --seed 0 --threads 1 --out "$label/before"
once label-planted "$label/planted" "$program" retrain "$label/before" --relabel "$label/planted.csv" --out "$label/planted"
wrong_in() { sed -n 's/^wrong ones: test:\([0-9,]*\).*/\1/p' "$demo/$1.txt" | tr , '\n' | sort; }
last=$(wrong_in label-before | sort -n | tail -1)  # the lists are cut: beyond this nothing is known
caused=$(comm -13 <(wrong_in label-before) <(wrong_in label-planted) | sort -n | awk -v last="$last" '$1 < last' | head -1)
if [ -z "$caused" ]; then
  echo "On this machine the wrong label turned none of the first predictions: nothing to trace."
else
  printf '\nTest digit %s was right before, and is wrong now. What pushed it most?\n' "$caused"
  once label-why "$label/why" "$program" explain "$label/planted" --queries "test:$caused" --threads 1 --out "$label/why"
  "$program" show "$label/why" --query 0 --top 3
  "$program" report "$label/why" -o "$demo/label.html"
  suspect=$("$program" show "$label/why" --query 0 --top 1 --json | .venv/bin/python -c 'import json, sys; print(json.load(sys.stdin)["towards"][0]["example"])')
  printf '\nThe ledger names training digit %s first; the wrong label is that of 312. Given its own again, everything else being the same:\n' "$suspect"
  printf 'example,label\n312,9\n' >"$label/mended.csv"
  once label-mended "$label/mended" "$program" retrain "$label/planted" --relabel "$label/mended.csv" --out "$label/mended"
  "$program" compare "$label/planted" "$label/mended" --ledger "$label/why"
fi

say "Done"
echo "$demo/theorem.html   every example's contribution as a curve, and the kernel machine y = Σ a_i K(x, x_i) + b"
echo "$demo/report.html    digits with the training images that pushed them most, wrong ones first"
[ ! -f "$demo/label.html" ] || echo "$demo/label.html     the digit that one wrong label turned, and the image that bears it, first among those that pushed"
echo "All open in any browser, without network:  xdg-open $demo/report.html"
