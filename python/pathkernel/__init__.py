"""Pathkernel: every prediction of a trained network, exactly, as a sum over its training examples.

    import pathkernel as pk

    run = pk.record("runs/first", model=model, optimizer=optimizer, loss=torch.nn.CrossEntropyLoss(), data=train_set, seed=0)
    run.fit(epochs=3, batch_size=128)
    run.close()
    ledger = run.explain((test_inputs, test_targets))
    ledger.contributions          # [N, Q]: what each training example did to each prediction
    ledger.report("report.html")

Contributions say what an example did on the path that training took. They do not say what its removal would do.
"""

import torch as _torch

try:
    from . import _engine
except ImportError as error:  # symbols of another torch are missing
    raise ImportError(f"pathkernel's engine does not load with torch {_torch.__version__}: {error}. It was built for one version of torch; "
                      "build it again with `pip install --no-build-isolation --force-reinstall --no-deps .` in its source folder") from error

if _torch.__version__.split("+")[0] != _engine.torch_version:
    raise ImportError(f"pathkernel's engine was built for torch {_engine.torch_version}, but this is torch {_torch.__version__}; install that version, "
                      "or build pathkernel again with `pip install --no-build-isolation --force-reinstall --no-deps .` in its source folder")

from ._engine import CorruptData, Diverged, InvalidInput, InvariantViolated, ReplayMismatch
from .audit import Audit
from .comparison import Comparison, compare
from .ledger import Ledger, load_ledger
from .queries import Queries
from .run import Run, open, record, resume
from .tangents import tangent_kernel

__version__ = _engine.version

__all__ = ["Audit", "Comparison", "CorruptData", "Diverged", "InvalidInput", "InvariantViolated", "Ledger", "Queries", "ReplayMismatch", "Run", "compare", "load_ledger", "open", "record", "resume", "tangent_kernel"]
