"""The empirical tangent kernel, full [64, 64, O, O] in float32, against torch.func's Jacobians contracted, in one run.  make bench-python

Three networks: 784-512-512-512-10, LeNet, a small residual convolutional network. N=64 inputs; THREADS by OMP_NUM_THREADS. Prints the seconds of
each, their ratio, and the largest difference of the two kernels, of the largest entry: of Theta(x, y) of two sets of inputs, and of one set with
itself, of which torch's tutorial computes the Jacobians twice and all of the matrix.
"""

import os
import pathlib
import sys
import time

import torch
import torch.nn as nn
from torch.func import functional_call, jacrev, vmap

sys.path.insert(0, str(pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else "build") / "python"))
import pathkernel as pk  # noqa: E402

N = int(os.environ.get("N", "64"))


class Block(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.a, self.b = nn.Conv2d(width, width, 3, padding=1), nn.Conv2d(width, width, 3, padding=1)

    def forward(self, x):
        return x + self.b(torch.relu(self.a(torch.relu(x))))


def networks():
    yield "784-512-512-512-10", nn.Sequential(nn.Linear(784, 512), nn.ReLU(), nn.Linear(512, 512), nn.ReLU(), nn.Linear(512, 512), nn.ReLU(), nn.Linear(512, 10)), (784,)
    yield "LeNet", nn.Sequential(nn.Conv2d(1, 6, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(400, 120),
                                 nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 10)), (1, 28, 28)
    yield "residual 3-16-16-16", nn.Sequential(nn.Conv2d(3, 16, 3, padding=1), Block(16), Block(16), nn.ReLU(), nn.AvgPool2d(4), nn.Flatten(), nn.Linear(16 * 64, 10)), (3, 32, 32)


def by_torch_func(model, x, y):
    parameters = {k: v.detach() for k, v in model.named_parameters()}

    def f(p, one):
        return functional_call(model, p, (one[None],)).squeeze(0)

    def jacobian(z):
        return [j.flatten(2) for j in vmap(jacrev(f), (None, 0))(parameters, z).values()]

    return sum(torch.einsum("naf,mbf->nmab", a, b) for a, b in zip(jacobian(x), jacobian(y)))  # as in torch's own tutorial


def seconds(work, at_least=1):
    best, spent, result = float("inf"), 0.0, None
    while spent < 2 or at_least > 0:
        begin = time.perf_counter()
        result = work()
        took = time.perf_counter() - begin
        best, spent, at_least = min(best, took), spent + took, at_least - 1
    return best, result


for name, model, shape in networks():
    torch.manual_seed(0)
    x, y = torch.randn(N, *shape), torch.randn(N, *shape)
    for what, other in (("Θ(x, y)", y), ("Θ(x, x)", None)):
        ours, kernel = seconds(lambda: pk.tangent_kernel(model, x, other), at_least=3)
        theirs, expected = seconds(lambda: by_torch_func(model, x, x if other is None else other))
        print(f"{name:20} {what} [{N}, {N}, 10, 10]   pathkernel {1e3 * ours:8.1f} ms   torch.func {1e3 * theirs:9.1f} ms   {theirs / ours:7.1f}x   "
              f"differ by {float((kernel - expected).abs().max() / expected.abs().max()):.1e}", flush=True)
