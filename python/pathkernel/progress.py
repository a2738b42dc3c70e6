"""A bar of tqdm where that is installed, for work that takes a while."""

from __future__ import annotations

from typing import Callable


def bar(show: bool | Callable | None) -> Callable | None:
    """True: tqdm's bar; a callable (what, done, total): told as it is; False or None: nothing."""
    if not show:
        return None
    if callable(show):
        return show
    try:
        from tqdm.auto import tqdm
    except ImportError:
        return None
    bars: dict[str, "tqdm"] = {}

    def tell(what: str, done: int, total: int) -> None:
        if what not in bars:
            bars[what] = tqdm(total=total, desc=what, leave=False, delay=1)
        bars[what].update(done - bars[what].n)
        if done >= total:
            bars.pop(what).close()

    return tell
