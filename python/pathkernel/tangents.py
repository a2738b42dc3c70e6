"""Tangent kernels of networks of finite width."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy
import torch

from . import _engine
from ._engine import InvalidInput
from .network import Network, Structure, keeping_state
from .progress import bar
from .queries import Queries

FORMS = ("full", "trace", "diagonal")


@dataclass(frozen=True)
class KernelMoment:
    """The tangent kernel K (trace form) of a recorded network on a fixed set of inputs at one moment, next to the untrained one's (theory 10)."""

    step: int
    time: float  #: Σ η up to here
    loss: float  #: mean over the inputs
    distance: float  #: S(K, K_0) = 1 − ⟨K, K_0⟩/(‖K‖‖K_0‖)
    distance_to_previous: float
    alignment: float  #: unbiased centred alignment (CKA) of K and K_0
    label_alignment: float  #: with the targets (classes: one-hot, centred); NaN where examples have no single label
    label_share: float  #: of the targets within as many leading eigenvectors as there are outputs
    rank_entropy: float
    rank_participation: float
    rank_stable: float
    velocity: float  #: ‖ΔK‖/(η‖K‖) over the step that follows (at the end: the last one)
    change_of_kernel: float  #: Δ(Df) = ‖J − J_0‖/‖J_0‖
    change_of_loss: float  #: Δ(L) = |L − L_0|/|L_0|
    lazy_ratio: float  #: Δ(Df)/Δ(L): small where training is lazy
    linearisation_error: float  #: ‖f − f_0 − J_0 (w − w_0)‖/‖f − f_0‖


@dataclass(frozen=True)
class RepresenterStep:
    """One step of f_T(x) = f_0(x) + Σ_s Σ_i α_is·K_s(x, x_i) (theory 1), over B examples drawn, O outputs and Q queries."""

    step: int
    rate: float  #: η
    examples: torch.Tensor  #: [B] int64
    alpha: torch.Tensor  #: −η b_i ∂ℓ_i/∂f(x_i), [B, O]: the same for every x
    kernel: torch.Tensor  #: ⟨G_s(x), ∂f(x_i)/∂w⟩, [Q, B, O]: not symmetric

    @property
    def contributions(self) -> torch.Tensor:
        """Σ_o α K, [B, Q]: the ledger's draws."""
        return torch.einsum("io,qio->iq", self.alpha, self.kernel)


def check_form(form: str) -> str:
    if form not in FORMS:
        raise InvalidInput(f"tangent kernel: form is {form!r}; 'full', 'trace' or 'diagonal' is expected")
    return form


def inputs_of(network: Network, inputs: Any, dtype: torch.dtype) -> list[torch.Tensor]:
    """Flat tensors of a batch; none for None. @throws InvalidInput for inputs that do not fit, or hold NaN"""
    tensors = [] if inputs is None else Queries(inputs).for_engine(network, dtype)["inputs"]
    if any(t.is_floating_point() and not bool(torch.isfinite(t).all()) for t in tensors):
        raise InvalidInput("tangent kernel: the inputs hold NaN or infinite numbers")
    return [t.clone() if t.is_inference() else t for t in tensors]  # autograd refuses those made in inference mode


def tangent_kernel(model: torch.nn.Module, x: Any, y: Any = None, form: str = "full", memory: int = 4 << 30, progress: bool | Callable = False) -> torch.Tensor:
    """The empirical tangent kernel Θ_op(x_i, y_j) = ⟨∂f_o(x_i)/∂w, ∂f_p(y_j)/∂w⟩ over all parameters that require gradients (Jacot et al. 2018), in eval mode.

    x, y    inputs as the model takes a batch of them, [n, ...] and [m, ...]; y=None: Θ(x, x), exactly symmetric
    form    "full" [n, m, O, O]; "trace" [n, m], the sum over the outputs; "diagonal" [n, m, O]
    memory  bytes for the result and the work

    From the layers' factors, without Jacobians: for a linear layer the product of two small Gram matrices. The outputs are the numbers of
    the model's first output tensor. InvalidInput for inputs that do not fit, and where the result would not fit the memory.
    """
    network = Network(model)
    weights = [p for p in network.module.parameters() if p.requires_grad]
    if not weights:
        raise InvalidInput("tangent_kernel: the model has no parameters that require gradients")
    x, y = (torch.from_numpy(z) if isinstance(z, numpy.ndarray) else z for z in (x, y))
    network.inputs = Structure.of(tuple(x) if isinstance(x, list) else x, "x")[0]
    none = {"name": "none", "class_names": [], "targets": None, "inputs": None, "source": None}
    parts = _engine.Parts(network.module, network.forward, network.set_mode, network.specification, None, None, {}, none)
    dtype = weights[0].dtype
    with keeping_state(network, None):
        return _engine.tangent_kernel(parts, inputs_of(network, x, dtype), inputs_of(network, y, dtype), check_form(form), memory, bar(progress))
