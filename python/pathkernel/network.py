"""A user's module as the engine calls it: flat tensors in, flat tensors out."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import nn

from ._engine import InvalidInput


HELD, AUTOCAST = " held in eval: ", " under autocast: "
HALF = {"bfloat16": torch.bfloat16}


class Structure:
    """How an input or output is made of tensors: one tensor, a tuple (of tensors, tuples, dicts, None), or a dict of tensors."""

    def __init__(self, kind: str, keys: Sequence = (), parts: Sequence["Structure"] = ()):  # "tensor" | "none" | "tuple" | "dict"
        self.kind, self.keys, self.parts = kind, list(keys), list(parts)

    @staticmethod
    def of(value: Any, what: str) -> tuple["Structure", list[torch.Tensor]]:
        """The structure, and its tensors in order."""
        found = Structure._of(value)
        if found is None or not found[1]:
            raise InvalidInput(f"{what} is {describe(value)}; a tensor, a tuple of tensors or a dict of tensors is expected")
        return found

    @staticmethod
    def _of(value: Any) -> tuple["Structure", list[torch.Tensor]] | None:
        if value is None:
            return Structure("none"), []
        if isinstance(value, torch.Tensor):
            return Structure("tensor"), [value]
        if isinstance(value, Mapping):  # what else an output class holds (caches) is no output
            named = {k: v for k, v in value.items() if isinstance(v, torch.Tensor)}
            return Structure("dict", list(named), [Structure("tensor")] * len(named)), list(named.values())
        if not isinstance(value, (tuple, list)):
            return None
        found = [Structure._of(v) for v in value]
        if any(part is None for part in found):
            return None
        return Structure("tuple", parts=[part for part, _ in found]), [t for _, tensors in found for t in tensors]

    def pack(self, tensors: Sequence[torch.Tensor]) -> Any:
        return self._pack(iter(tensors))

    def _pack(self, tensors: Iterator[torch.Tensor]) -> Any:
        if self.kind == "tensor":
            return next(tensors)
        if self.kind == "none":
            return None
        packed = [part._pack(tensors) for part in self.parts]
        return tuple(packed) if self.kind == "tuple" else Named(zip(self.keys, packed))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Structure) and (self.kind, self.keys, self.parts) == (other.kind, other.keys, other.parts)

    def __repr__(self) -> str:
        if self.kind == "tuple":
            plain = all(part.kind == "tensor" for part in self.parts)
            return f"{len(self.parts)} tensors" if plain else f"({', '.join(map(repr, self.parts))})"
        return {"tensor": "a tensor", "none": "None", "dict": f"tensors named {', '.join(map(str, self.keys))}"}[self.kind]


class Named(dict):
    """Tensors by name; also as attributes, as the output classes of libraries have them."""

    def __getattr__(self, name: str) -> torch.Tensor:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(name) from None


def describe(value: Any) -> str:
    if isinstance(value, torch.Tensor):
        return f"{str(value.dtype).removeprefix('torch.')} {list(value.shape)}"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{k}: {describe(v)}" for k, v in value.items()) + "}"
    if isinstance(value, (tuple, list)):
        return f"a {type(value).__name__} of " + (", ".join(describe(v) for v in value[:4]) or "nothing")
    return f"a {type(value).__name__}"


class Network:
    """What Parts and losses know of a module: how to call it, and how its last outputs were made of tensors."""

    def __init__(self, module: torch.nn.Module):
        if not isinstance(module, torch.nn.Module):
            raise InvalidInput(f"model is a {type(module).__name__}; a torch.nn.Module is expected")
        module = getattr(module, "_orig_mod", module)  # torch.compile: the tape must see the operations
        if isinstance(module, (torch.nn.DataParallel, torch.nn.parallel.DistributedDataParallel)):
            module = module.module
        if isinstance(module, torch.jit.ScriptModule):
            raise InvalidInput("model is a scripted module, whose operations cannot be seen; give the module it was made from")
        self.module = module
        #: Submodules that are in eval mode while the network trains (frozen batch norm): they stay so at every step.
        self.held_in_eval = [name for name, m in module.named_modules() if name and not m.training] if module.training else []
        self.autocast: torch.dtype | None = None  #: what torch.autocast computes in, around the module and its loss
        #: oneDNN's LSTM is one operation whose parts cannot be seen: torch's own is used, in training as afterwards.
        self.without_onednn = any(isinstance(m, nn.LSTM) for m in module.modules())
        self.inputs: Structure | None = None
        self.input_dims: list[int] | None = None  # of one example's tensors
        self.outputs: Structure | None = None

    @property
    def specification(self) -> str:
        """For the manifest: how to build it, or the module's class, and which of its submodules are held in eval mode."""
        name = getattr(self.module, "pathkernel_specification", f"python:{type(self.module).__module__}.{type(self.module).__qualname__}")
        autocast = AUTOCAST + str(self.autocast).removeprefix("torch.") if self.autocast else ""
        return name + autocast + (HELD + ",".join(self.held_in_eval) if self.held_in_eval else "")

    def hold_as(self, specification: str) -> None:
        """Submodules are held in eval mode, and autocast, as a manifest says."""
        self.autocast = HALF.get(specification.partition(HELD)[0].partition(AUTOCAST)[2])
        self.held_in_eval = specification.partition(HELD)[2].split(",") if HELD in specification else []

    def set_mode(self, training: bool) -> None:
        held = set(self.held_in_eval) if training else set()
        for name, module in self.module.named_modules():
            module.training = training and name not in held

    def forward(self, *tensors: torch.Tensor) -> list[torch.Tensor]:
        inputs = self.inputs.pack(tensors) if self.inputs is not None else tensors
        if isinstance(inputs, torch.Tensor):
            inputs = (inputs,)
        with self.computing():
            result = self.module(**inputs) if isinstance(inputs, dict) else self.module(*inputs)
        self.outputs, flat = Structure.of(result, f"what {type(self.module).__name__} returned")
        return flat

    @contextlib.contextmanager
    def seen(self) -> Iterator[None]:
        """Around whatever runs the module: a step that the caller makes too."""
        onednn = torch._C._get_mkldnn_enabled()
        try:
            torch._C._set_mkldnn_enabled(onednn and not self.without_onednn)
            yield
        finally:
            torch._C._set_mkldnn_enabled(onednn)

    @contextlib.contextmanager
    def computing(self) -> Iterator[None]:
        """Around a pass of the module, and its loss."""
        device = next((p.device.type for p in self.module.parameters()), "cpu")
        with self.seen(), torch.autocast(device, self.autocast) if self.autocast else contextlib.nullcontext():
            yield

    def pack_outputs(self, tensors: list[torch.Tensor]) -> Any:
        return self.outputs.pack(tensors) if self.outputs is not None else tensors[0]


@contextlib.contextmanager
def own_random_numbers() -> Iterator[None]:
    """What runs inside seeds torch's generator; the caller's own random numbers go on afterwards as if there had been none."""
    state = torch.get_rng_state()
    try:
        yield
    finally:
        torch.set_rng_state(state)


@contextlib.contextmanager
def keeping_state(network: Network, optimizer: Any) -> Iterator[None]:
    """Puts back what the engine's work borrows of a user's training: modes of the modules, the optimizer's state, torch's random generator."""
    modes = [(m, m.training) for m in network.module.modules()]
    kept = optimizer.snapshot() if optimizer is not None else None
    with torch.inference_mode(False), own_random_numbers():  # what differentiates must not be told not to
        try:
            yield
        finally:
            for module, training in modes:
                module.training = training
            if optimizer is not None:
                optimizer.put_back(kept)
