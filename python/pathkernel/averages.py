"""torch.optim.swa_utils.AveragedModel: the engine averages as it does, and keeps it up to date."""

from __future__ import annotations

import inspect
from typing import Any

import torch
from torch.optim import swa_utils

from ._engine import InvalidInput


def _rule_of(averaged: swa_utils.AveragedModel) -> tuple[str, float]:
    """mean or ema, and its decay, of the function that it averages with."""
    function = averaged.multi_avg_fn or averaged.avg_fn
    if function is None:
        return "mean", 0.0
    maker = getattr(function, "__qualname__", "").partition(".")[0] if getattr(function, "__module__", "") == swa_utils.__name__ else ""
    if maker in ("get_swa_multi_avg_fn", "get_swa_avg_fn"):
        return "mean", 0.0
    if maker in ("get_ema_multi_avg_fn", "get_ema_avg_fn"):
        return "ema", float(inspect.getclosurevars(inspect.unwrap(function)).nonlocals["decay"])
    name = f"{getattr(function, '__module__', '?')}.{getattr(function, '__qualname__', type(function).__name__)}"
    raise InvalidInput(f"average: it averages with {name}, whose weights the engine cannot read; use the default (equal weights), or get_ema_multi_avg_fn, "
                       "get_swa_multi_avg_fn, get_ema_avg_fn or get_swa_avg_fn of torch.optim.swa_utils")


class Average:
    """What Run knows of an AveragedModel: the engine's average is copied into it after every update."""

    def __init__(self, averaged: Any, module: torch.nn.Module, start: int, every: int, fresh: bool):
        """fresh: of a run that begins, so that nothing has been averaged yet."""
        if not isinstance(averaged, swa_utils.AveragedModel):
            raise InvalidInput(f"average is a {type(averaged).__name__}; a torch.optim.swa_utils.AveragedModel of the model is expected")
        if averaged.use_buffers and any(b.is_floating_point() for b in module.buffers()):
            raise InvalidInput("average: use_buffers=True averages buffers too, but the averaged network is explained with the network's own; leave it out")
        ours, theirs = ([(n, p.shape) for n, p in m.named_parameters()] for m in (module, averaged.module))
        if ours != theirs:
            raise InvalidInput("average: its parameters are not those of the model; make it of this one, AveragedModel(model)")
        if fresh and int(averaged.n_averaged) != 0:
            raise InvalidInput(f"average: it has been updated {int(averaged.n_averaged)} times before; make a new AveragedModel(model)")
        self.averaged, self.module = averaged, module
        rule, decay = _rule_of(averaged)
        self.settings = {"rule": rule, "decay": decay, "start": start, "every": every}
        self.updates: int | None = None  #: that it had when it was last looked at; None: not yet

    def check_untouched(self) -> None:
        if self.updates is not None and int(self.averaged.n_averaged) != self.updates:
            raise InvalidInput("run: the AveragedModel was updated by somebody else; the run updates it after its steps (average_start, average_every of record()): leave out "
                               "update_parameters()")

    @torch.no_grad()
    def follow(self, live: Any) -> None:
        """After a step, or at the beginning (of a resumed run): the engine's average becomes that of the AveragedModel."""
        updates, values = live.average()
        if updates == self.updates:
            return
        own = dict(self.averaged.module.named_parameters())
        for name, value in values:
            own[name].copy_(value)
        for mine, theirs in zip(self.averaged.module.buffers(), self.module.buffers()):
            mine.copy_(theirs)
        self.averaged.n_averaged.fill_(updates)
        self.updates = updates
