"""Model, loss, optimizer and data of one training, as they were given and as the engine takes them."""

from __future__ import annotations

import contextlib
import copy
from typing import Any

import torch

from . import _engine
from ._engine import InvalidInput
from .data import Data
from .losses import MODULES, Loss, engine_name, of_numbers, reduction_of
from .network import Network, keeping_state
from .optimizers import Optimizer

DTYPES = {"float": torch.float32, "double": torch.float64}


def check_embedding(name: str, module: torch.nn.Embedding | torch.nn.EmbeddingBag) -> None:
    def refuse(option: str, why: str) -> None:
        raise InvalidInput(f"record: the {type(module).__name__} '{name}' has {option}, {why}; leave it out")

    if module.max_norm is not None:
        refuse(f"max_norm={module.max_norm}", "which writes into its weight in the forward pass, where no step of the optimizer sees it")
    if module.weight.requires_grad and module.scale_grad_by_freq:
        refuse("scale_grad_by_freq=True", "with which an example's gradient depends on what else is in the batch")
    if module.weight.requires_grad and module.sparse:
        refuse("sparse=True", "whose sparse gradients are not followed")


class Trained:
    """Model, loss, optimizer and data, as given, and as the engine takes them."""

    def __init__(self, model: torch.nn.Module, optimizer: Any, loss: Any, data: Any, *, reduction: str | None = None,
                 clip_norm: float = 0, clip_value: float = 0, class_names: list[str] | None = None, autocast: torch.dtype | None = None,
                 recorded: str | None = None):
        """recorded: the specification in a manifest, which says what is held in eval mode; None: as the model is now."""
        self.labels: list[tuple[int, str]] = []  # that are other than the data's own
        loss = MODULES[loss]() if loss in MODULES else loss
        self.network, self.data = Network(model), Data(data, class_names, of_numbers(loss))
        self.network.inputs, self.network.input_dims = self.data.structure, self.data.dims
        self.network.autocast = autocast
        if recorded is not None:
            self.network.hold_as(recorded)
        self.optimizer = None
        if optimizer is not None:
            self.optimizer = Optimizer(optimizer, list(self.network.module.named_parameters()), clip_norm, clip_value)
        reduction = reduction_of(loss, reduction)
        named = engine_name(loss, self.data.targets if self.data.class_names else None)
        self.loss = None if loss is None or named else Loss(loss, self.network, reduction)
        self.objective = named or (self.loss.name if self.loss else "")
        self.reduction = "mean" if reduction == "batchmean" else reduction
        settings = self.optimizer.engine_settings() if self.optimizer else {}
        self._made_of = (self.network.module, self.network.forward, self.network.set_mode, self.network.specification, self.loss, self.optimizer, settings,
                         self.data.for_engine())
        self.parts = _engine.Parts(*self._made_of)

    def relabelled(self, labels: list[tuple[int, str]]) -> "Trained":
        """The same with other labels of some examples; the later of two of one example counts."""
        if not labels:
            return self
        other = copy.copy(self)
        other.parts = _engine.Parts(*self._made_of)
        other.labels = self.labels + labels
        other.parts.relabel(other.labels)
        return other

    def check_recordable(self) -> None:
        """What trains, but whose part in a step cannot be accounted for or repeated. @throws InvalidInput by name"""
        for name, module in self.network.module.named_modules():
            if isinstance(module, (torch.nn.Embedding, torch.nn.EmbeddingBag)):
                check_embedding(name, module)
        self.optimizer.check_recordable()

    def check_unchanged(self) -> None:
        self.optimizer.check_unchanged(list(self.network.module.named_parameters()))

    def keeping_state(self) -> contextlib.AbstractContextManager[None]:
        return keeping_state(self.network, self.optimizer)


def trained_as(manifest: dict, model: Any, optimizer: Any, loss: Any, data: Any, class_names: list[str] | None) -> Trained:
    o = manifest["optimizer"]
    reduction = None if loss is None or getattr(loss, "reduction", None) else manifest["reduction"]
    trained = Trained(model, optimizer, loss, data, reduction=reduction, clip_norm=o["clip_norm"], clip_value=o["clip_value"], class_names=class_names,
                       recorded=manifest["model"])
    labels = [(change["example"], change["label"]) for change in manifest["relabelled"]]
    as_recorded = int(trained.parts.fingerprint, 16) == int(str(manifest["data_fingerprint"]), 16)
    return trained if as_recorded or trained.data.length != manifest["examples"] else trained.relabelled(labels)  # by retrain(): the caller's data may be the original's
