"""What changed between a run and its repetition with other data."""

from __future__ import annotations

from dataclasses import dataclass

from . import _engine
from ._engine import InvalidInput
from .ledger import Ledger
from .queries import NAMED, measure_of
from .run import Run


@dataclass(frozen=True)
class ComparedQuery:
    """One query, asked of a run's final network and of that of its repetition."""

    input: str
    measurement: str
    target: int  #: true class; −1 where there is none
    predicted: int  #: class by the run
    predicted_then: int  #: class by the repetition
    before: float  #: the measurement by the run
    after: float  #: … by the repetition
    dropped_contributed: float  #: Σ c_i in the run's ledger, over the examples that the repetition was without
    relabelled_contributed: float  #: Σ c_i in the run's ledger, over the examples that have another label there

    @property
    def change(self) -> float:
        return self.after - self.before


@dataclass(frozen=True)
class Comparison:
    """What dropped and relabelled examples had contributed, beside what retraining really changed (theory 5: the two are different questions)."""

    dropped: list[int]
    relabelled: list[int]
    queries: list[ComparedQuery]
    correlation: float | None  #: Pearson's, over the queries, of −(what the dropped had contributed) and the change; None under three queries, and where labels were changed
    rank_correlation: float | None  #: Spearman's
    words: str  #: why the two differ

    def __str__(self) -> str:
        width = max(len(q.input) for q in self.queries)
        lines = [f"{'':{width}}  {'had contributed':>15}  {'real change':>12}  {'from':>10}  {'to':>10}"]
        for q in self.queries:
            lines.append(f"{q.input:{width}}  {q.dropped_contributed + q.relabelled_contributed:>+15.5f}  {q.change:>+12.5f}  {q.before:>+10.4f}  {q.after:>+10.4f}")
        if self.correlation is not None:
            lines.append(f"−contributed and the real change correlate by {self.correlation:.2f} ({self.rank_correlation:.2f} by rank)")
        return "\n".join(lines) + "\n" + self.words


def compare(run: Run, other: Run, queries: object, measure: str | object | None = None, ledger: Ledger | None = None, **options: object) -> Comparison:
    """Sets what examples had contributed to a run beside what its repetition without them (or with other labels) changed.

    run       the original    other   made by run.retrain()    queries, measure   as for run.explain(), about single inputs (None: that of the ledger, else log-odds)
    ledger    of the run, with these queries; None: made on the way, options being those of run.explain()

    InvalidInput where `other` is no repetition of `run`, one of them is not complete, or the ledger is of something else.
    """
    if not isinstance(run, Run) or not isinstance(other, Run):
        raise InvalidInput("compare: two runs are expected, the original and what its retrain() returned")
    if ledger is not None and measure is not None and measure_of(measure, run._trained.network)["measure"] != ledger._engine.measure:
        raise InvalidInput(f"compare: the ledger measures {ledger._engine.measure}, but measure={measure!r} was given; leave one out")
    if ledger is not None and options:
        raise InvalidInput(f"compare: {', '.join(options)} belong to a ledger that is made on the way; leave them or ledger= out")
    if ledger is not None and measure is None and not NAMED.fullmatch(ledger._engine.measure):
        raise InvalidInput(f"compare: the ledger measures {ledger._engine.measure!r}, a function of yours; give measure= as well")
    measure = measure or (ledger._engine.measure if ledger is not None else "log-odds")
    if ledger is None:
        ledger = run.explain(queries, measure, **{"sampled_steps": 0, "progress": False, **options})
    trained, asked, measurement = run._compared(queries, measure)
    with trained.keeping_state():
        found = _engine.compare(run.folder, other.folder, trained.parts, asked, ledger._engine, measurement)
    found["queries"] = [ComparedQuery(**q) for q in found["queries"]]
    return Comparison(**found)
