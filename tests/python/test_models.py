"""What a stranger trains: whole models of many kinds, each recorded, repeated, explained and complete to the bounds of design.md."""

import os
import pathlib
import sys

import numpy as np
import pytest
import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.utils.data import TensorDataset

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(pathlib.Path(os.environ.get("PATHKERNEL_BUILD", ROOT / "build")) / "python"))
import pathkernel as pk  # noqa: E402
from pathkernel import _engine  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore:There is a performance drop")  # of torch.func, beside which gradients are held


class Losses(nn.Module):
    """A network and its loss as one function of an example's tensors, in eval mode: without batches' statistics, dropout and other draws."""

    def __init__(self, run):
        super().__init__()
        self.trained, self.network = run._trained, run._trained.network.module

    def train(self, mode=True):
        return super().train(False)

    def forward(self, *tensors):
        outputs = self.trained.network.forward(*tensors[:-1])
        if self.trained.loss is not None:
            return self.trained.loss.losses(outputs, tensors[-1])
        return F.cross_entropy(outputs[0], tensors[-1], reduction="none", label_smoothing=float(self.trained.objective.partition(":")[2] or 0))


def compare_with_torch_func(run, data):
    """Every example's gradient, as the catcher finds it, against torch.func.vmap(grad) of its loss alone; where vmap cannot run the model, against
    torch.func.grad one by one; where that cannot either, against autograd one by one. Says which, and why."""
    items = [data[i] for i in range(3)] if not isinstance(data, tuple) else [(data[0][i], data[1][i]) for i in range(3)]
    inputs = [list(x.values()) if isinstance(x, dict) else list(x) if isinstance(x, (tuple, list)) else [x] for x, _ in items]
    tensors = [torch.stack(each) for each in zip(*inputs)] + [torch.stack([torch.as_tensor(y) for _, y in items])]
    tensors = [t.double() if t.is_floating_point() else t for t in tensors]
    losses = Losses(run).eval()
    parameters = {k: p for k, p in losses.named_parameters(remove_duplicate=True) if p.requires_grad}
    caught = dict(zip(parameters, _engine.per_example_gradients(losses, tensors, lambda outputs: outputs, check=False)))
    losses.zero_grad()

    def loss_of_one(values, *one):
        return torch.func.functional_call(losses, values, tuple(t[None] for t in one), tie_weights=True)[0]

    values, way, reason = {k: p.detach() for k, p in parameters.items()}, "torch.func.vmap(grad)", ""
    try:
        expected = torch.func.vmap(torch.func.grad(loss_of_one), (None, *[0] * len(tensors)))(values, *tensors)
    except Exception as of_vmap:  # noqa: BLE001 — whatever stops torch.func is what is told
        way, reason = "torch.func.grad, one by one", str(of_vmap)
        try:
            each = [torch.func.grad(loss_of_one)(values, *[t[i] for t in tensors]) for i in range(3)]
        except Exception as of_grad:  # noqa: BLE001
            way, reason = "autograd, one by one", str(of_grad)
            each = [dict(zip(parameters, torch.autograd.grad(losses(*[t[i : i + 1] for t in tensors])[0], list(parameters.values()), allow_unused=True))) for i in range(3)]
        expected = {k: torch.stack([torch.zeros_like(p) if e[k] is None else e[k] for e in each]) for k, p in parameters.items()}
    print(f"per-example gradients against {way}" + (f", because: {' '.join(reason.split())[:200]}" if reason else ""))
    for k, g in expected.items():
        assert torch.allclose(caught[k], g, rtol=1e-9, atol=1e-11 + 1e-10 * float(g.abs().max())), (k, (caught[k] - g).abs().max())
    return way


def account(tmp_path, model, data, loss, queries, measure, *, batch_size=4, epochs=2, optimizer=None, gradients=True, **options):
    """Records in float64, repeats, explains, and holds the ledger to design.md's bounds. Every example's gradient is held to torch.func's first."""
    model = model.double()
    optimizer = optimizer(model.parameters()) if optimizer else torch.optim.AdamW(model.parameters(), lr=3e-3, weight_decay=0.01)
    with pk.record(tmp_path / "run", model=model, optimizer=optimizer, loss=loss, data=data, **options) as run:
        if gradients:
            compare_with_torch_func(run, data)
        run.fit(epochs, batch_size, progress=False)
    assert run.verify(progress=False) == run.steps
    ledger = run.explain(queries, measure, progress=False)
    size = np.abs(ledger.contributions).sum(0)
    assert (size > 0).all()
    total = ledger.initial + ledger.contributions.sum(0) + sum(getattr(ledger, k) for k in ("decay", "regulariser", "in_flight", "buffers", "jumps", "rounding", "residual"))
    assert np.allclose(total, ledger.final, rtol=1e-11, atol=1e-11)
    assert (np.abs(ledger.residual) <= 1e-12 * size + np.asarray(ledger._engine.residual_of_rounding)).all(), ledger.residual / size
    assert ledger.certificate.replay_exact and ledger.certificate.optimizer_mismatch <= 1
    return ledger


def doubles(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


class Block(nn.Module):
    def __init__(self, inside, outside, stride):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(inside, outside, 3, stride, 1, bias=False), nn.BatchNorm2d(outside)
        self.conv2, self.bn2 = nn.Conv2d(outside, outside, 3, 1, 1, bias=False), nn.BatchNorm2d(outside)
        self.short = nn.Sequential(nn.Conv2d(inside, outside, 1, stride, bias=False), nn.BatchNorm2d(outside)) if stride > 1 else nn.Identity()

    def forward(self, x):
        out = F.relu(self.bn1(self.conv1(x)), inplace=True)
        out = self.bn2(self.conv2(out))
        out += self.short(x)
        return F.relu(out)


class ResNet18(nn.Module):
    """ResNet-18's shape for images of 32 × 32, with few channels."""

    def __init__(self, width=4, classes=5):
        super().__init__()
        stages = [(width, width, 1), (width, width, 1), (width, 2 * width, 2), (2 * width, 2 * width, 1), (2 * width, 4 * width, 2), (4 * width, 4 * width, 1),
                  (4 * width, 8 * width, 2), (8 * width, 8 * width, 1)]
        self.conv1, self.bn1 = nn.Conv2d(3, width, 3, 1, 1, bias=False), nn.BatchNorm2d(width)
        self.layers = nn.Sequential(*[Block(*s) for s in stages])
        self.head = nn.Linear(8 * width, classes)

    def forward(self, x):
        return self.head(F.adaptive_avg_pool2d(self.layers(F.relu(self.bn1(self.conv1(x)))), 1).flatten(1))


def test_a_residual_network_with_batch_norm(tmp_path):
    torch.manual_seed(0)
    data = doubles(8, 3, 32, 32), torch.arange(8) % 5
    ledger = account(tmp_path, ResNet18(), data, nn.CrossEntropyLoss(), doubles(2, 3, 32, 32, seed=1), "log-odds", epochs=1,
                     optimizer=lambda p: torch.optim.SGD(p, lr=0.05, momentum=0.9, weight_decay=5e-4))
    assert (ledger.buffers != 0).all()


class EncoderClassifier(nn.Module):
    def __init__(self, heads=2, width=16, classes=3, **options):
        super().__init__()
        self.embedding, self.position = nn.Embedding(30, width), nn.Parameter(torch.randn(1, 9, width) * 0.02)
        layer = nn.TransformerEncoderLayer(width, heads, 32, batch_first=True, dropout=0.1, **options)
        self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.head = nn.Linear(width, classes)

    def forward(self, tokens, padding):
        h = self.encoder(self.embedding(tokens) + self.position, src_key_padding_mask=padding)
        return self.head(h.masked_fill(padding[..., None], 0).sum(1) / (~padding).sum(1, keepdim=True))


@pytest.mark.parametrize("options", [{}, {"norm_first": True, "activation": "gelu"}])
def test_a_transformer_encoder_with_padding(tmp_path, options):
    torch.manual_seed(0)
    tokens = torch.randint(0, 30, (10, 9))
    padding = torch.arange(9)[None] >= torch.randint(3, 10, (10, 1))
    data = [({"tokens": tokens[i], "padding": padding[i]}, int(i % 3)) for i in range(10)]
    account(tmp_path, EncoderClassifier(**options), data, nn.CrossEntropyLoss(label_smoothing=0.1), {"tokens": tokens[:3], "padding": padding[:3]}, "logits")


class Attention(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads, self.qkv, self.out = heads, nn.Linear(width, 3 * width), nn.Linear(width, width)

    def forward(self, x):
        q, k, v = (t.unflatten(-1, (self.heads, -1)).transpose(1, 2) for t in self.qkv(x).chunk(3, -1))
        return self.out(F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).flatten(2))


class Language(nn.Module):
    """GPT-2's shape: learned positions, pre-norm, gelu by tanh, the output layer tied to the embedding."""

    def __init__(self, vocabulary=19, width=16, length=8, depth=2):
        super().__init__()
        self.tokens, self.places = nn.Embedding(vocabulary, width), nn.Embedding(length, width)
        self.blocks = nn.ModuleList(nn.ModuleDict({"n1": nn.LayerNorm(width), "a": Attention(width, 2), "n2": nn.LayerNorm(width),
                                                   "m": nn.Sequential(nn.Linear(width, 4 * width), nn.GELU("tanh"), nn.Linear(4 * width, width))}) for _ in range(depth))
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, vocabulary, bias=False)
        self.head.weight = self.tokens.weight

    def forward(self, ids):
        h = self.tokens(ids) + self.places(torch.arange(ids.shape[1]))
        for b in self.blocks:
            h = h + b["a"](b["n1"](h))
            h = h + b["m"](b["n2"](h))
        return {"logits": self.head(self.norm(h))}


def next_token_loss(outputs, ids):
    return F.cross_entropy(outputs.logits[:, :-1].transpose(1, 2), ids[:, 1:], reduction="none").mean(1)


def next_token(outputs, batch):
    """log p of the last two tokens."""
    p = torch.log_softmax(outputs["logits"], -1)
    return torch.stack([p[:, t - 1].gather(1, batch.inputs[:, t, None])[:, 0] for t in (-2, -1)], 1)


def test_a_language_model(tmp_path):
    torch.manual_seed(0)
    text = torch.randint(0, 19, (12, 8))
    ledger = account(tmp_path, Language(), TensorDataset(text, text), next_token_loss, text[:3], next_token)
    assert ledger.contributions.shape == (12, 6)


def test_a_language_model_of_transformers(tmp_path):
    transformers = pytest.importorskip("transformers", reason="the package transformers is not installed: with what it needs it is 150 MB, too much for make test (passes with 5.23)")
    torch.manual_seed(0)
    config = transformers.GPT2Config(vocab_size=19, n_positions=8, n_embd=16, n_layer=2, n_head=2, use_cache=False)
    text = torch.randint(0, 19, (12, 8))
    account(tmp_path, transformers.GPT2LMHeadModel(config), [({"input_ids": t}, t) for t in text], next_token_loss, {"input_ids": text[:2]},
            lambda outputs, batch: torch.log_softmax(outputs["logits"][:, -1], -1)[:, :2])


class Tagger(nn.Module):
    def __init__(self, kind):
        super().__init__()
        self.embedding = nn.Embedding(15, 8)
        self.recurrent = kind(8, 6, num_layers=2, bidirectional=True, batch_first=True)
        self.head = nn.Linear(12, 4)

    def forward(self, tokens):
        return self.head(self.recurrent(self.embedding(tokens))[0]).transpose(1, 2)


def test_an_lstm_in_float32(tmp_path):
    """oneDNN has an LSTM of its own, one operation that says nothing of its parts; a run does without it, also where the step is the caller's."""
    torch.manual_seed(0)
    model, (tokens, tags) = Tagger(nn.LSTM), (torch.randint(0, 15, (8, 6)), torch.randint(0, 4, (8, 6)))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with pk.record(tmp_path / "run", model=model, optimizer=optimizer, loss=nn.CrossEntropyLoss(), data=TensorDataset(tokens, tags)) as run:
        run.step(range(4))
        with run.recording(range(4, 8)):
            optimizer.zero_grad()
            F.cross_entropy(model(tokens[4:]), tags[4:]).backward()
            optimizer.step()
    assert torch.backends.mkldnn.enabled and run.verify(progress=False) == 2
    ledger = run.explain(tokens[:2], lambda z, _: z[:, 1, :3], progress=False)
    assert (np.abs(ledger.residual) <= 1e-6 * np.abs(ledger.contributions).sum(0)).all()


@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU, nn.RNN])
def test_a_recurrent_tagger_with_padding(tmp_path, kind):
    torch.manual_seed(0)
    tokens, tags = torch.randint(0, 15, (8, 6)), torch.randint(0, 4, (8, 6))
    tags[2, 3:] = tags[5, 1:] = -100
    account(tmp_path, Tagger(kind), TensorDataset(tokens, tags), nn.CrossEntropyLoss(), tokens[:2], lambda z, _: z[:, 1, :3], epochs=1)


class Tabular(nn.Module):
    def __init__(self):
        super().__init__()
        self.colour, self.city, self.words = nn.Embedding(4, 3), nn.Embedding(6, 4), nn.EmbeddingBag(20, 5, mode="mean")
        self.body = nn.Sequential(nn.Linear(16, 12), nn.LayerNorm(12), nn.SiLU(), nn.Linear(12, 1))

    def forward(self, categories, numbers, words):
        return self.body(torch.cat([self.colour(categories[:, 0]), self.city(categories[:, 1]), self.words(words), numbers], 1)).squeeze(1)


def test_a_table_with_embeddings(tmp_path):
    torch.manual_seed(0)
    rows = [((torch.tensor([i % 4, i % 6]), doubles(4, seed=i), torch.randint(0, 20, (3,))), float(i % 5)) for i in range(12)]
    some = tuple(torch.stack([rows[i][0][k] for i in range(3)]) for k in range(3))
    account(tmp_path, Tabular(), rows, nn.HuberLoss(), pk.Queries(some), lambda z, _: z)


class Sign(torch.autograd.Function):
    """A straight-through estimator: sign forward, identity backward where |x| ≤ 1."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x.sign()

    @staticmethod
    def backward(ctx, g):
        return g * (ctx.saved_tensors[0].abs() <= 1)


class Detached(nn.Module):
    """Straight-through by detach: what training saw is the identity, what the function does is the sign."""

    def __init__(self, custom):
        super().__init__()
        self.first, self.last, self.custom = nn.Linear(6, 12), nn.Linear(12, 3), custom

    def forward(self, x):
        h = torch.tanh(self.first(x))
        return self.last(Sign.apply(h) if self.custom else h + (h.sign() - h).detach())


@pytest.mark.parametrize("custom", [True, False])
def test_a_binarised_network_jumps(tmp_path, custom):
    torch.manual_seed(0)
    ledger = account(tmp_path, Detached(custom), (doubles(12, 6), torch.arange(12) % 3), nn.CrossEntropyLoss(), doubles(4, 6, seed=1), "logits", epochs=4,
                     optimizer=lambda p: torch.optim.SGD(p, lr=0.3))
    assert np.abs(ledger.jumps).max() > 0


class Experts(nn.Module):
    """The two best of four experts, by a gate."""

    def __init__(self):
        super().__init__()
        self.gate = nn.Linear(6, 4)
        self.experts = nn.ModuleList(nn.Sequential(nn.Linear(6, 8), nn.GELU(), nn.Linear(8, 3)) for _ in range(4))

    def forward(self, x):
        score, which = self.gate(x).topk(2, dim=-1)
        weight = torch.zeros(len(x), 4, dtype=x.dtype).scatter(1, which, score.softmax(-1))
        return torch.einsum("ne,nec->nc", weight, torch.stack([e(x) for e in self.experts], 1))


def test_a_mixture_of_experts(tmp_path):
    torch.manual_seed(0)
    account(tmp_path, Experts(), (doubles(16, 6), torch.arange(16) % 3), nn.CrossEntropyLoss(), doubles(4, 6, seed=1), "logits", epochs=3)


class Vae(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder, self.decoder = nn.Linear(10, 8), nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 10))

    def forward(self, x):
        mean, log_variance = self.encoder(x).chunk(2, -1)
        z = mean + torch.randn_like(mean) * (log_variance / 2).exp() if self.training else mean
        return self.decoder(z), mean, log_variance


def elbo(outputs, x):
    again, mean, log_variance = outputs
    return ((again - x) ** 2).sum(1) - 0.5 * (1 + log_variance - mean**2 - log_variance.exp()).sum(1)


def test_a_variational_autoencoder(tmp_path):
    torch.manual_seed(0)
    x = doubles(12, 10)
    account(tmp_path, Vae(), (x, x), elbo, doubles(3, 10, seed=1), lambda outputs, batch: -((outputs[0] - batch.inputs) ** 2).sum(1))


class Physics(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(1, 8), nn.Tanh(), nn.Linear(8, 1))

    def forward(self, x):
        x = x.detach().requires_grad_()
        u = self.net(x)
        return u, torch.autograd.grad(u.sum(), x, create_graph=True)[0]


def test_a_derivative_inside_is_refused_by_name(tmp_path):
    x = doubles(8, 1)
    with pytest.raises(pk.InvalidInput, match="differentiates inside its forward pass"):
        account(tmp_path, Physics(), (x, -x), lambda outputs, targets: (outputs[1] - targets).pow(2).squeeze(1), x[:2], lambda outputs, _: outputs[0], gradients=False)


class Convolutions(nn.Module):
    """Kinds of layers side by side: 1-, 2-, 3-dimensional, transposed, grouped; group, instance and RMS norm; poolings; padding; interpolation."""

    def __init__(self):
        super().__init__()
        self.one, self.transposed1 = nn.Conv1d(2, 4, 3, padding=1, padding_mode="circular"), nn.ConvTranspose1d(4, 2, 2, stride=2)
        self.two, self.transposed2 = nn.Conv2d(4, 8, 3, groups=2, dilation=2, padding=2), nn.ConvTranspose2d(8, 4, 3, stride=2, padding=1, output_padding=1)
        self.three, self.transposed3 = nn.Conv3d(1, 2, 2), nn.ConvTranspose3d(2, 1, 2)
        self.group, self.instance, self.rms = nn.GroupNorm(2, 8), nn.InstanceNorm2d(4, affine=True), nn.RMSNorm(6)
        self.head = nn.Linear(6, 3)

    def forward(self, x):  # [n, 2, 8]
        h = F.elu(self.transposed1(self.one(x)))  # [n, 2, 16]
        h = h.unflatten(2, (4, 4)).repeat(1, 2, 1, 1)  # [n, 4, 4, 4]
        h = F.hardswish(self.group(self.two(F.pad(h, (1, 1, 1, 1), "reflect"))))
        h = F.softplus(self.instance(F.interpolate(self.transposed2(h), size=(6, 6), mode="bilinear")))
        h = F.avg_pool2d(h, 2) + F.max_pool2d(h, 2)  # [n, 4, 3, 3]
        h = self.transposed3(torch.sin(self.three(h.unsqueeze(1)))).squeeze(1)  # [n, 4, 3, 3]
        h = F.adaptive_max_pool2d(h, (1, 3)).flatten(1).cumsum(1)  # [n, 12]
        return self.head(self.rms(F.adaptive_avg_pool1d(h.unsqueeze(1), 6).squeeze(1)))


def test_kinds_of_layers(tmp_path):
    torch.manual_seed(0)
    account(tmp_path, Convolutions(), (doubles(8, 2, 8), torch.arange(8) % 3), nn.CrossEntropyLoss(), doubles(2, 2, 8, seed=1), "logits", epochs=1)


class Scaled(nn.Module):
    """Numbers of the program, which have more digits than torch's default dtype."""

    def __init__(self):
        super().__init__()
        self.first, self.last = nn.Linear(6, 8), nn.Linear(8, 3)

    def forward(self, x):
        h = 0.7978845608028654 * self.first(x)
        return self.last(0.1 - torch.tanh(h * 1.1 + 0.044715 * h**3) / 3.3)


def test_numbers_of_the_program_keep_their_digits(tmp_path):
    torch.manual_seed(0)
    account(tmp_path, Scaled(), (doubles(10, 6), torch.arange(10) % 3), nn.CrossEntropyLoss(), doubles(2, 6, seed=1), "logits",
            optimizer=lambda p: torch.optim.SGD(p, lr=0.3))


def test_parametrisations_and_frozen_weights(tmp_path):
    torch.manual_seed(0)
    model = nn.Sequential(nn.utils.parametrizations.weight_norm(nn.Linear(6, 8)), nn.PReLU(8), nn.utils.parametrizations.spectral_norm(nn.Linear(8, 8)), nn.Mish(), nn.Linear(8, 3))
    model[4].bias.requires_grad_(False)
    account(tmp_path, model, (doubles(10, 6), torch.arange(10) % 3), nn.CrossEntropyLoss(), doubles(2, 6, seed=1), "logits")


def test_activation_checkpointing(tmp_path):
    from torch.utils.checkpoint import checkpoint

    class Saves(nn.Module):
        def __init__(self):
            super().__init__()
            self.body, self.head = nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 8), nn.Tanh()), nn.Linear(8, 3)

        def forward(self, x):
            return self.head(checkpoint(self.body, x, use_reentrant=False))

    torch.manual_seed(0)
    account(tmp_path, Saves(), (doubles(10, 6), torch.arange(10) % 3), nn.CrossEntropyLoss(), doubles(2, 6, seed=1), "logits")
