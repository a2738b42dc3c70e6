"""A language model of ten million parameters from Python: the sweep against training, in one run.  make bench-python

Transformer, sequence 128, batch 32, 32 queries (log-probability of the last token), float32; heavy ball and AdamW. Plain steps of torch and
run.step(), of two copies of the network, take turns; medians of their wall times. STEPS=6 and SMALL=1 (sequence 32, batch 8, 1 million parameters) make it shorter; MEMORY=14 is what explain() may take, in GiB. Threads: OMP_NUM_THREADS.
"""

import os
import pathlib
import resource
import statistics
import sys
import tempfile
import time

import torch
import torch.nn as nn
import torch.nn.functional as F

sys.path.insert(0, str(pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else "build") / "python"))
import pathkernel as pk  # noqa: E402

SMALL = os.environ.get("SMALL") == "1"
STEPS = int(os.environ.get("STEPS", "6"))
MEMORY = int(os.environ.get("MEMORY", "14"))  # GiB of explain(memory=…): with less the queries go in chunks, and the run is repeated for each
WIDTH, DEPTH, LENGTH, BATCH, QUERIES, VOCABULARY = (128, 4, 32, 8, 8, 256) if SMALL else (384, 5, 128, 32, 32, 1024)


class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        self.qkv, self.out = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)

    def forward(self, x):
        q, k, v = (t.unflatten(-1, (-1, 64)).transpose(1, 2) for t in self.qkv(x).chunk(3, -1))
        return self.out(F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).flatten(2))


class Language(nn.Module):
    def __init__(self):
        super().__init__()
        self.tokens, self.places = nn.Embedding(VOCABULARY, WIDTH), nn.Embedding(LENGTH, WIDTH)
        self.blocks = nn.ModuleList(nn.ModuleDict({"n1": nn.LayerNorm(WIDTH), "a": Attention(), "n2": nn.LayerNorm(WIDTH),
                                                   "m": nn.Sequential(nn.Linear(WIDTH, 4 * WIDTH), nn.GELU(), nn.Linear(4 * WIDTH, WIDTH))}) for _ in range(DEPTH))
        self.norm, self.head = nn.LayerNorm(WIDTH), nn.Linear(WIDTH, VOCABULARY, bias=False)

    def forward(self, ids):
        h = self.tokens(ids) + self.places(torch.arange(ids.shape[1]))
        for b in self.blocks:
            h = h + b["a"](b["n1"](h))
            h = h + b["m"](b["n2"](h))
        return self.head(self.norm(h))


def loss(logits, ids):
    return F.cross_entropy(logits[:, :-1].transpose(1, 2), ids[:, 1:], reduction="none").mean(1)


def last_token(logits, batch):
    return torch.log_softmax(logits[:, -2], -1).gather(1, batch.inputs[:, -1:])[:, 0]


def seconds(work, *arguments):
    begin = time.perf_counter()
    work(*arguments)
    return time.perf_counter() - begin


OPTIMIZERS = {"heavy ball": (lambda p: torch.optim.SGD(p, lr=0.01, momentum=0.9), 6), "adamw": (lambda p: torch.optim.AdamW(p, lr=3e-4), 8)}


def main():
    text = torch.randint(0, VOCABULARY, (STEPS * BATCH + QUERIES, LENGTH), generator=torch.Generator().manual_seed(0))
    data, asked = text[QUERIES:], text[:QUERIES]
    batches = torch.arange(STEPS * BATCH).split(BATCH)
    for name, (make, wanted) in OPTIMIZERS.items():
        with tempfile.TemporaryDirectory() as scratch:
            torch.manual_seed(0)
            plain = Language()
            optimizer = make(plain.parameters())
            torch.manual_seed(0)
            model = Language()
            run = pk.record(f"{scratch}/run", model=model, optimizer=make(model.parameters()), loss=loss, data=torch.utils.data.TensorDataset(data, data))

            def plain_step(rows):
                optimizer.zero_grad()
                loss(plain(data[rows]), data[rows]).mean().backward()
                optimizer.step()

            plain_step(batches[0])  # warms up
            ours, theirs = [], []
            for rows in batches:  # in turn, so that the machine's moods meet both
                theirs.append(seconds(plain_step, rows))
                ours.append(seconds(run.step, rows))
            closing = seconds(run.close)
            training, recorded = statistics.median(theirs), statistics.median(ours)
            begin = time.perf_counter()
            ledger = run.explain(asked, last_token, sampled_steps=0, memory=MEMORY << 30, progress=False)
            sweep = (time.perf_counter() - begin) / len(batches)
            chunks = run.plan(asked, last_token, sampled_steps=0, memory=MEMORY << 30)["chunks"]
        size = abs(ledger.contributions).sum(0)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        print(f"{name:12s} {sum(p.numel() for p in model.parameters()) / 1e6:.1f} million parameters, {STEPS} steps, {torch.get_num_threads()} threads: a plain step {training:.2f} s, "
              f"run.step {recorded:.2f} s ({100 * (recorded / training - 1):+.1f} %), closing {closing:.2f} s, sweep {sweep:.2f} s: {sweep / training:.1f}x (at most {wanted}x wanted); "
              f"residual {max(abs(ledger.residual) / size):.0e} of Σ|c|, peak memory {peak:.1f} GiB, {chunks} chunk{'s' if chunks > 1 else ''} of queries in memory={MEMORY} GiB", flush=True)


if __name__ == "__main__":
    main()
