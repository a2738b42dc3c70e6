"""The tape on live Python modules: per-example gradients against torch.func, and secant completeness (design.md, invariants 1, 3, 7)."""

import os
import pathlib
import sys

import pytest
import torch
import torch.nn as nn
import torch.nn.functional as F

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(pathlib.Path(os.environ.get("PATHKERNEL_BUILD", ROOT / "build")) / "python"))
from pathkernel import _engine as engine  # noqa: E402


@pytest.fixture(autouse=True)
def in_float64():
    """Only here: a default set while pytest collects reaches the tests of every other file."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(before)


class LeNet(nn.Module):
    """Convolutions with in-place relu and max-pool."""

    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(1, 6, 5, padding=2), nn.ReLU(inplace=True), nn.MaxPool2d(2),
            nn.Conv2d(6, 16, 5), nn.ReLU(inplace=True), nn.MaxPool2d(2), nn.Flatten(),
            nn.Linear(400, 120), nn.ReLU(inplace=True), nn.Linear(120, 84), nn.ReLU(inplace=True), nn.Linear(84, 10))

    def forward(self, x):
        return self.body(x)


class Encoder(nn.Module):
    """A Transformer encoder layer on token indices, batch-first or time-major."""

    def __init__(self, batch_first, norm_first=False, activation="gelu"):
        super().__init__()
        self.batch_first = batch_first
        self.embedding = nn.Embedding(20, 16)
        self.layer = nn.TransformerEncoderLayer(16, 4, 32, dropout=0.0, activation=activation, batch_first=batch_first, norm_first=norm_first)
        self.head = nn.Linear(16, 5)

    def forward(self, tokens):
        h = self.embedding(tokens)
        if not self.batch_first:
            h = h.transpose(0, 1)
        h = self.layer(h)
        return self.head(h.mean(1 if self.batch_first else 0))


class Tied(nn.Module):
    """One matrix as embedding and as output layer."""

    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(12, 8)
        self.mix = nn.Linear(8, 8)

    def forward(self, tokens):
        h = torch.tanh(self.mix(self.embedding(tokens))).mean(1)
        return h @ self.embedding.weight.t()


class Residual(nn.Module):
    """In-place sums through views, a scale, a class token, leaky relu, softplus (no rule of its own), prelu (a parameter inside an
    operation without a rule)."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(7, 6), nn.Linear(6, 6)
        self.scale, self.token = nn.Parameter(torch.rand(6)), nn.Parameter(torch.rand(1, 1, 6))
        self.prelu, self.head = nn.PReLU(6), nn.Linear(12, 4)

    def forward(self, x):
        h = F.leaky_relu(self.first(x), 0.1)
        r = F.softplus(self.second(h)) * self.scale
        r += h
        r[:, :3] *= 2.0
        h = self.prelu(r)
        both = torch.cat([self.token.expand(len(x), 1, 6), h.unsqueeze(1)], 1)
        return self.head(both.flatten(1))


class Normed(nn.Module):
    """A weight that is itself made of parameters."""

    def __init__(self):
        super().__init__()
        self.v, self.g = nn.Parameter(torch.randn(5, 7)), nn.Parameter(torch.rand(5, 1))

    def forward(self, x):
        return F.linear(x, self.g * self.v / self.v.pow(2).sum(1, keepdim=True).sqrt())


class Scaled(nn.Module):
    """Weights that are turned and scaled, as networks in the tangent kernel's parametrisation do."""

    def __init__(self):
        super().__init__()
        self.first, self.second, self.third, self.fourth = (nn.Parameter(torch.randn(shape)) for shape in ((6, 7), (6, 6), (6, 6), (4, 6)))

    def forward(self, x):
        h = torch.tanh(x @ self.first.T * 0.4)
        h = torch.tanh(F.linear(h, 0.3 * self.second.permute(1, 0)))
        h = torch.tanh(h @ -(self.third / 6**0.5).transpose(0, 0))  # the same two: not turned
        return h @ (torch.tensor(0.7) * self.fourth.mT)


def images(n):
    return torch.rand(n, 1, 28, 28)


def tokens(high, length):
    return lambda n: torch.randint(0, high, (n, length))


def rows(n):
    return torch.randn(n, 7)


CASES = {
    "lenet": (LeNet, images, 10),
    "encoder_batch_first": (lambda: Encoder(True), tokens(20, 7), 5),
    "encoder_time_major": (lambda: Encoder(False), tokens(20, 7), 5),
    "encoder_pre_norm_relu": (lambda: Encoder(True, True, "relu"), tokens(20, 6), 5),
    "tied_embeddings": (Tied, tokens(12, 5), 12),
    "residual": (Residual, rows, 4),
    "weight_norm": (Normed, rows, 5),
    "scaled_weights": (Scaled, rows, 4),
}


def build(name):
    torch.manual_seed(0)
    make, inputs, classes = CASES[name]
    return make().double(), inputs, classes


@pytest.mark.parametrize("n", [1, 6])
@pytest.mark.parametrize("name", CASES)
def test_per_example_gradients_equal_vmap_of_grad(name, n):
    module, inputs, classes = build(name)
    x, y = inputs(n), torch.randint(0, classes, (n,))
    names = [k for k, _ in module.named_parameters()]

    reference = LeNetOutOfPlace(module) if name == "lenet" else OutOfPlace(module) if name == "residual" else module

    def loss_of_one(parameters, xi, yi):
        return F.cross_entropy(torch.func.functional_call(reference, parameters, (xi[None],)), yi[None])

    expected_by_name = None
    parameters = {k: v.detach() for k, v in reference.named_parameters()}
    one = [torch.func.grad(loss_of_one)(parameters, x[i], y[i]) for i in range(n)] if name.startswith("encoder") else None
    if one is None:
        expected_by_name = torch.func.vmap(torch.func.grad(loss_of_one), (None, 0, 0))(parameters, x, y)
    else:  # the encoder's attention has no batching rule for every mask; one example at a time is the same function
        expected_by_name = {k: torch.stack([o[k] for o in one]) for k in parameters}
    expected = [next(v for k2, v in expected_by_name.items() if k2.endswith(k)) for k in names]

    module.zero_grad()
    got = engine.per_example_gradients(module, [x], lambda out: F.cross_entropy(out, y, reduction="none"), check=False)
    for k, g, e, p in zip(names, got, expected, module.parameters()):
        assert g.shape == e.shape, k
        assert (g - e).abs().max() <= 1e-12 * max(1.0, e.abs().max()), k
        assert (g.sum(0) - p.grad).abs().max() <= 1e-12 * max(1.0, p.grad.abs().max()), k


class LeNetOutOfPlace(nn.Module):
    """vmap refuses some in-place operations; the same function without them."""

    def __init__(self, module):
        super().__init__()
        self.inner = module

    def forward(self, x):
        for layer in self.inner.body:
            x = F.relu(x) if isinstance(layer, nn.ReLU) else layer(x)
        return x


class OutOfPlace(nn.Module):
    def __init__(self, module):
        super().__init__()
        self.inner = module

    def forward(self, x):
        m = self.inner
        h = F.leaky_relu(m.first(x), 0.1)
        h = h + F.softplus(m.second(h)) * m.scale
        h = torch.cat([h[:, :3] * 2.0, h[:, 3:]], 1)
        h = m.prelu(h)
        both = torch.cat([m.token.expand(len(x), 1, 6), h.unsqueeze(1)], 1)
        return m.head(both.flatten(1))


@pytest.mark.parametrize("name", CASES)
def test_owners_are_confirmed_by_the_probe(name):
    module, inputs, classes = build(name)
    x, y = inputs(5), torch.randint(0, classes, (5,))
    engine.per_example_gradients(module, [x], lambda out: F.cross_entropy(out, y, reduction="none"), check=True)


def log_odds(classes):
    def measure(logits):
        chosen = F.one_hot(torch.arange(len(logits)) % classes, classes).bool()
        return (logits * chosen).sum(1) - logits.masked_fill(chosen, float("-inf")).logsumexp(1)
    return measure


@pytest.mark.parametrize("step", [0.3, 0.1, 0.01, 1e-5])
@pytest.mark.parametrize("name", CASES)
def test_secant_is_complete(name, step):
    module, inputs, classes = build(name)
    x = inputs(6)
    at0 = [p.detach().clone() for p in module.parameters()]
    at1 = [p + step * torch.randn_like(p) * p.abs().mean() for p in at0]
    f0, f1, g, corrections = engine.secant(module, at0, at1, [x], log_odds(classes))
    total = sum((gp * (b - a)).flatten(1).sum(1) for gp, a, b in zip(g, at0, at1))
    size = sum((gp * (b - a)).flatten(1).abs().sum(1) for gp, a, b in zip(g, at0, at1))
    assert ((f1 - f0) - total).abs().max() <= 1e-12 * max(1.0, size.max())
    assert ((f1 - f0).abs() > 0).all()
    if name in ("lenet", "tied_embeddings", "scaled_weights") or name.startswith("encoder"):
        assert not corrections, "every operation of these nets has a rule"


@pytest.mark.parametrize("name", CASES)
def test_equal_ends_give_the_gradient(name):
    module, inputs, classes = build(name)
    x, measure = inputs(4), log_odds(classes)
    at = [p.detach().clone() for p in module.parameters()]
    _, _, g, _ = engine.secant(module, at, at, [x], measure)
    for i in range(4):
        module.zero_grad()
        measure(module(x))[i].backward()
        for gp, p in zip(g, module.parameters()):
            assert (gp[i] - p.grad).abs().max() <= 1e-12 * max(1.0, p.grad.abs().max())


def test_a_uniform_shift_of_the_logits_earns_nothing():
    """Sato-Vartia weights sum to one: moving every logit by the same amount changes no softmax and earns no share."""
    layer = nn.Linear(3, 4).double()
    x = torch.randn(5, 3)
    at0 = [p.detach().clone() for p in layer.parameters()]
    at1 = [at0[0].clone(), at0[1] + 0.7]
    _, _, g, _ = engine.secant(layer, at0, at1, [x], lambda z: F.log_softmax(z, 1)[:, 2])
    assert (g[1] @ torch.ones(4)).abs().max() <= 1e-14


def test_logsumexp_weights_of_theory_3b():
    class Free(nn.Module):
        def __init__(self):
            super().__init__()
            self.z = nn.Parameter(torch.zeros(3))

        def forward(self, x):
            return x + self.z

    z0, z1 = torch.tensor([1, -.5, .2]), torch.tensor([.3, .4, -.1])
    f0, f1, g, _ = engine.secant(Free(), [z0], [z1], [torch.zeros(2, 3)], lambda z: z.logsumexp(1))
    assert (g[0][0] - torch.tensor([0.485576794726, 0.250636083852, 0.263787121422])).abs().max() < 1e-12
    assert abs((f1 - f0)[0].item() + 0.193467417267) < 1e-12


def test_detached_branches_count_on_the_query_side_and_not_on_the_training_side():
    class Detached(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Linear(3, 4), nn.Linear(4, 2)

        def forward(self, x):
            h = torch.tanh(self.a(x))
            return self.b(h) + h.detach()[:, :2]

    module, x, y = Detached().double(), torch.randn(5, 3), torch.randint(0, 2, (5,))
    module.zero_grad()
    got = engine.per_example_gradients(module, [x], lambda out: F.cross_entropy(out, y, reduction="none"))
    module.zero_grad()
    F.cross_entropy(module(x), y, reduction="sum").backward()
    for g, p in zip(got, module.parameters()):
        assert (g.sum(0) - p.grad).abs().max() < 1e-12
    at0 = [p.detach().clone() for p in module.parameters()]
    at1 = [p + 0.1 * torch.randn_like(p) for p in at0]
    f0, f1, g, _ = engine.secant(module, at0, at1, [x], lambda z: z[:, 0])
    total = sum((gp * (b - a)).flatten(1).sum(1) for gp, a, b in zip(g, at0, at1))
    assert ((f1 - f0) - total).abs().max() < 1e-13


class Normed2d(nn.Module):
    """Batch norm over images and over rows, with dropout, in place; running statistics of two kinds."""

    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(1, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4), nn.ReLU(inplace=True), nn.Dropout2d(0.2),
            nn.Conv2d(4, 4, 3, stride=2, padding=1, groups=2), nn.GroupNorm(2, 4), nn.SiLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten(),
            nn.Linear(16, 6), nn.BatchNorm1d(6, momentum=None), nn.Tanh(), nn.Dropout(0.3), nn.Linear(6, 3))

    def forward(self, x):
        return self.body(x)


class Contrast(nn.Module):
    """Two views of every input, compared with all others of the batch (its losses are in `contrastive`)."""

    def __init__(self):
        super().__init__()
        self.a, self.norm = nn.Linear(7, 5), nn.LayerNorm(5)

    def forward(self, x):
        one, two = F.normalize(self.norm(self.a(x)), dim=1), F.normalize(self.a(torch.roll(x, 1, 1)), dim=1)
        return one @ two.T / 0.3


def contrastive(similar, y):
    return F.cross_entropy(similar, torch.arange(len(y)), reduction="none") - similar.logsumexp(0).diff(append=torch.zeros(1))


class Decorrelated(nn.Module):
    """Outputs with the batch's own mean and covariance taken out."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(7, 4), nn.Linear(4, 3)

    def forward(self, x):
        h = self.a(x)
        h = h - h.mean(0, keepdim=True)
        whiten = torch.linalg.cholesky(h.T @ h / len(h) + 0.1 * torch.eye(4))
        return self.b(torch.linalg.solve_triangular(whiten, h.T, upper=False).T)


def cross_entropy(out, y):
    return F.cross_entropy(out, y, reduction="none")


COUPLED = {
    "batch_norm": (Normed2d, lambda n: torch.rand(n, 1, 6, 6), 3, cross_entropy),
    "contrastive": (Contrast, rows, 3, contrastive),
    "decorrelated": (Decorrelated, rows, 3, cross_entropy),
}
PUSHED = {**COUPLED, **{name: (*case, cross_entropy) for name, case in CASES.items()}}


@pytest.mark.parametrize("name", PUSHED)
def test_pushforward_equals_each_examples_gradient_in_its_batch(name):
    make, inputs, classes, loss = PUSHED[name]
    torch.manual_seed(0)
    module, n, q = make().double().train(), 6, 3
    x, y = inputs(n), torch.randint(0, classes, (n,))
    buffers = {k: b.clone() for k, b in module.named_buffers()}
    tangents = [torch.randn(q, *p.shape) for p in module.parameters()]
    torch.manual_seed(5)
    got = engine.pushforward(module, [x], loss, tangents, extra=[y])
    assert torch.equal(torch.rand(2), torch.rand(2, generator=torch.Generator().manual_seed(5))), "the generator was put back"
    for k, b in module.named_buffers():
        assert torch.equal(b, buffers[k]), k

    torch.manual_seed(5)
    losses = loss(module(x), y)
    expected = torch.zeros(n, q)
    for i in range(n):
        g = torch.autograd.grad(losses[i], list(module.parameters()), retain_graph=True, allow_unused=True)
        expected[i] = sum((t * gp).flatten(1).sum(1) for t, gp in zip(tangents, g) if gp is not None)
    assert (got - expected).abs().max() <= 1e-12 * expected.abs().max()
    torch.manual_seed(5)
    query_by_query = engine.pushforward(module, [x], loss, tangents, extra=[y], memory=1)
    assert (got - query_by_query).abs().max() <= 1e-13 * expected.abs().max()


@pytest.mark.parametrize("name", COUPLED)
def test_coupled_examples_have_no_factors(name):
    make, inputs, classes, loss = COUPLED[name]
    module, x, y = make().double(), inputs(5), torch.randint(0, classes, (5,))
    with pytest.raises(engine.InvalidInput, match="coupled examples: aten::.* mixes the examples"):
        engine.per_example_gradients(module, [x], loss, extra=[y])


def test_the_probe_finds_coupling_the_tape_cannot_see():
    class Hidden(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x.clone()

        @staticmethod
        def backward(ctx, v):
            return v + v.flip(0)

    class Coupled(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Linear(3, 4), nn.Linear(4, 2)

        def forward(self, x):
            return self.b(Hidden.apply(self.a(x)))

    with pytest.raises(engine.InvalidInput, match="does not split by example"):
        engine.per_example_gradients(Coupled().double(), [torch.randn(5, 3)], lambda out: out.pow(2).sum(1))


def test_a_parameter_read_behind_the_tapes_back_is_named():
    class Hidden(nn.Module):
        def __init__(self):
            super().__init__()
            self.a = nn.Linear(3, 4)

        def forward(self, x):
            return self.a(x) + self.a.weight.data.sum()

    module = Hidden().double()
    at = [p.detach().clone() for p in module.parameters()]
    with pytest.raises(engine.InvalidInput, match="'a.weight' behind the tape's back"):
        engine.secant(module, at, at, [torch.randn(2, 3)], lambda z: z[:, 0])
