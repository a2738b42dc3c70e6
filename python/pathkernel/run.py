"""Recording a training run, and asking about it."""

from __future__ import annotations

import contextlib
import copy
import inspect
import json
import pathlib
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import torch

from . import _engine
from ._engine import InvalidInput
from .arguments import check_grad_is_possible, number, whole
from .audit import Audit
from .averages import Average
from .data import numbers_of
from .dynamics import Dynamics
from .ledger import Ledger, pictures_of
from .network import describe, own_random_numbers
from .own_step import OwnStep, check_repeatable, state_of
from .progress import bar
from .queries import Queries, measure_of, sets_of
from .same import check_same
from .tangents import KernelMoment, RepresenterStep, check_form, inputs_of
from .trained import DTYPES, Trained, trained_as


@contextlib.contextmanager
def naming_changed_data(trained: Trained) -> Iterator[None]:
    """Where a step did not repeat, says whether the data set is another one now."""
    try:
        yield
    except _engine.ReplayMismatch as mismatch:
        raise _engine.ReplayMismatch(f"{mismatch}{trained.data.changed()}") from None


class Run(Dynamics):
    """A recorded training run: made step by step, and, once it is closed, repeated, explained and asked about.

    Made by pathkernel.record, resume and open. As a context manager it closes itself: complete, or, where an exception (Ctrl-C) ended it,
    interrupted, so that pathkernel.resume goes on.
    """

    def __init__(self, folder: str, trained: Trained, live: Any = None, seed: int = 0, groups: str | None = None, average: Average | None = None):
        self.folder, self._trained, self._live, self._seed, self._average = folder, trained, live, seed, average
        self._follow_average()
        self._fresh_groups = groups  # of a resumed run: what a scheduler begins from
        self._scheduled_before = live is not None and trained.optimizer is not None and any("initial_lr" in g for g in trained.optimizer.param_groups)

    # -- making it ------------------------------------------------------------------------------------------------------------------

    @property
    def steps(self) -> int:
        """Steps made so far."""
        return self._live.steps if self._live is not None else self._recording().steps

    def _open_live(self) -> Any:
        check_grad_is_possible("run")
        if self._live is None:
            raise InvalidInput(f"{self.folder}: this run is closed; record another, or pathkernel.resume one that was interrupted")
        return self._live

    def _follow_average(self) -> None:
        if self._average is not None:
            self._average.follow(self._live)

    def step(self, indices: Iterable[int]) -> float:
        """One step of training on these examples of the data set: forward in train mode, loss, backward, clipping, optimizer.step().

        indices: numbers of the examples, in the order of the batch. Returns the loss, Σ b_i ℓ_i. Diverged where it leaves the finite
        numbers; the recording then ends before this step. A scheduler is stepped by the caller, afterwards.
        """
        live, rows = self._open_live(), self._rows(indices, "run.step")
        with own_random_numbers():
            loss = live.step(rows, self._trained.optimizer.lr)
        self._follow_average()
        return loss

    def _rows(self, indices: Iterable[int], what: str) -> torch.Tensor:
        rows = numbers_of(indices, self._trained.data.length, what)
        if rows.numel() == 0:
            raise InvalidInput(f"{what}: no examples were given; a step wants at least one")
        self._trained.check_unchanged()
        if self._average is not None:
            self._average.check_untouched()
        return rows

    def fit(self, epochs: float, batch_size: int, scheduler: Any = None, scheduler_every: str = "epoch", progress: bool | Callable = True) -> "Run":
        """Trains until the run has made so many epochs, in an order that follows from its seed (that of the program's `train`).

        Of a resumed run it makes the steps that are left. scheduler: of torch.optim.lr_scheduler (several: a list), stepped every "epoch" or "step".
        """
        if scheduler_every not in ("epoch", "step"):
            raise InvalidInput(f"run.fit: scheduler_every is {scheduler_every!r}; 'epoch' or 'step' is expected")
        live, tell = self._open_live(), bar(progress)
        number("run.fit", "epochs", epochs, "a number of passes over the data")
        batch_size = whole("run.fit", "batch_size", batch_size, 1)
        batches = _engine.shuffled_batches(self._trained.data.length, batch_size, epochs, self._seed)
        done, per_epoch = live.steps, -(-self._trained.data.length // batch_size)
        self._check_plan(batches, done)
        schedulers = list(scheduler) if isinstance(scheduler, (list, tuple)) else [] if scheduler is None else [scheduler]
        plateau = any(isinstance(each, torch.optim.lr_scheduler.ReduceLROnPlateau) for each in schedulers)
        if schedulers and self._fresh_groups is not None:
            self._begin_again(plateau)
        losses: list[float] = []
        recording = self._recording() if plateau and done > 0 else None
        for s, indices in enumerate(batches):
            if s >= done:
                if tell:
                    tell("training", s, len(batches))
                losses.append(self.step(indices))
            elif plateau:
                losses.append(recording.step(s)["loss"])
            if schedulers and (scheduler_every == "step" or (s + 1) % per_epoch == 0):
                for each in schedulers:
                    each.step(*([sum(losses) / len(losses)] if isinstance(each, torch.optim.lr_scheduler.ReduceLROnPlateau) else []))
                losses.clear()
        if tell:
            tell("training", len(batches), len(batches))
        return self

    def _begin_again(self, plateau: bool) -> None:
        """Of a resumed run: the scheduler walks once more over the steps that were made, from the settings that the optimizer was made with."""
        if not self._scheduled_before and not plateau:
            raise InvalidInput("run.fit: the scheduler was made after pathkernel.resume, from the learning rate that the run had come to; make optimizer and scheduler "
                               "first, as for the recording, then resume")
        self._trained.optimizer.use_groups(self._fresh_groups)

    def _check_plan(self, batches: list[torch.Tensor], done: int) -> None:
        """Steps that were made already must be those of this plan."""
        if done == 0:
            return
        recording = self._recording()
        last = min(done, len(batches), recording.steps) - 1  # the log may be a second behind
        if last >= 0 and not torch.equal(recording.step(last)["indices"], batches[last]):
            raise InvalidInput(f"{self.folder}: its {done} steps were not made by fit() with this batch size; go on with run.step(), or the batch size of before")

    @contextlib.contextmanager
    def recording(self, indices: Iterable[int]) -> Iterator[OwnStep]:
        """Around a step that the caller makes itself, on these examples: forward in train mode, loss, backward, optimizer.step().

        What is done inside must be what step() would do: the run's loss with its reduction, no clipping but that given to record().
        The first such step is repeated at once and compared; InvalidInput where it came out otherwise, as it does where the data set
        augments at random, and at any step where a module is in another mode (train, eval) than it began in. The log's loss is what
        backward() was called on; where it is not called on a tensor, say it: `with run.recording(rows) as step: …; step.loss = loss`.
        """
        live, rows = self._open_live(), self._rows(indices, "run.recording")
        lr, own = self._trained.optimizer.lr, OwnStep(self._trained)
        before = None if live.steps > 0 else state_of(self._trained)
        with own_random_numbers():
            live.begin()
            with own.watching(), self._trained.network.seen():
                yield own
        own.check()
        if before is not None:
            check_repeatable(self._trained, live, rows, before)
        live.end(rows, lr, float(own.loss))
        self._follow_average()

    # -- asking about it ------------------------------------------------------------------------------------------------------------

    def close(self, complete: bool = True) -> None:
        """Ends the recording; complete=False leaves it to pathkernel.resume."""
        if self._live is not None:
            live, self._live = self._live, None
            live.finish(complete)

    def __enter__(self) -> "Run":
        return self

    def __exit__(self, kind: Any, *_: object) -> None:
        self.close(complete=kind is None)

    def _recording(self) -> Any:
        return _engine.Recording(self.folder)

    def _closed(self) -> Trained:
        check_grad_is_possible("run")
        if self._live is not None:
            raise InvalidInput(f"{self.folder}: this run is still being made; close() it before it is asked about")
        return self._trained

    @property
    def manifest(self) -> dict:
        """What the recording says of model, loss, optimizer, data and machine."""
        return json.loads(self._recording().manifest)

    @property
    def status(self) -> str:
        """'running' (also: interrupted), 'complete' or 'diverged'."""
        return self._recording().status

    def logged(self, step: int) -> dict:
        """The log's line of a step: step, indices (of the examples), seed, lr, loss, hash (of the weights after it), groups (settings of the optimizer)."""
        return self._recording().step(step)

    def verify(self, progress: bool | Callable = True) -> int:
        """Repeats the run and compares every step's hash. Returns the number of steps; ReplayMismatch names the first that differs."""
        trained = self._closed()
        with trained.keeping_state():
            found = _engine.verify(self.folder, trained.parts, bar(progress))
        if found["first_difference"] >= 0:
            where = f" in another environment ({found['environment_difference']})" if found["environment_difference"] else ""
            raise _engine.ReplayMismatch(f"{self.folder}: step {found['first_difference']}, repeated{where}, gave other weights than were recorded; "
                                         f"is the model deterministic, are data, loss and optimizer those of the run?{trained.data.changed()}")
        return found["steps"]

    def explain(self, queries: Any, measure: str | Callable = "log-odds", *, rule: str = "secant", panels: int = 1, precision: str | None = None,
                convention: str = "propagate", aggregate: Any = None, start: int = 0, until: int = -1, stride: int = 1, network: str = "recorded",
                memory: int = 4 << 30, keep: int = 0, sampled_steps: int = 32, path_kernel: bool = False, statistics: bool = False,
                strict: bool = False, progress: bool | Callable = True) -> Ledger:
        """Writes every query's measurement as a sum over the training examples.

        queries    inputs, (inputs, targets), a data set, or pathkernel.Queries
        measure    "log-odds" (of the predicted class), "margin", "log-prob", "logit:K", "logits", "output:K", "loss", or a callable
                   (outputs, batch) -> [n] or [n, K], differentiable in the outputs; batch is pathkernel.queries.Asked
        rule       "secant" (exact), "gauss:Q", "midpoint", "left"; panels: into how many a step is cut for it
        precision  "float" or "double" of the evaluation; None: that of the run
        convention "propagate" (decay is memory, theory 2.4 B) or "ledger" (a term of its own, A)
        aggregate  None, "mean", "by-class", "wrong", or {name: rows} or {name: (rows, weights)}: sets of queries asked as one
        start, until, stride   the window of steps, and how many share one gradient
        memory     bytes for the work of a chunk of queries, and once more for the ledger
        keep       keep the largest so many contributions of each query only; 0: all
        statistics also each example's share of the term `buffers`, through batch norm's running statistics (ledger.statistics)

        Cost: one replay of the run per chunk of queries, and per step one forward and reverse pass of the queries (docs/cost.md).
        """
        asked, options = self._asked(**{k: v for k, v in locals().items() if k != "self"})
        with self._trained.keeping_state():
            with naming_changed_data(self._trained):
                ledger = Ledger(_engine.sweep(self.folder, self._trained.parts, asked, options, bar(progress)), pictures_of(self._trained.data, asked))
        self._warn(ledger, complete=rule == "secant" or rule.endswith("closed"), precision=options["precision"])
        return ledger

    def _warn(self, ledger: Ledger, complete: bool, precision: str) -> None:
        """complete: the residual should be no more than rounding."""
        certificate = ledger.certificate
        if not certificate.replay_exact:
            warnings.warn(f"{self.folder}: repeated, step {certificate.first_drift} gave other weights than were recorded, and the difference is booked as rounding; "
                          f"run.verify() looks closer, strict=True refuses{self._trained.data.changed()}", stacklevel=3)
        times = float(torch.nan_to_num(ledger._engine.residual.abs() / ledger._engine.residual_of_rounding).max()) if len(ledger.queries) else 0.0
        if complete and times > 1:
            look = "run.verify()" if precision == "double" else "run.verify(), or precision='double'"
            warnings.warn(f"{self.folder}: the residual is up to {times:.2g} times what rounding explains; look at the run before trusting the shares ({look}). A model that "
                          "computes by what the tape cannot see (numpy, .item(), .tolist()) is a possible reason", stacklevel=3)

    def plan(self, queries: Any, measure: str | Callable = "log-odds", **options: Any) -> dict:
        """What explain() with the same arguments would take: bytes, chunks, disk, expected seconds; "text" says it in lines."""
        call = inspect.signature(self.explain).bind(queries, measure, **options)
        call.apply_defaults()
        asked, options = self._asked(**call.arguments)
        with self._trained.keeping_state():
            return _engine.plan(self.folder, self._trained.parts, asked, options)

    def _asked(self, queries: Any, measure: Any, aggregate: Any, progress: Any = None, **options: Any) -> tuple[dict, dict]:
        """Queries and options of explain() as the engine takes them."""
        trained, manifest = self._closed(), self.manifest
        options["precision"] = options["precision"] or manifest["dtype"]
        for name, known in (("precision", tuple(DTYPES)), ("convention", ("propagate", "ledger")), ("network", ("recorded", "weights", "average"))):
            if options[name] not in known:
                raise InvalidInput(f"explain: {name} is {options[name]!r}; {' or '.join(map(repr, known))} is expected")
        for name, least in (("keep", 0), ("sampled_steps", 0), ("start", 0), ("until", -1), ("stride", 1), ("panels", 1), ("memory", 1)):
            options[name] = whole("explain", name, options[name], least)
        options |= {"from": options.pop("start"), **measure_of(measure, trained.network)}
        asked = self._queries(queries)
        if aggregate is not None:
            def wrong() -> torch.Tensor:
                with trained.keeping_state():
                    return _engine.wrong(self.folder, trained.parts, asked, options)
            asked["sets"] = sets_of(aggregate, asked, trained.data.class_names, wrong)
        return asked, options

    def _queries(self, queries: Any) -> dict:
        return Queries.of(queries).for_engine(self._closed().network, DTYPES[self.manifest["dtype"]])

    def _compared(self, queries: Any, measure: Any) -> tuple[Trained, dict, Any]:
        """What pathkernel.compare wants of the original."""
        return self._closed(), self._queries(queries), measure_of(measure, self._trained.network)["measurement"]

    def tracin(self, queries: Any, measure: str | Callable = "loss", *, checkpoints: int = 5, aggregate: Any = None, memory: int = 4 << 30,
               progress: bool | Callable = True) -> Ledger:
        """TracIn over checkpoints (Pruthi et al. 2020, arXiv:2002.08484): contributions[i, q] = −Σ_c η_c ⟨∇ℓ_i, ∇m_q⟩, + being a push up as everywhere here.

        checkpoints: how many, or as many as the run has. Scores and no account: nothing is claimed to add up, and `residual` is what they leave of the change. Queries, measure and aggregate
        ('mean', 'by-class' or sets) as for explain().
        """
        asked = self._queries(queries)
        options = {"checkpoints": self._checkpoints("tracin", checkpoints), "memory": whole("tracin", "memory", memory, 1), **measure_of(measure, self._trained.network)}
        if aggregate is not None:
            def wrong() -> torch.Tensor:
                raise InvalidInput("tracin: aggregate='wrong' is for explain(); give the rows, {'wrong ones': rows}")
            asked["sets"] = sets_of(aggregate, asked, self._trained.data.class_names, wrong)
        with self._trained.keeping_state():
            ledger = _engine.tracin(self.folder, self._trained.parts, asked, options, bar(progress))
        return Ledger(ledger, pictures_of(self._trained.data, asked))

    def _checkpoints(self, what: str, wanted: int) -> int:
        """The engine takes as many as the run has, where it has not so many."""
        there = sum(s > 0 for s in self._recording().checkpoint_steps)
        if whole(what, "checkpoints", wanted, 1) > there:
            warnings.warn(f"{self.folder}: {wanted} checkpoints are asked for, and the run has {there} after its beginning; {what} takes those (record(checkpoint_every=…) says how "
                          "many are kept)", stacklevel=3)
        return wanted

    def audit(self, queries: Any, *, stride: int = 16, checkpoints: int = 5, memory: int = 4 << 30, progress: bool | Callable = True) -> Audit:
        """Ranks all training examples by how suspect their labels are, by the whole path and by plain baselines (pathkernel.Audit).

        queries: (inputs, labels) whose loss is asked about, a validation set. stride: steps that share one gradient of the queries; 1 is
        exact, and slower. InvalidInput where the run predicts numbers or the queries have no labels.
        """
        trained, asked = self._closed(), self._queries(queries)
        stride, checkpoints = whole("audit", "stride", stride, 1), self._checkpoints("audit", checkpoints)
        with trained.keeping_state():
            found = _engine.audit(self.folder, trained.parts, asked, stride, checkpoints, memory, bar(progress))
        return Audit(found, trained.data, trained.parts.targets)

    def tangent_kernel(self, x: Any, y: Any = None, at: int | None = None, form: str = "full", memory: int = 4 << 30, progress: bool | Callable = True) -> torch.Tensor:
        """The tangent kernel of the network at the beginning of a step (0: untrained; None: trained); x, y, form as for pathkernel.tangent_kernel."""
        trained, dtype = self._closed(), DTYPES[self.manifest["dtype"]]
        step = self.steps if at is None else at
        if isinstance(step, bool) or not isinstance(step, int):
            raise InvalidInput(f"tangent_kernel: at is {at!r}; the number of a step, or None for the trained network, is expected")
        with trained.keeping_state():
            return _engine.tangent_kernel_at(self.folder, trained.parts, step, inputs_of(trained.network, x, dtype), inputs_of(trained.network, y, dtype), check_form(form), memory,
                                             bar(progress))

    def path_kernel(self, x: Any, y: Any = None, every: int = 1, form: str = "trace", memory: int = 4 << 30, progress: bool | Callable = True) -> torch.Tensor:
        """The path kernel ∫ Θ_t(x, y) dt (Domingos 2020; theory 1) as the left sum Σ_s η_s Θ(x, y; w_s) over the run's steps.

        every: steps that share a tangent kernel. x, y, form as for pathkernel.tangent_kernel.
        """
        trained, dtype = self._closed(), DTYPES[self.manifest["dtype"]]
        every = whole("path_kernel", "every", every, 1)
        with trained.keeping_state():
            return _engine.path_kernel(self.folder, trained.parts, every, inputs_of(trained.network, x, dtype), inputs_of(trained.network, y, dtype), check_form(form), memory,
                                       bar(progress))

    def representer(self, queries: Any, measure: str | Callable = "log-odds", *, rule: str = "secant", start: int = 0, until: int = -1,
                    progress: bool | Callable = True) -> list[RepresenterStep]:
        """The run of plain SGD as coefficients α of its examples that do not depend on what is asked, and kernels K_s(x, x_i) (theory 1); in float64.

        InvalidInput where there is no such α: momentum, decay, clipping, an optimizer with a memory. queries, measure, rule, start, until as for explain().
        """
        trained, asked = self._closed(), self._queries(queries)
        with trained.keeping_state():
            found = _engine.representer(self.folder, trained.parts, asked, measure_of(measure, trained.network), rule, start, until, bar(progress))
        return [RepresenterStep(**step) for step in found]

    def trained_model(self, step: int | None = None) -> torch.nn.Module:
        """A copy of the model with the weights and buffers at the beginning of a step that has a checkpoint (None: at the end)."""
        trained, recording, step = self._closed(), self._recording(), self.steps if step is None else step
        if step not in recording.checkpoint_steps:
            raise InvalidInput(f"trained_model: {self.folder} keeps weights of the steps {', '.join(map(str, recording.checkpoint_steps))}, not of {step}")
        model = copy.deepcopy(trained.network.module)
        own = dict(model.named_parameters()) | dict(model.named_buffers())
        with torch.no_grad():
            for name, tensor in recording.parameters(step):
                own[name].copy_(tensor)
        return model.eval()

    def kernel_evolution(self, probe: Any, steps: Iterable[int] = (), count: int = 9, memory: int = 4 << 30, progress: bool | Callable = True) -> list[KernelMoment]:
        """How the tangent kernel changed while the network trained: lazy or active (theory 10). Computed in float64.

        probe: (inputs, targets) of four examples or more; steps: where to look (None given: `count` evenly spaced ones, start and end among them).
        """
        trained = self._closed()
        asked = self._queries(probe)
        if asked["targets"] is None:
            raise InvalidInput("kernel_evolution: the targets of the probe are needed; give (inputs, targets)")
        count = whole("kernel_evolution", "count", count)
        with trained.keeping_state():
            found = _engine.kernel_evolution(self.folder, trained.parts, asked["inputs"], asked["targets"], list(steps), count, memory, bar(progress))
        return [KernelMoment(**moment) for moment in found]

    def retrain(self, folder: str | pathlib.Path, drop: Iterable[int] = (), relabel: Mapping[int, Any] | None = None, renormalise: bool = False,
                progress: bool | Callable = True) -> "Run":
        """Repeats the run into another folder, without some examples or with other labels: same initial weights, order and random numbers.

        drop     examples whose loss gets weight 0; renormalise: the others of a batch share it
        relabel  {example: label}, where a label is a class (its name or number) or, of a regression, the number to be predicted

        The model ends with the new run's weights. With neither the new run has the hashes of the first.
        """
        trained = self._closed()
        if relabel is not None and not isinstance(relabel, Mapping):
            raise InvalidInput(f"run.retrain: relabel is {describe(relabel)}; a dict, example to label, is expected: {{312: 9}}")
        rows = sorted(set(numbers_of(drop, trained.data.length, "run.retrain").tolist()))
        labels = [(int(numbers_of([example], trained.data.length, "run.retrain: relabel")), trained.data.label_of(label)) for example, label in (relabel or {}).items()]
        with trained.keeping_state():
            _engine.retrain(self.folder, trained.parts, str(folder), rows, labels, renormalise, bar(progress))
        return Run(str(folder), trained.relabelled(labels))

    def __deepcopy__(self, memo: dict) -> "Run":
        """Itself: a run is what its folder holds, of which there is one. So scikit-learn clones an estimator that was given one."""
        return self

    def __repr__(self) -> str:
        return f"<pathkernel.Run {self.folder}, {self.steps} steps{', being made' if self._live is not None else ''}>"


def record(folder: str | pathlib.Path, *, model: torch.nn.Module, optimizer: Any, loss: Any, data: Any, seed: int = 0,
           reduction: str | None = None, accumulate: int = 1, clip_norm: float = 0, clip_value: float = 0, ema: float = 0, average: Any = None, average_start: int = 0, average_every: int = 1,
           autocast: torch.dtype | None = None, regulariser: str = "", checkpoint_every: int = 0, class_names: list[str] | None = None) -> Run:
    """Begins a recording in a new folder. The model keeps learning where it is: its parameters are trained in place.

    model      any torch.nn.Module; what a batch's outputs are made of may be a tensor, a tuple or a dict
    optimizer  of torch.optim (SGD, Adam, AdamW, NAdam, RAdam, Adamax, RMSprop, Adagrad, Adadelta, Muon), or a list of such, over all parameters of the model
               that require gradients; groups, schedulers, foreach and fused variants and `maximize` included
    loss       a torch loss module, or a callable (outputs, targets) -> [n] losses of the examples
    data       a map-style data set of (input, target), inputs being tensors, tuples or dicts; or (inputs, targets)
    seed       of the order that fit() trains in, and of everything random at a step: dropout, augmentation in the data set
    reduction  "mean" or "sum" over a batch, where the loss does not say
    accumulate micro-batches per step; clip_norm, clip_value: as torch.nn.utils clips; ema: decay of an average of the weights that is kept
    average    a torch.optim.swa_utils.AveragedModel of the model, which the run updates: after step average_start (from 0) and every average_every-th from there;
               in the place of ema. explain() then asks about it (network="weights": about the model)
    autocast   torch.bfloat16: model and loss run under torch.autocast of it, as in the caller's loop
    checkpoint_every  steps between two checkpoints; 0: about the square root of the steps so far
    """
    check_grad_is_possible("record")
    for name, value in (("clip_norm", clip_norm), ("clip_value", clip_value)):
        number("record", name, value, "0 (none) or a number above it", 0)
    checkpoint_every = whole("record", "checkpoint_every", checkpoint_every, 0)
    accumulate, average_start, average_every = (whole("record", name, value, least) for name, value, least in (
        ("accumulate", accumulate, 1), ("average_start", average_start, 0), ("average_every", average_every, 1)))
    ema, seed = number("record", "ema", ema, "a decay between 0 and 1 (0: none)"), whole("record", "seed", seed, 0, 2**63 - 1)
    if not isinstance(regulariser, str):
        raise InvalidInput(f"record: regulariser is {regulariser!r}; a text such as 'l2:0.001' or 'l1:0.0001' is expected")
    if autocast not in (None, torch.bfloat16):
        raise InvalidInput(f"record: autocast is {autocast}; torch.bfloat16 is expected (float16 wants its losses scaled, which is not followed)")
    trained = Trained(model, optimizer, loss, data, reduction=reduction, clip_norm=clip_norm, clip_value=clip_value, class_names=class_names, autocast=autocast)
    if loss is None or optimizer is None:
        raise InvalidInput("record: a loss and an optimizer are needed")
    trained.check_recordable()
    manifest = {"objective": trained.objective, "reduction": trained.reduction, "regulariser": regulariser, "accumulate": accumulate, "ema": ema, "batch": 0,
                "seed": seed, "checkpoint_every": checkpoint_every, "location": f"python:{trained.data.name}"}
    followed = Average(average, trained.network.module, average_start, average_every, fresh=True) if average is not None else None
    manifest["average"] = followed.settings if followed else {}
    return Run(str(folder), trained, _engine.LiveRun(str(folder), trained.parts, manifest), seed, average=followed)


def resume(folder: str | pathlib.Path, *, model: torch.nn.Module, optimizer: Any, loss: Any, data: Any, average: Any = None,
           class_names: list[str] | None = None, progress: bool | Callable = True) -> Run:
    """Goes on with a recording that was interrupted: model, optimizer and average (where there was one) get the state after its last step.
    Then fit() or step()."""
    check_grad_is_possible("resume")
    manifest = json.loads(_engine.Recording(str(folder)).manifest)
    if optimizer is None or loss is None:
        raise InvalidInput("resume: a loss and an optimizer are needed, those that the run was begun with")
    trained = trained_as(manifest, model, optimizer, loss, data, class_names)
    check_same(str(folder), manifest, trained)
    followed = _average_as(manifest, average, trained)
    groups = trained.optimizer.groups()
    with own_random_numbers(), naming_changed_data(trained):
        live = _engine.LiveRun.resume(str(folder), trained.parts, bar(progress))
    return Run(str(folder), trained, live, manifest["seed"], groups, followed)


def open(folder: str | pathlib.Path, *, model: torch.nn.Module, data: Any, optimizer: Any = None, loss: Any = None,
         class_names: list[str] | None = None) -> Run:  # noqa: A001 — as a file is opened
    """Opens a recording to verify and explain it. Model, loss, optimizer and data are those it was made with, built again: their weights and
    state do not matter. loss and optimizer may be left out for a run of the C++ program, or one whose manifest names what the engine has too.

    InvalidInput names the first difference from what was recorded.
    """
    manifest = json.loads(_engine.Recording(str(folder)).manifest)
    trained = trained_as(manifest, model, optimizer, loss, data, class_names)
    check_same(str(folder), manifest, trained)
    return Run(str(folder), trained)


def _average_as(manifest: dict, average: Any, trained: Trained) -> Average | None:
    recorded = manifest.get("average")
    if average is None:
        return None
    if recorded is None:
        raise InvalidInput("resume: an average was given, but the run keeps none; leave it out")
    followed = Average(average, trained.network.module, recorded["start"], recorded["every"], fresh=False)
    if followed.settings != recorded:
        raise InvalidInput(f"resume: the average is {followed.settings}, but {recorded} was recorded")
    return followed
