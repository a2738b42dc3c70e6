"""Whether what a recording is opened with is what it was made with: the first difference is named."""

from __future__ import annotations

import json
from typing import Any

from . import _engine
from ._engine import InvalidInput
from .network import AUTOCAST, HELD
from .trained import Trained


def class_of(specification: str) -> str:
    """The class in the specification of a live module, without its package: a script that runs as __main__ is the same when it is imported. Empty for others."""
    name = specification.partition(HELD)[0].partition(AUTOCAST)[0]
    return name.rpartition(".")[2] if name.startswith("python:") else ""


def check_same_optimizer(folder: str, manifest: dict, recording: Any, trained: Trained) -> None:
    first = recording.step(0)["groups"] if recording.steps > 0 else ""
    last = recording.step(recording.steps - 1)["groups"] if first else ""
    if trained.optimizer is None:
        check_engine_can_stand_in(folder, first, last)
        return
    mine, theirs = trained.optimizer.engine_settings(), manifest["optimizer"]
    if recording.steps > 0:
        for key in mine if not first else ("name",):
            if key != "lr" and theirs.get(key) != mine[key]:  # the log has the learning rates; a scheduler may have moved this one
                raise InvalidInput(f"{folder}: the optimizer's {key} is {mine[key]}, but {theirs.get(key)} was recorded")
    if first:
        trained.optimizer.check_same_groups(folder, first, last)


def check_engine_can_stand_in(folder: str, first: str, last: str) -> None:
    """Without optimizer=, the engine's own of one group takes its place, which knows of no settings that change but the learning rate."""
    groups, later = json.loads(first or "[]"), json.loads(last or "[]")
    if len(groups) > 1:
        raise InvalidInput(f"{folder}: was trained with {len(groups)} groups of parameters; give the optimizer (several: as a list) as optimizer=")
    if any(group.get("maximize") for group in groups):
        raise InvalidInput(f"{folder}: was trained with maximize=True; give the optimizer as optimizer=")
    for then, end in zip(groups, later):
        changed = next((key for key in then if key != "lr" and then[key] != end.get(key)), None)
        if changed:
            raise InvalidInput(f"{folder}: the optimizer's {changed} changed while the run was made, from {then[changed]} to {end.get(changed)}; give the optimizer as optimizer=")


def check_same(folder: str, manifest: dict, trained: Trained) -> None:
    recording = _engine.Recording(folder)
    module = trained.network.module
    named = [(n, p) for n, p in module.named_parameters() if p.requires_grad]
    named += [(n, p) for n, p in module.named_parameters() if not p.requires_grad] + list(module.named_buffers())
    recorded = recording.parameters(0)
    for (name, tensor), (recorded_name, recorded_tensor) in zip(named, recorded):
        if name != recorded_name or tensor.shape != recorded_tensor.shape or tensor.dtype != recorded_tensor.dtype:
            raise InvalidInput(f"{folder}: the model has '{name}' ({str(tensor.dtype).removeprefix('torch.')} {list(tensor.shape)}) where '{recorded_name}' "
                               f"({str(recorded_tensor.dtype).removeprefix('torch.')} {list(recorded_tensor.shape)}) was recorded; build the model that was trained")
    if len(named) != len(recorded):
        raise InvalidInput(f"{folder}: the model has {len(named)} parameters and buffers, but {len(recorded)} were recorded; build the model that was trained")
    mine, theirs = class_of(trained.network.specification), class_of(manifest["model"])
    if mine and theirs and mine != theirs:
        raise InvalidInput(f"{folder}: the model is a {mine}, but a {theirs} was recorded; build the model that was trained")
    if trained.objective and trained.objective != manifest["objective"]:
        raise InvalidInput(f"{folder}: the loss is {trained.objective}, but {manifest['objective']} was recorded")
    if trained.objective and trained.reduction != manifest["reduction"]:
        raise InvalidInput(f"{folder}: the loss reduces by {trained.reduction}, but {manifest['reduction']} was recorded")
    if not trained.objective and manifest["objective"].startswith("python:"):
        raise InvalidInput(f"{folder}: was trained with a loss of its own, {manifest['objective'].removeprefix('python:')}; give it as loss=")
    check_same_optimizer(folder, manifest, recording, trained)
    if trained.data.length != manifest["examples"]:
        raise InvalidInput(f"{folder}: the data set has {trained.data.length} examples, but {manifest['examples']} were recorded")
    if int(trained.parts.fingerprint, 16) != int(str(manifest["data_fingerprint"]), 16):
        raise InvalidInput(f"{folder}: the data set is not the one that was recorded (its fingerprint differs); load the same examples in the same order")
