"""Losses per example. The engine trains on Σ_i b_i ℓ_i: ℓ are a loss's values without reduction, b its reduction's weights."""

from __future__ import annotations

import copy
import functools
import inspect
from typing import Any, Callable

import torch
import torch.nn.functional as F
from torch import nn

from ._engine import InvalidInput
from .network import Network, describe


#: Functions of torch whose modules say what counts (ignore_index).
MODULES = {F.cross_entropy: nn.CrossEntropyLoss, F.nll_loss: nn.NLLLoss}

#: Losses of numbers: whole numbers are no class labels to them.
OF_NUMBERS = (nn.MSELoss, nn.L1Loss, nn.SmoothL1Loss, nn.HuberLoss, nn.PoissonNLLLoss, nn.GaussianNLLLoss, nn.BCELoss, nn.BCEWithLogitsLoss, nn.KLDivLoss)


def of_numbers(loss: Any) -> bool:
    return isinstance(loss, OF_NUMBERS) or loss in (F.mse_loss, F.l1_loss, F.smooth_l1_loss, F.huber_loss, F.binary_cross_entropy, F.binary_cross_entropy_with_logits)


def reduction_of(loss: Any, asked: str | None) -> str:
    """mean | sum | batchmean: the loss module's own, or what was asked for. @throws InvalidInput where the two differ"""
    own = getattr(loss, "reduction", None) if isinstance(loss, nn.Module) else None
    if own in ("mean", "sum", "batchmean") and asked is not None and own != asked:
        raise InvalidInput(f"loss: the {type(loss).__name__} reduces by {own}, but reduction={asked!r} was given; leave one out")
    reduction = asked or (own if own in ("mean", "sum", "batchmean") else "mean")
    if reduction not in ("mean", "sum", "batchmean"):
        raise InvalidInput(f"reduction is {reduction!r}; 'mean' or 'sum' is expected")
    return reduction


def engine_name(loss: Any, targets: torch.Tensor | None) -> str | None:
    """The name under which the C++ engine has this loss too, for targets like these; None where it has not."""
    if targets is None or getattr(loss, "reduction", None) not in ("mean", "sum") or getattr(loss, "weight", None) is not None:
        return None
    labels = targets.dim() == 1 and not targets.is_floating_point()
    if type(loss) is nn.CrossEntropyLoss and labels and loss.ignore_index < 0:
        return f"label-smoothing:{loss.label_smoothing!r}" if loss.label_smoothing else "cross-entropy"
    return None


class Loss:
    """One of torch's loss modules, or a callable (outputs, targets) -> [n]."""

    def __init__(self, loss: Any, network: Network, reduction: str):
        self.network, self.user, self.reduction = network, loss, reduction
        self.call = self._per_example(loss, getattr(loss, "reduction", None) if isinstance(loss, nn.Module) else None)
        self.name = f"python:{self._describe(loss)}"

    @staticmethod
    def _describe(loss: Any) -> str:
        if isinstance(loss, nn.Module):
            return repr(loss)
        return f"{getattr(loss, '__module__', '?')}.{getattr(loss, '__qualname__', type(loss).__name__)}"

    def _per_example(self, loss: Any, own: str | None) -> Callable:
        if own is not None:
            quiet = copy.copy(loss)
            quiet.reduction = "none"
            return quiet
        if not callable(loss):
            raise InvalidInput(f"loss is a {type(loss).__name__}; a torch loss module, or a callable (outputs, targets) -> [n], is expected")
        try:
            reducible = "reduction" in inspect.signature(loss).parameters and not isinstance(loss, functools.partial)
        except (TypeError, ValueError):
            reducible = False
        return functools.partial(loss, reduction="none") if reducible else loss

    def losses(self, outputs: list[torch.Tensor], targets: torch.Tensor) -> torch.Tensor:
        n = targets.shape[0]
        with self.network.computing():
            value = self.call(self.network.pack_outputs(outputs), targets)
        if not isinstance(value, torch.Tensor) or value.dim() == 0 or value.shape[0] != n:
            raise InvalidInput(f"loss: {self._describe(self.user)} gave {describe(value)} for {n} examples; one loss per example, [{n}], is expected "
                               "(reduction='none'). The engine reduces them itself: reduction='mean' or 'sum' of pathkernel.record")
        if value.dim() == 1:
            return value
        shape = targets.shape
        if value.dim() == 2 and value.shape[1] == n and len(shape) == 1:
            raise InvalidInput(f"loss: {self._describe(self.user)} compared every output with every target (outputs {describe(outputs[0])}, targets "
                               f"{describe(targets)}); give both the same shape")
        rest = value.flatten(1)
        return rest.sum(1) if self._counts_parts(targets) or self.reduction != "mean" else rest.mean(1)

    def _counts_parts(self, targets: torch.Tensor) -> bool:
        """Whether the mean is over parts that may not count (ignore_index, class weights)."""
        return self.reduction == "mean" and isinstance(self.user, (nn.CrossEntropyLoss, nn.NLLLoss)) and not targets.is_floating_point()

    def weights(self, losses: torch.Tensor, targets: torch.Tensor, passes: int) -> torch.Tensor:
        n = losses.shape[0]
        if self.reduction == "sum":
            return torch.ones_like(losses)
        if self._counts_parts(targets):
            counted = targets != self.user.ignore_index
            weight = self.user.weight
            if weight is None:
                size = counted.sum().to(losses.dtype)
            else:
                size = (weight.to(losses.dtype)[targets.clamp(min=0)] * counted).sum()
            return (1 / (passes * size)).expand(n).clone() if size > 0 else torch.zeros_like(losses)
        return torch.full_like(losses, 1 / (passes * n))
