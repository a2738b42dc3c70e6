"""Ledgers written from Python by docs/ledger.md alone, so that the pages are tested against the format, not against the writer."""

import json
from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import save_file


def write_ledger(folder, parts, example_targets, step, example, *, classes, layers, initial, queries, rest=None, extra=None,
                 outputs=None, settings=None):
    """parts: [D, L, Q], a draw's contribution layer by layer; every view is their sum. rest: {"decay": [Q], ...}."""
    parts, initial = np.asarray(parts, np.float64), np.asarray(initial, np.float64)
    D, L, Q = parts.shape
    N, C, T = len(example_targets), len(classes), int(step.max()) + 1
    draws = parts.sum(1).astype(np.float32)
    exact = draws.astype(np.float64)
    owner_class = np.asarray(example_targets, np.int64) if C > 1 else np.zeros(N, np.int64)
    zeros = lambda *size: np.zeros(size)
    t = {"draws": draws, "draw_step": step.astype(np.int64), "draw_example": example.astype(np.int64),
         "contributions": zeros(N, Q), "by_step": zeros(T, Q), "by_class": zeros(C, Q), "by_layer": parts.sum(0),
         "example_targets": np.asarray(example_targets, np.float64)}
    np.add.at(t["contributions"], example, exact)
    np.add.at(t["by_step"], step, exact)
    np.add.at(t["by_class"], owner_class, t["contributions"])
    by_layer_step, by_class_step = zeros(T, L, Q), zeros(T, C, Q)
    np.add.at(by_layer_step, step, parts)
    np.add.at(by_class_step, (step, owner_class[example]), exact)
    t["by_layer_step"], t["by_class_step"] = by_layer_step.astype(np.float32), by_class_step.astype(np.float32)
    t["initial"] = initial
    total = initial + t["contributions"].sum(0)
    for name in ("decay", "regulariser", "in_flight", "buffers", "jumps", "rounding", "residual"):
        t[name] = np.asarray((rest or {}).get(name, np.zeros(Q)), np.float64)
        total = total + t[name]
    t["final"] = total
    if outputs is None:
        outputs = np.vstack([initial, initial + np.cumsum(t["by_step"], 0)])
    t["outputs"] = np.asarray(outputs, np.float64)
    t["outputs"][-1] = total
    change = np.abs(total - initial) + 1e-300
    t["certificate.residual_to_contributions"] = np.abs(t["residual"]) / np.abs(t["contributions"]).sum(0)
    t["certificate.residual_to_change"] = np.abs(t["residual"]) / change
    t["certificate.rounding_to_change"] = np.abs(t["rounding"]) / change
    t["certificate.split_uncertainty"] = np.full(Q, 0.006)
    t.update(extra or {})

    folder = Path(folder)
    folder.mkdir(parents=True)
    save_file({name: np.ascontiguousarray(a) for name, a in t.items()}, folder / "ledger.safetensors")
    manifest = {
        "format": "pathkernel ledger", "version": 2, "tensors": {"file": "ledger.safetensors"},
        "settings": {"recording": "no/such/recording", "rule": "secant", "panels": 1, "stride": 1, "network": "weights", "regulariser": "", "convention": "propagate", "precision": "float",
                     "measure": "log-odds", "queries": f"test:0-{Q - 1}", "first_step": 0, "last_step": T, **(settings or {})},
        "queries": queries, "layers": layers, "classes": classes,
        "certificate": {"sampled_steps": 8, "correction_share": 0, "optimizer_mismatch": 1e-9, "optimizer_bound": 1e-7,
                        "replay_exact": True, "first_drift": -1}}
    (folder / "ledger.json").write_text(json.dumps(manifest))
    return t


def random_ledger(folder, *, examples=200, queries=5, steps=30, batch=16, classes=10, seed=0, recording=None, name="{}"):
    """A classification ledger with made-up contributions; query 1 is a wrong prediction."""
    rng = np.random.default_rng(seed)
    D = steps * batch
    step, example = np.repeat(np.arange(steps), batch), rng.integers(0, examples, D)
    targets = np.arange(examples) % classes
    pull = rng.normal(0, 1, (classes, queries))
    parts = rng.normal(0, 0.05, (D, 2, queries)) + 0.02 * pull[targets[example]][:, None, :]
    info = [{"input": f"test:{q}", "measurement": f"log-odds of {q % classes} (runner-up {(q + 3) % classes})", "row": q, "part": "test",
             "target": (q + (q == 1)) % classes, "predicted": q % classes} for q in range(queries)]
    rest = {"decay": rng.normal(0, 0.1, queries), "rounding": rng.normal(0, 1e-6, queries), "residual": rng.normal(0, 1e-8, queries)}
    return write_ledger(folder, parts, targets, step, example, classes=[name.format(k) for k in range(classes)], layers=["conv1", "fc1"],
                        initial=rng.normal(0, 0.3, queries), queries=info, rest=rest,
                        settings={"recording": str(recording)} if recording else None)


def theorem_ledger(folder, *, steps=60, grid=61, width=24, lr=0.1, seed=2, points=8):
    """A real one-dimensional regression: a tanh net on a few points, full-batch gradient descent, G by five Gauss nodes."""
    torch.manual_seed(seed)
    torch.set_default_dtype(torch.float64)
    x = torch.linspace(-3, 3, points)[:, None] + 0.15 * torch.randn(points, 1)
    y = torch.sin(1.6 * x[:, 0])
    xq = torch.linspace(-3.6, 3.6, grid)[:, None]
    net = torch.nn.Sequential(torch.nn.Linear(1, width), torch.nn.Tanh(), torch.nn.Linear(width, width), torch.nn.Tanh(),
                              torch.nn.Linear(width, 1))
    names = [n for n, _ in net.named_parameters()]
    w = {n: p.detach().clone() for n, p in net.named_parameters()}
    f = lambda w, x: torch.func.functional_call(net, w, (x[None],))[0, 0]
    values = torch.func.vmap(f, in_dims=(None, 0))
    jac = lambda w, x: {n: g.flatten(1) for n, g in torch.func.vmap(torch.func.grad(f), in_dims=(None, 0))(w, x).items()}
    nodes, weights = np.polynomial.legendre.leggauss(5)
    layers = ["0", "2", "4"]
    parts, outputs, K = [], [values(w, xq)], 0
    for _ in range(steps):
        J, residual = jac(w, x), 2 * (values(w, x) - y) / points
        delta = {n: -lr * (residual @ J[n]).reshape(w[n].shape) for n in names}
        G = {n: torch.zeros(grid, J[n].shape[1]) for n in names}
        for u, weight in zip((nodes + 1) / 2, weights / 2):
            for n, g in jac({n: w[n] + u * delta[n] for n in names}, xq).items():
                G[n] += weight * g
        theta = {n: J[n] @ G[n].T for n in names}
        K = K + lr * sum(theta.values())
        parts.append(torch.stack([-lr * residual[:, None] * sum(theta[n] for n in names if n.startswith(layer)) for layer in layers], 1))
        w = {n: w[n] + delta[n] for n in names}
        outputs.append(values(w, xq))
    torch.set_default_dtype(torch.float32)
    parts, outputs = torch.cat(parts).numpy(), torch.stack(outputs).numpy()
    draws = parts.sum(1).astype(np.float32).astype(np.float64).sum(0)
    residual = outputs[-1] - outputs[0] - draws
    info = [{"input": f"grid:{q}", "measurement": "output 0", "row": q, "part": "grid", "target": -1, "predicted": -1} for q in range(grid)]
    return write_ledger(folder, parts, y.numpy(), np.repeat(np.arange(steps), points), np.tile(np.arange(points), steps),
                        classes=["all"], layers=["fc1", "fc2", "fc3"], initial=outputs[0], queries=info, rest={"residual": residual},
                        outputs=outputs, settings={"measure": "output:0", "precision": "double"},
                        extra={"path_kernel": K.numpy(), "query_inputs": xq.numpy(), "example_inputs": x.numpy()})
