"""torch.optim's optimizers as linear recurrences: they make their steps themselves; the engine reads settings and state (theory 2.1)."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import torch
from torch import optim

from ._engine import InvalidInput


def _adam(group: dict) -> dict:
    name = "adamw" if group.get("decoupled_weight_decay") else "adam"
    return {"name": name, "beta1": float(group["betas"][0]), "beta2": float(group["betas"][1]), "eps": group["eps"], "amsgrad": group["amsgrad"],
            "weight_decay": group["weight_decay"]}


def _adamw(group: dict) -> dict:
    return {**_adam(group), "name": "adamw"}


def _sgd(group: dict) -> dict:
    return {"name": "sgd", **{k: group[k] for k in ("momentum", "dampening", "nesterov", "weight_decay")}}


def _nadam(group: dict) -> dict:
    return {"name": "nadam", "beta1": group["betas"][0], "beta2": group["betas"][1], "eps": group["eps"], "momentum_decay": group["momentum_decay"],
            "weight_decay": group["weight_decay"], "decoupled": group["decoupled_weight_decay"]}


def _rmsprop(group: dict) -> dict:
    return {"name": "rmsprop", **{k: group[k] for k in ("momentum", "alpha", "eps", "centered", "weight_decay")}}


def _adagrad(group: dict) -> dict:
    return {"name": "adagrad", "eps": group["eps"], "lr_decay": group["lr_decay"], "initial_accumulator": group["initial_accumulator_value"],
            "weight_decay": group["weight_decay"]}


def _radam(group: dict) -> dict:
    return {"name": "radam", "beta1": group["betas"][0], "beta2": group["betas"][1], "eps": group["eps"], "weight_decay": group["weight_decay"],
            "decoupled": group["decoupled_weight_decay"]}


def _adamax(group: dict) -> dict:
    return {"name": "adamax", "beta1": group["betas"][0], "beta2": group["betas"][1], "eps": group["eps"], "weight_decay": group["weight_decay"]}


def _adadelta(group: dict) -> dict:
    return {"name": "adadelta", "alpha": group["rho"], "eps": group["eps"], "weight_decay": group["weight_decay"]}


def _muon(group: dict) -> dict:
    a, b, c = group["ns_coefficients"]
    return {"name": "muon", **{k: group[k] for k in ("momentum", "nesterov", "eps", "weight_decay")},
            "newton_schulz": {"a": float(a), "b": float(b), "c": float(c), "steps": group["ns_steps"], "adjust_lr": group["adjust_lr_fn"] or "original"}}


#: What the engine reads, by class.
SETTINGS = {optim.SGD: _sgd, optim.Adam: _adam, optim.AdamW: _adamw, optim.NAdam: _nadam, optim.RMSprop: _rmsprop, optim.Adagrad: _adagrad,
            optim.RAdam: _radam, optim.Adamax: _adamax, optim.Adadelta: _adadelta, optim.Muon: _muon}

#: State of a size of its own: a number that counts, kept on the CPU.
NUMBERS = ("step", "mu_product")


#: Newton–Schulz iterations whose rounding stays below what is allowed (measured: 0.4 of it after 8 in float32, 4 times it after 10; 0.9 after 12 in float64).
MOST_MUON_ITERATIONS = {"float": 8, "double": 12}


def _number(value: Any) -> Any:
    return value.item() if isinstance(value, torch.Tensor) else value


def _kind_of(optimizer: Any) -> type:
    if not isinstance(optimizer, optim.Optimizer):
        raise InvalidInput(f"optimizer is a {type(optimizer).__name__}; a torch.optim.Optimizer, or a list of such over different parameters, is expected")
    kind = next((c for c in SETTINGS if type(optimizer) is c or (isinstance(optimizer, c) and type(optimizer).step is c.step)), None)
    if kind is None:
        names = ", ".join(c.__name__ for c in SETTINGS)
        raise InvalidInput(f"optimizer is a {type(optimizer).__module__}.{type(optimizer).__qualname__}, whose steps the engine cannot read; use one of "
                           f"torch.optim's {names}")
    return kind


class Optimizer:
    """One live torch.optim.Optimizer or several, as PythonOptimizer of the engine calls them: their groups of parameters one after another.
    Parameters are in the model's order."""

    def __init__(self, given: Any, named_parameters: list[tuple[str, torch.Tensor]], clip_norm: float = 0, clip_value: float = 0):
        self.optimizers: list[optim.Optimizer] = list(given) if isinstance(given, (list, tuple)) else [given]
        if not self.optimizers:
            raise InvalidInput("optimizer is an empty list; a torch.optim.Optimizer, or a list of such over different parameters, is expected")
        kinds = [_kind_of(o) for o in self.optimizers]
        #: Of every group: its optimizer's class, and the optimizer.
        self.kinds = [kind for o, kind in zip(self.optimizers, kinds) for _ in o.param_groups]
        self.owners = [o for o in self.optimizers for _ in o.param_groups]
        self.clip = {"clip_norm": clip_norm, "clip_value": clip_value}
        group_of: dict[int, int] = {}
        for g, group in enumerate(self.param_groups):
            for k, p in enumerate(group["params"]):
                if id(p) in group_of:
                    raise InvalidInput(f"optimizer: parameter {k} of group {g} ({list(p.shape)}) belongs to group {group_of[id(p)]} as well; each to one optimizer")
                group_of[id(p)] = g
        self.names = [name for name, p in named_parameters if p.requires_grad]
        self.parameters = [p for _, p in named_parameters if p.requires_grad]
        for name, p in named_parameters:
            if p.requires_grad and id(p) not in group_of:
                raise InvalidInput(f"optimizer: parameter '{name}' of the model is not among its parameters; give it model.parameters(), or freeze that one "
                                   "(requires_grad_(False))")
        known = {id(p) for _, p in named_parameters}
        for g, group in enumerate(self.param_groups):
            for k, p in enumerate(group["params"]):
                if id(p) not in known:
                    raise InvalidInput(f"optimizer: parameter {k} of group {g} ({list(p.shape)}) is none of the model's")
            if group.get("differentiable"):
                raise InvalidInput("optimizer: differentiable=True is for training through the optimizer; leave it out")
            for key, value in group.items():
                if key != "params" and isinstance(value, (tuple, list)) and any(isinstance(v, torch.Tensor) for v in value):
                    raise InvalidInput(f"optimizer: {key} of group {g} holds tensors; give plain numbers")
        if any(o._optimizer_step_pre_hooks or o._optimizer_step_post_hooks for o in self.optimizers):
            raise InvalidInput("optimizer: it has step hooks, whose part in a step cannot be accounted for; remove them")
        for name, p in named_parameters:
            if p._backward_hooks:
                raise InvalidInput(f"model: parameter '{name}' has a gradient hook, whose part in a step cannot be accounted for; remove it (clipping: record(clip_norm=…))")
        self.learning = [(name, p.requires_grad) for name, p in named_parameters]
        self.group_count = len(self.param_groups)
        self.group_of = [group_of[id(p)] for p in self.parameters]
        self.first = [False] * len(self.parameters)
        self.updated = [True] * len(self.parameters)
        names = {id(p): name for name, p in named_parameters}
        #: Of every group: how many parameters, and a mark of which they are, in their order.
        self.members = [self._mark([names[id(p)] for p in group["params"]]) for group in self.param_groups]
        #: What a linear form wants beside the state after the step.
        self.besides: list[dict[str, torch.Tensor]] = [{} for _ in self.parameters]

    @property
    def param_groups(self) -> list[dict]:
        return [group for o in self.optimizers for group in o.param_groups]

    def _states(self) -> list[dict]:
        """Of every parameter, live; empty before its first step."""
        return [self.owners[g].state.get(p) or {} for g, p in zip(self.group_of, self.parameters)]

    def check_unchanged(self, named_parameters: list[tuple[str, torch.Tensor]]) -> None:
        """What learns, and in which groups, is fixed when a recording begins."""
        for (name, learns), (now, p) in zip(self.learning, named_parameters):
            if now != name or p.requires_grad != learns:
                raise InvalidInput(f"run: parameter '{name}' {'no longer learns' if learns else 'learns now'} (requires_grad), which it {'did' if learns else 'did not'} when the "
                                   "recording began; begin another recording where what learns changes")
        if len(self.param_groups) != self.group_count:
            raise InvalidInput(f"run: the optimizer has {len(self.param_groups)} groups of parameters now, but had {self.group_count} when the recording began; "
                               "begin another recording where groups change")

    def group_settings(self, g: int) -> dict:
        group = self.param_groups[g]
        settings = {k: _number(v) for k, v in SETTINGS[self.kinds[g]](group).items()}
        return {**settings, "lr": float(group["lr"])}

    def engine_settings(self) -> dict:
        """Of the first group, and clipping: what a manifest says."""
        return {**self.group_settings(0), **self.clip}

    @property
    def lr(self) -> float:
        return float(self.param_groups[0]["lr"])

    @property
    def writes_into_gradients(self) -> bool:
        """torch's variants over lists of tensors use the gradients' storage for their own sums (SGD with Nesterov's momentum)."""
        return any(group.get("foreach") or group.get("fused") for group in self.param_groups) or not self.parameters[0].is_cpu

    def step(self) -> None:
        for i, (p, state) in enumerate(zip(self.parameters, self._states())):
            self.updated[i] = p.grad is not None
            self.first[i] = state.get("momentum_buffer") is None
            if self._kind(i) is optim.Adadelta:
                self.besides[i] = {"acc_delta_before": state["acc_delta"].clone() if "acc_delta" in state else torch.zeros_like(p)}
            elif self._kind(i) is optim.Muon and p.grad is not None:
                self.besides[i] = {"gradient": p.grad}
        for optimizer in self.optimizers:
            optimizer.step()

    def _kind(self, i: int) -> type:
        return self.kinds[self.group_of[i]]

    def last_step(self) -> list[dict]:
        settings = [self.group_settings(g) for g in range(len(self.param_groups))]
        steps = []
        for i, state in enumerate(self._states()):
            tensors = {k: v.detach() for k, v in state.items() if isinstance(v, torch.Tensor)}
            if self.updated[i]:
                tensors |= self.besides[i]
            steps.append({"settings": settings[self.group_of[i]], "state": tensors, "first": self.first[i], "updated": self.updated[i] and self._has_stepped(i, state),
                          "maximize": bool(self.param_groups[self.group_of[i]].get("maximize", False))})
        return steps

    def _has_stepped(self, i: int, state: dict) -> bool:
        kind = self._kind(i)
        if kind in (optim.Adadelta, optim.Muon) and not self.besides[i]:  # nothing has been seen of its last step
            return False
        return kind in (optim.SGD, optim.RMSprop, optim.Muon) or _number(state.get("step", 0)) > 0

    def state(self) -> list[tuple[str, torch.Tensor]]:
        """Kind by kind, as the engine's own optimizers name it; live."""
        states = self._states()
        kinds = sorted({k for s in states for k, v in s.items() if isinstance(v, torch.Tensor)})
        tensors = []
        for kind in kinds:
            for name, state in zip(self.names, states):
                value = state.get(kind)
                if isinstance(value, torch.Tensor):
                    tensors.append((f"{kind}/{name}", value.detach().cpu().long() if kind == "step" else value.detach()))
        return tensors

    def restore(self, values: dict[str, torch.Tensor]) -> None:
        for i, (name, p) in enumerate(zip(self.names, self.parameters)):
            group = self.param_groups[self.group_of[i]]
            state = {}
            for key, value in values.items():
                kind, _, of = key.partition("/")
                if of == name:
                    state[kind] = value
            if "step" in state:
                on_device = group.get("capturable") or group.get("fused")
                state["step"] = state["step"].to(dtype=torch.float64 if torch.get_default_dtype() == torch.float64 else torch.float32,
                                                 device=p.device if on_device else "cpu")
            if self._kind(i) is optim.Adagrad and "sum" not in state:  # it has its state before the first step
                state = {"step": torch.tensor(0.0), "sum": torch.full_like(p, group["initial_accumulator_value"]).detach()}
            kept = self.owners[self.group_of[i]].state
            if state:
                kept[p] = state
            else:
                kept.pop(p, None)
            self.first[i], self.updated[i], self.besides[i] = False, True, {}

    def numbers_per_weight(self) -> int:
        kinds = {k for s in self._states() for k, v in s.items() if isinstance(v, torch.Tensor)}
        return sum(k not in NUMBERS for k in kinds)

    def groups(self) -> str:
        """Settings of every group, which schedulers may change from step to step; with the optimizer's name where there are several, and which parameters are in it where
        there are several groups."""
        several = len(self.optimizers) > 1
        return json.dumps([({"optimizer": kind.__name__} if several else {}) | ({"parameters": members} if len(self.members) > 1 else {}) |
                           {k: self._plain(v) for k, v in group.items() if self._is_setting(k, v)}
                           for kind, group, members in zip(self.kinds, self.param_groups, self.members)])

    def check_recordable(self) -> None:
        """@throws InvalidInput for settings under which rounding grows past what the engine allows when it checks its account of a step"""
        for kind, group in zip(self.kinds, self.param_groups):
            double = group["params"][0].dtype == torch.float64
            most = MOST_MUON_ITERATIONS["double" if double else "float"]
            if kind is optim.Muon and group["ns_steps"] > most:
                raise InvalidInput(f"record: Muon has ns_steps={group['ns_steps']}; up to {most} of its iterations are followed in {'float64' if double else 'float32'}: each makes the "
                                   "rounding of those before it about three times as large")

    def check_same_groups(self, where: str, first: str, last: str) -> None:
        """Against the groups() recorded at the first and the last step: what schedulers move may be as it was then or is now. @throws InvalidInput at the first difference"""
        mine, recorded, later = json.loads(self.groups()), json.loads(first), json.loads(last)
        if len(mine) != len(recorded):
            raise InvalidInput(f"{where}: the optimizer has {len(mine)} groups of parameters, but {len(recorded)} were recorded")
        for g, (kind, owner, now, then, end) in enumerate(zip(self.kinds, self.owners, mine, recorded, later)):
            of = f" of group {g}" if len(mine) > 1 else ""
            if then.get("optimizer", kind.__name__) != kind.__name__:
                raise InvalidInput(f"{where}: group {g} belongs to {kind.__name__}, but to {then['optimizer']} in the recording; give the optimizers in the order of then")
            if "parameters" in then and then["parameters"] != now.get("parameters"):
                raise InvalidInput(f"{where}: group {g} of the optimizer has other parameters ({now['parameters']}) than were recorded ({then['parameters']}); group them as then")
            moved = {"lr"} | ({"momentum", "betas"} if "max_momentum" in then else set())  # the log has what schedulers make of them
            for key in owner.defaults:
                if key in then and key not in moved and now.get(key) not in (then[key], end.get(key)):
                    raise InvalidInput(f"{where}: the optimizer's {key}{of} is {now.get(key)}, but {then[key]} was recorded")

    @staticmethod
    def _mark(names: list[str]) -> str:
        return f"{len(names)}, {hashlib.sha256(chr(10).join(names).encode()).hexdigest()[:12]}"

    @staticmethod
    def _is_setting(key: str, value: Any) -> bool:
        return key == "adjust_lr_fn" or (key not in ("params", "param_names", "initial_lr", "foreach", "fused", "capturable", "differentiable") and isinstance(
            value, (bool, int, float, tuple, list, torch.Tensor)))

    @staticmethod
    def _plain(value: Any) -> Any:
        return [_number(v) for v in value] if isinstance(value, (tuple, list)) else _number(value)

    def learning_rates(self) -> list[float]:
        """Of every parameter; negative where its group climbs."""
        groups = [self.param_groups[g] for g in self.group_of]
        return [-float(group["lr"]) if group.get("maximize") else float(group["lr"]) for group in groups]

    def use_groups(self, text: str) -> None:
        groups = json.loads(text)
        if len(groups) != len(self.param_groups):
            raise InvalidInput(f"optimizer: it has {len(self.param_groups)} groups of parameters, but {len(groups)} were recorded")
        for g, (kind, group, values) in enumerate(zip(self.kinds, self.param_groups, groups)):
            if values.pop("optimizer", kind.__name__) != kind.__name__:
                raise InvalidInput(f"optimizer: group {g} is of {kind.__name__}, but of another one in the recording; give the optimizers in the order of then")
            values.pop("parameters", None)
            for key, value in values.items():
                if isinstance(group.get(key), torch.Tensor):
                    group[key].fill_(value)
                else:
                    group[key] = tuple(value) if isinstance(value, list) else value

    def snapshot(self, copies: bool = False) -> Any:
        """copies: of the state's tensors too, which steps change in place."""
        def kept(value: Any) -> Any:
            return value.clone() if copies and isinstance(value, torch.Tensor) else value

        state = [{p: {k: kept(v) for k, v in s.items()} for p, s in o.state.items()} for o in self.optimizers]
        return state, self.groups(), [p.grad for p in self.parameters]

    def put_back(self, snapshot: Any) -> None:
        states, groups, gradients = snapshot
        for optimizer, state in zip(self.optimizers, states):
            optimizer.state.clear()
            optimizer.state.update(state)
        self.use_groups(groups)
        for p, gradient in zip(self.parameters, gradients):
            p.grad = gradient
