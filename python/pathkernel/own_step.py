"""A step that the caller of Run.recording makes: what it says of itself, and whether the engine's own step would do the same."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import torch

from ._engine import InvalidInput
from .trained import Trained


class OwnStep:
    """What a step that the caller makes says of itself."""

    def __init__(self, trained: Trained) -> None:
        self.loss: Any = None
        self._trained = trained
        self._misplaced: str | None = None  #: a module in another mode than the network trains in; None: not looked yet, "": none

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        """Notes the sum of the losses on which backward() is called, and the modes of the modules then."""
        backward = torch.Tensor.backward

        def noting(tensor: torch.Tensor, *arguments: Any, **named: Any) -> None:
            self._look_at_modes()
            if tensor.dim() == 0:
                self.loss = (0.0 if self.loss is None else float(self.loss)) + float(tensor.detach())
            return backward(tensor, *arguments, **named)

        torch.Tensor.backward = noting
        try:
            yield
        finally:
            torch.Tensor.backward = backward

    def _look_at_modes(self) -> None:
        held = set(self._trained.network.held_in_eval)
        if not self._misplaced:
            modes = self._trained.network.module.named_modules()
            self._misplaced = next((f"{f'the module {name!r}' if name else 'the model'} was in {'train' if m.training else 'eval'} mode" for name, m in modes
                                    if m.training == (name in held)), "")

    def check(self) -> None:
        """After the step. @throws InvalidInput where no loss was seen, or a module was in another mode than run.step() would put it in"""
        if self.loss is None:
            raise InvalidInput("run.recording: no loss was seen; call backward() on it, or say it: `with run.recording(rows) as step: …; step.loss = loss`")
        if self._misplaced is None:
            self._look_at_modes()
        if self._misplaced:
            raise InvalidInput(f"run.recording: {self._misplaced}, in which the run's steps are not repeated; call model.train() before the step (only what was in eval mode "
                               "inside a model in train mode when the recording began stays so)")


def state_of(trained: Trained) -> tuple:
    """Copies of what a step changes."""
    module = trained.network.module
    return [t.detach().clone() for t in (*module.parameters(), *module.buffers())], trained.optimizer.snapshot(copies=True), torch.get_rng_state()


def put(trained: Trained, state: tuple) -> None:
    module = trained.network.module
    with torch.no_grad():
        for t, value in zip((*module.parameters(), *module.buffers()), state[0]):
            t.copy_(value)
    trained.optimizer.put_back(state[1])
    torch.set_rng_state(state[2])


def check_repeatable(trained: Trained, live: Any, rows: torch.Tensor, before: tuple) -> None:
    """Lets the engine make the step that the caller just made from the state `before`. @throws InvalidInput where it comes out otherwise"""
    after = state_of(trained)
    put(trained, before)
    live.rehearse(rows, trained.optimizer.lr)
    names = [name for name, _ in (*trained.network.module.named_parameters(), *trained.network.module.named_buffers())]
    theirs = state_of(trained)[0]
    put(trained, after)
    for name, mine, engine in zip(names, after[0], theirs):
        if not torch.equal(mine, engine):
            drawn = ("the data set draws its items at random, and the engine draws them under a seed of the step, which a loop of your own cannot follow: use run.step(), or a "
                     "data set that gives the same items each time (augment in the model)"
                     if trained.data.draws_at_random(rows) else
                     "inside, do what run.step() does: the examples in this order, model.train(), the loss given to record() with its reduction, backward, and no clipping but "
                     "record(clip_norm=…)")
            raise InvalidInput(f"run.recording: your step gave '{name}' other values than the engine's own step with the same examples (largest difference "
                               f"{float((mine - engine).abs().max()):.2g}), so that it could not be repeated later; {drawn}")
