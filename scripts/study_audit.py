"""Which ranking finds planted label errors best?  make study-audit

Trains LeNet with 1 % of the labels flipped, on MNIST and Fashion-MNIST with three seeds each, audits every run, and prints a Markdown
table: AUC and precision at as many ranks as errors were planted, mean over the seeds (least to largest). LIMIT=N takes the first N
training examples only, QUERIES=test:0-1999 fewer queries, EPOCHS=3 trains longer.
"""

import collections
import json
import os
import pathlib
import subprocess
import sys
import tempfile

program = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else "build/pathkernel")
limit = int(os.environ.get("LIMIT", "0"))
seeds = [int(s) for s in os.environ.get("SEEDS", "1,2,3").split(",")]


def pathkernel(*arguments):
    done = subprocess.run([str(program), *map(str, arguments), "--json"], check=True, capture_output=True, text=True)
    return json.loads(done.stdout)


def spread(values):
    return f"{sum(values) / len(values):.3f} ({min(values):.3f}–{max(values):.3f})"


def main():
    print("| data | method | AUC | precision at as many as planted | seconds of the audit |\n|---|---|---|---|---|", flush=True)
    for data in os.environ.get("DATA", "mnist,fashion-mnist").split(","):
        auc, precision, seconds = collections.defaultdict(list), collections.defaultdict(list), []
        for seed in seeds:
            with tempfile.TemporaryDirectory() as scratch:
                run = pathlib.Path(scratch) / "run"
                trained = pathkernel("train", "--data", data, "--limit", limit, "--model", "lenet", "--lr", 0.01, "--momentum", 0.9, "--flip", 0.01, "--epochs", os.environ.get("EPOCHS", "1"), "--seed", seed, "--out", run)
                audit = pathkernel("audit", run, "--queries", os.environ.get("QUERIES", "test:all"))
                print(f"{data}, seed {seed}: test accuracy {trained['test_accuracy']:.4f}, {audit['planted']} planted, {json.dumps(audit['methods'])}", file=sys.stderr, flush=True)
                seconds.append(audit["seconds"])
                for name, method in audit["methods"].items():
                    auc[name].append(method["auc"])
                    precision[name].append(method["precision"][-1])
        for name in sorted(auc, key=lambda n: -sum(auc[n])):
            print(f"| {data} | {name} | {spread(auc[name])} | {spread(precision[name])} | {max(seconds):.0f} |", flush=True)


if __name__ == "__main__":
    main()
