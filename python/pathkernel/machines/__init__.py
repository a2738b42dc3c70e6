"""Machines over kernels, as scikit-learn's estimators: ridge regression, Gaussian processes, support vectors, principal components, wide networks.

    from pathkernel import kernels, machines

    machine = machines.RidgeClassifier(kernels.ntk("dense relu dense", w_std=1.5, b_std=0.1)).fit(X, y)
    machine.predict(X_new)
    machine.save("digits"); machines.load("digits")      # the same folder as the program's `machine fit`

`kernel` is a kernel of pathkernel.kernels, its text ("rbf:1.5", "ntk(dense relu dense)"), or "precomputed": then X is a Gram matrix, [n, n] to fit
and [m, n] to predict. Otherwise X is [n, ...], numpy or torch. Everything is computed in float64; results are numpy's. What is common to all:

    jitter   the most that may be added to the diagonal of a singular matrix, as a part of its mean; 0: it is refused
    memory   bytes for matrices

Formulas: docs/machines.md. Errors are pathkernel.InvalidInput, a ValueError, with what was expected. Wants scikit-learn (pip install "pathkernel[machines]").
"""

from __future__ import annotations

import pathlib

from .. import _engine, kernels
from .._engine import InvalidInput

try:
    from .base import Machine
    from .finetune import FineTunedClassifier, FineTunedRegressor
    from .processes import GaussianProcessClassifier, GaussianProcessRegressor
    from .ridge import FeatureRidge, FeatureRidgeClassifier, Ridge, RidgeClassifier
    from .vectors import KernelPCA, SupportVectorClassifier
    from .wide import WideNetwork, WideNetworkClassifier
except ImportError as error:
    raise ImportError(f"pathkernel.machines are estimators of scikit-learn, 1.6 or later, which does not load here ({error}); pip install \"pathkernel[machines]\"") from error

__all__ = ["FeatureRidge", "FeatureRidgeClassifier", "FineTunedClassifier", "FineTunedRegressor", "GaussianProcessClassifier", "GaussianProcessRegressor", "KernelPCA", "Ridge", "RidgeClassifier",
           "SupportVectorClassifier", "WideNetwork", "WideNetworkClassifier", "load", "log_marginal_likelihood"]


def load(folder: str | pathlib.Path) -> Machine:
    """A machine from its folder, whoever saved it, as the class it is of. Class names that are whole numbers are numbers again, True and False truth values, others text.

    InvalidInput: there is none; CorruptData: the file is damaged or of another version, naming what does not fit.
    """
    machine = _engine.load_machine(str(folder))
    found = {"gaussian_process": GaussianProcessRegressor, "laplace_binary": GaussianProcessClassifier, "laplace_multiclass": GaussianProcessClassifier,
             "svm": SupportVectorClassifier, "kernel_pca": KernelPCA}.get(machine.type)
    if machine.type == "finetuned":
        raise InvalidInput(f"{folder}: it holds a fine-tuned network; FineTunedClassifier.load or FineTunedRegressor.load reads it, with the model")
    if machine.network is not None:
        raise InvalidInput(f"{folder}: the {machine.kind} is on the tangent kernel of a recorded network, which the program keeps; ask it with pathkernel machine predict")
    if found is None:
        of_features = machine.type == "fourier_expansion" or "unexplained" in machine.numbers
        kinds = (FeatureRidge, FeatureRidgeClassifier) if of_features else (WideNetwork, WideNetworkClassifier) if machine.kind == "dynamics" else (Ridge, RidgeClassifier)
        found = kinds[bool(machine.classes)]
    return found._loaded(machine)


def log_marginal_likelihood(kernel: kernels.Kernel | str, X: kernels.Array, y: kernels.Array, noise: float, *, jitter: float = 0.0,
                            memory: int = 4 << 30) -> tuple[float, dict[str, float]]:
    """log p(y) of a Gaussian process with this kernel and noise variance (mean zero: subtract a mean first), exact, and its slopes ∂log p/∂log θ by name:
    every positive number of the kernel ("lengthscale", "lengthscale[2]", "0.scale") and "noise". Theory: Rasmussen and Williams 2006, 5.9.

    X [n, ...], y [n] or [n, k] (independent outputs, summed).
    """
    made = kernels.parse(str(kernel))
    x, targets = kernels.tensor_of(X).detach().double(), kernels.tensor_of(y, "y").detach().double()
    return _engine.log_evidence(made._engine, x, targets, noise, jitter, memory)
