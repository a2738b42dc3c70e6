"""Writes docs/operations.md: which operation has which rule, asked of the engine itself. `PYTHONPATH=build/python python scripts/operations.py > docs/operations.md`"""

from __future__ import annotations

import collections

import torch
import torch.nn as nn
import torch.nn.functional as F
from pathkernel import _engine
from pathkernel.network import Network

RULES = {
    "linear": "itself: views, sums, copies, joins; exact",
    "bilinear": "Δy = B(Δa, w̄) + B(ā, Δw), with the mean of the two ends; exact",
    "pointwise": "its secant, in a form without cancellation; exact",
    "softmax": "Sato and Vartia's logarithmic means; exact",
    "normalisation": "centre, mean square, inverse root, product: each exact",
    "selection": "the entry that wins; where the winner changes, both in their share; exact",
    "loss": "composed of the rules above; exact",
}

FACTORS = {
    "outer": "outer products of cotangents and inputs, never written out",
    "rows": "rows of the table that were looked up",
    "dense": "written out for every example",
}


class Calls(nn.Module):
    """A layer that is one function of an input and, maybe, a parameter."""

    def __init__(self, function, *shape):
        super().__init__()
        self.function = function
        self.w = nn.Parameter(torch.rand(shape, generator=torch.Generator().manual_seed(2)) + 0.5) if shape else None
        self.scale = nn.Parameter(torch.tensor(1.5)) if self.w is None else None

    def forward(self, *x):
        return self.function(x[0] * self.scale, *x[1:]) if self.w is None else self.function(*x, self.w)


def of(function, *shape):
    return lambda: Calls(function, *shape)


ROWS, PAIRS, SERIES, IMAGES, VOLUMES, WORDS = (4, 6), (4, 3, 16), (4, 3, 8), (4, 4, 6, 6), (4, 2, 4, 4, 4), "words"

#: name: (what makes the layer, shape of its input)
LAYERS = {
    "Layers": {
        "`Linear`": (lambda: nn.Linear(6, 3), ROWS), "`Linear` over a sequence": (lambda: nn.Linear(16, 12), PAIRS), "`Bilinear`": (lambda: Twice(nn.Bilinear(6, 6, 2)), ROWS),
        "`Conv1d`": (lambda: nn.Conv1d(3, 2, 3), SERIES), "`Conv2d`": (lambda: nn.Conv2d(4, 2, 3, padding=1), IMAGES),
        "`Conv2d`, grouped": (lambda: nn.Conv2d(4, 4, 3, groups=2), IMAGES), "`Conv3d`": (lambda: nn.Conv3d(2, 2, 2), VOLUMES),
        "`ConvTranspose1d`": (lambda: nn.ConvTranspose1d(3, 2, 3), SERIES), "`ConvTranspose2d`": (lambda: nn.ConvTranspose2d(4, 2, 3, stride=2), IMAGES),
        "`ConvTranspose3d`": (lambda: nn.ConvTranspose3d(2, 2, 2), VOLUMES),
        "`Embedding`": (lambda: nn.Embedding(9, 4), WORDS), "`EmbeddingBag`, mean": (lambda: nn.EmbeddingBag(9, 4), WORDS),
        "`EmbeddingBag`, sum": (lambda: nn.EmbeddingBag(9, 4, mode="sum"), WORDS), "`EmbeddingBag`, max": (lambda: nn.EmbeddingBag(9, 4, mode="max"), WORDS),
        "`BatchNorm1d`, eval": (lambda: nn.BatchNorm1d(6), ROWS), "`BatchNorm2d`, eval": (lambda: nn.BatchNorm2d(4), IMAGES),
        "`LayerNorm`": (lambda: nn.LayerNorm(16), PAIRS), "`GroupNorm`": (lambda: nn.GroupNorm(2, 4), IMAGES),
        "`InstanceNorm2d`": (lambda: nn.InstanceNorm2d(4, affine=True), IMAGES), "`RMSNorm`": (lambda: nn.RMSNorm(16), PAIRS), "`PReLU`": (lambda: nn.PReLU(6), ROWS),
        "`LSTM`": (lambda: First(nn.LSTM(16, 8, batch_first=True)), PAIRS), "`GRU`": (lambda: First(nn.GRU(16, 12, batch_first=True)), PAIRS),
        "`RNN`": (lambda: First(nn.RNN(16, 16, batch_first=True)), PAIRS), "`LSTMCell`": (lambda: First(nn.LSTMCell(6, 4)), ROWS),
        "`MultiheadAttention`": (lambda: Attends(False), PAIRS), "`MultiheadAttention`, causal": (lambda: Attends(True), PAIRS),
        "`TransformerEncoderLayer`": (lambda: nn.TransformerEncoderLayer(16, 2, 32, batch_first=True), PAIRS),
        "weight norm": (lambda: nn.utils.parametrizations.weight_norm(nn.Linear(6, 3)), ROWS),
        "spectral norm": (lambda: nn.utils.parametrizations.spectral_norm(nn.Linear(6, 3)), ROWS),
        "orthogonal": (lambda: nn.utils.parametrizations.orthogonal(nn.Linear(6, 3)), ROWS),
    },
    "A parameter as it is": {
        "`x @ W`": (of(torch.matmul, 6, 3), ROWS), "`x @ W`, over a sequence": (of(torch.matmul, 16, 12), PAIRS), "`F.linear`": (of(F.linear, 3, 6), ROWS),
        "`x + b`": (of(torch.add, 6), ROWS), "`x * s`": (of(torch.mul, 6), ROWS), "`x / s`": (of(torch.div, 6), ROWS), "`x ** p`": (of(lambda x, w: x.abs() ** w, 6), ROWS),
        "`einsum('nij,jk->nik')`": (of(lambda x, w: torch.einsum("nij,jk->nik", x, w), 16, 12), PAIRS), "`bmm`": (of(lambda x, w: torch.bmm(x, w.expand(4, 16, 12)), 16, 12), PAIRS),
        "a class token, joined by `cat`": (of(lambda x, w: torch.cat([w.expand(4, 1, 16), x], 1), 1, 1, 16), PAIRS),
        "positions, by `index_select`": (of(lambda x, w: x + w.index_select(0, torch.arange(5)), 9, 5), (4, 5, 5)),
        "`maximum`": (of(torch.maximum, 6), ROWS), "`where`": (of(lambda x, w: torch.where(x > 0, x, w), 6), ROWS), "`cdist`": (of(lambda x, w: torch.cdist(x, w), 3, 6), ROWS),
        "`conv2d` of a made kernel": (of(lambda x, w: F.conv2d(x, torch.softmax(w, 1)), 2, 4, 3, 3), IMAGES),
    },
    "Attention": {
        "`scaled_dot_product_attention`": (of(lambda x: F.scaled_dot_product_attention(x, x, x)), PAIRS),
        "…, causal": (of(lambda x: F.scaled_dot_product_attention(x, x, x, is_causal=True)), PAIRS),
        "…, with a mask": (of(lambda x: F.scaled_dot_product_attention(x, x, x, attn_mask=torch.ones(3, 3).tril() > 0)), PAIRS),
    },
    "Activations": {name: (of(function), ROWS) for name, function in {
        "`relu`": F.relu, "`relu6`": F.relu6, "`leaky_relu`": F.leaky_relu, "`elu`": F.elu, "`selu`": F.selu, "`celu`": F.celu, "`gelu`": F.gelu,
        "`gelu`, tanh": lambda x: F.gelu(x, approximate="tanh"), "`silu`": F.silu, "`mish`": F.mish, "`softplus`": F.softplus, "`softsign`": F.softsign,
        "`hardtanh`": F.hardtanh, "`hardswish`": F.hardswish, "`hardsigmoid`": F.hardsigmoid, "`logsigmoid`": F.logsigmoid, "`sigmoid`": torch.sigmoid, "`tanh`": torch.tanh,
        "`tanhshrink`": F.tanhshrink, "`softshrink`": F.softshrink, "`hardshrink`": F.hardshrink, "`threshold`": lambda x: F.threshold(x, 0.1, 0.0), "`glu`": lambda x: F.glu(x),
        "`softmax`": lambda x: x.softmax(-1), "`log_softmax`": lambda x: x.log_softmax(-1), "`softmin`": lambda x: F.softmin(x, -1)}.items()},
    "Numbers one by one": {f"`{name}`": (of(function), ROWS) for name, function in {
        "exp": torch.exp, "expm1": torch.expm1, "log": lambda x: (x * x + 1).log(), "log1p": lambda x: (x * x).log1p(), "sqrt": lambda x: (x * x + 1).sqrt(),
        "rsqrt": lambda x: (x * x + 1).rsqrt(), "reciprocal": lambda x: (x * x + 1).reciprocal(), "square": torch.square, "pow": lambda x: x**3, "abs": torch.abs, "neg": torch.neg,
        "sin": torch.sin, "cos": torch.cos, "tan": torch.tan, "atan": torch.atan, "asinh": torch.asinh, "sinh": torch.sinh, "cosh": torch.cosh, "erf": torch.erf,
        "lgamma": lambda x: (x * x + 1).lgamma(), "digamma": lambda x: (x * x + 1).digamma(), "clamp": lambda x: x.clamp(-1, 1), "nan_to_num": torch.nan_to_num,
        "xlogy": lambda x: torch.xlogy(x, x * x + 1), "atan2": lambda x: torch.atan2(x, x + 3), "lerp": lambda x: torch.lerp(x, x * x, 0.3),
        "addcmul": lambda x: torch.addcmul(x, x, x), "round": torch.round, "floor": torch.floor, "sign": torch.sign}.items()},
    "Sums and norms": {f"`{name}`": (of(function), ROWS) for name, function in {
        "sum": lambda x: x.sum(1), "mean": lambda x: x.mean(1), "prod": lambda x: x.prod(1), "var": lambda x: x.var(1), "std": lambda x: x.std(1), "logsumexp": lambda x: x.logsumexp(1),
        "norm": lambda x: x.norm(dim=1), "linalg.vector_norm": lambda x: torch.linalg.vector_norm(x, dim=1), "normalize": F.normalize, "cosine_similarity": lambda x: F.cosine_similarity(x, x + 1),
        "amax": lambda x: x.amax(1), "max": lambda x: x.max(1).values, "median": lambda x: x.median(1).values, "topk": lambda x: x.topk(2).values, "sort": lambda x: x.sort().values,
        "cumsum": lambda x: x.cumsum(1), "cumprod": lambda x: x.cumprod(1)}.items()},
    "Shapes and places": {f"`{name}`": (of(function), ROWS) for name, function in {
        "reshape": lambda x: x.reshape(4, 2, 3), "transpose": lambda x: x.unflatten(1, (2, 3)).transpose(1, 2), "permute": lambda x: x.unflatten(1, (2, 3)).permute(0, 2, 1),
        "expand": lambda x: x.unsqueeze(2).expand(4, 6, 2), "repeat": lambda x: x.repeat(1, 2), "cat": lambda x: torch.cat([x, x], 1), "stack": lambda x: torch.stack([x, x], 1),
        "chunk": lambda x: x.chunk(2, 1)[0], "split": lambda x: x.split([2, 4], 1)[1], "index": lambda x: x[:, [0, 2]], "gather": lambda x: x.gather(1, torch.zeros(4, 2).long()),
        "scatter": lambda x: torch.zeros(4, 6).scatter(1, torch.arange(6).expand(4, 6), x), "scatter_add": lambda x: torch.zeros(4, 6).scatter_add(1, torch.zeros(4, 6).long(), x),
        "masked_fill": lambda x: x.masked_fill(torch.arange(6) > 3, 0), "where": lambda x: torch.where(torch.arange(6) > 3, x, 2 * x), "flip": lambda x: x.flip(1), "roll": lambda x: x.roll(1, 1),
        "tril": lambda x: x.unflatten(1, (2, 3)).tril(), "unfold": lambda x: x.unfold(1, 2, 1)}.items()},
    "Pictures": {name: (of(function), IMAGES) for name, function in {
        "`max_pool2d`": lambda x: F.max_pool2d(x, 2), "`avg_pool2d`": lambda x: F.avg_pool2d(x, 2), "`adaptive_avg_pool2d`": lambda x: F.adaptive_avg_pool2d(x, 2),
        "`adaptive_max_pool2d`": lambda x: F.adaptive_max_pool2d(x, 2), "`pad`": lambda x: F.pad(x, (1, 1)), "`pad`, reflect": lambda x: F.pad(x, (1, 1, 1, 1), "reflect"),
        "`interpolate`, nearest": lambda x: F.interpolate(x, scale_factor=2), "`interpolate`, bilinear": lambda x: F.interpolate(x, scale_factor=2, mode="bilinear"),
        "`pixel_shuffle`": lambda x: F.pixel_shuffle(x, 2), "`unfold`": lambda x: F.unfold(x, 2), "`grid_sample`": lambda x: F.grid_sample(x, torch.zeros(4, 2, 2, 2), align_corners=False)}.items()},
    "Losses": {name: (of(function), ROWS) for name, function in {
        "`cross_entropy`": lambda x: F.cross_entropy(x, torch.arange(4), reduction="none"), "`cross_entropy`, smoothed": lambda x: F.cross_entropy(x, torch.arange(4), reduction="none", label_smoothing=0.1),
        "`nll_loss`": lambda x: F.nll_loss(x.log_softmax(1), torch.arange(4), reduction="none"), "`mse_loss`": lambda x: F.mse_loss(x, torch.zeros(4, 6), reduction="none"),
        "`l1_loss`": lambda x: F.l1_loss(x, torch.zeros(4, 6), reduction="none"), "`smooth_l1_loss`": lambda x: F.smooth_l1_loss(x, torch.zeros(4, 6), reduction="none"),
        "`huber_loss`": lambda x: F.huber_loss(x, torch.zeros(4, 6), reduction="none"), "`kl_div`": lambda x: F.kl_div(x, torch.full((4, 6), 0.2), reduction="none"),
        "`binary_cross_entropy_with_logits`": lambda x: F.binary_cross_entropy_with_logits(x, torch.ones(4, 6), reduction="none"),
        "`binary_cross_entropy`": lambda x: F.binary_cross_entropy(x.sigmoid(), torch.ones(4, 6), reduction="none"),
        "`gaussian_nll_loss`": lambda x: F.gaussian_nll_loss(x, torch.zeros(4, 6), torch.ones(4, 6), reduction="none"),
        "`poisson_nll_loss`": lambda x: F.poisson_nll_loss(x, torch.ones(4, 6), reduction="none"),
        "`hinge_embedding_loss`": lambda x: F.hinge_embedding_loss(x, torch.ones(4, 6), reduction="none")}.items()},
    "What cannot be followed": {
        "`remainder`": (of(lambda x: torch.remainder(x, 1.0)), ROWS), "`fmod`": (of(lambda x: torch.fmod(x, 1.0)), ROWS), "`item`": (of(lambda x: x * x[0, 0].item()), ROWS),
        "a parameter's `.data`": (of(lambda x, w: x * w.data + w, 6), ROWS), "a mean over the batch": (of(lambda x: x - x.mean(0)), ROWS),
        "a derivative inside": (of(lambda x: torch.autograd.grad(x.square().sum(), x, create_graph=True)[0]), ROWS), "`torch.func.vmap` inside": (of(lambda x: torch.func.vmap(torch.sin)(x)), ROWS),
    },
}  # fmt: skip


class First(nn.Module):
    def __init__(self, layer):
        super().__init__()
        self.layer = layer

    def forward(self, x):
        return self.layer(x)[0]


class Twice(First):
    def forward(self, x):
        return self.layer(x, x)


class Attends(nn.Module):
    def __init__(self, causal):
        super().__init__()
        self.layer, self.mask = nn.MultiheadAttention(16, 2, batch_first=True), nn.Transformer.generate_square_subsequent_mask(3) if causal else None

    def forward(self, x):
        return self.layer(x, x, x, attn_mask=self.mask, need_weights=False)[0]


def bare(operation: str) -> str:
    return operation.removeprefix("aten::")


def account_of(make, shape) -> tuple[list[str], dict[str, list[str]]]:
    torch.manual_seed(0)
    layer = make()
    x = torch.randint(0, 9, (4, 3)) if shape == WORDS else torch.randn(*shape)
    with Network(layer).seen():
        return _engine.operations_of(layer, [x])


def line_of(name: str, make, shape, rules: dict[str, str]) -> str:
    try:
        followed, factors = account_of(make, shape)
    except Exception as error:  # noqa: BLE001 — every refusal is what the table tells
        return f"| {name} | refused: {' '.join(str(error).split()).split(chr(27))[0].replace('|', '/')} | |"
    ours = "scale" in factors  # of Calls: what stands in front of a function without parameters, and its product
    seen = list(dict.fromkeys(bare(o) for o in followed[ours:]))
    words = ", ".join(o if o in rules else f"*{o}*" for o in seen)
    kinds: dict[str, list[str]] = collections.defaultdict(list)
    for parameter, found in factors.items():
        if parameter != "scale":
            kinds[" + ".join(dict.fromkeys(found)) or "none"].append(parameter.rpartition(".")[2])
    gradients = "; ".join(f"{kind}: {', '.join(dict.fromkeys(names))}" for kind, names in kinds.items())
    return f"| {name} | {words or 'constant along the path'} | {gradients} |"


def table() -> str:
    operations = _engine.operations()
    rules = {bare(name): kind for name, kind, _ in operations}
    out = ["""# Operations and their rules

Written by `scripts/operations.py` from the engine itself; a test fails when it is out of date. torch """ + torch.__version__.split("+")[0] + """.

An operation is followed along a step by its rule, which is exact between the step's two ends. One without a rule stands in *italics*: it goes by its own
vector-Jacobian product at the midpoint and a rank-one correction for each example, exact as a sum and second order in its split; `ledger.certificate` says how much such
corrections weigh. Operations that ATen composes of others are followed as those. The last column says how the per-example gradients of a layer's parameters are kept:"""]
    out += ["", *(f"* **{kind}**: {words};" for kind, words in FACTORS.items())]
    out += ["""* **none**: it does not take part.

Where the examples of a batch are coupled (batch norm in training mode, contrastive losses), shares are found by forward mode instead, through any of the operations; those
without a push of their own in the last table go by ATen's forward differentiation, one query at a time.
"""]
    for heading, layers in LAYERS.items():
        out += [f"## {heading}", "", "| | operations followed | gradients of parameters |", "|---|---|---|"]
        out += [line_of(name, make, shape, rules) for name, (make, shape) in layers.items()]
        out.append("")
    out += ["## All rules", "", "| rule | operations; those without a push in *italics* |", "|---|---|"]
    for kind, words in RULES.items():
        of_kind = sorted((bare(n), push) for n, k, push in operations if k == kind)
        out.append(f"| {kind}: {words} | {', '.join(n if push else f'*{n}*' for n, push in of_kind)} |")
    return "\n".join(out) + "\n"


if __name__ == "__main__":
    print(table(), end="")
