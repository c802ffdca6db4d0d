"""Pauses the garbage collection while very many rows are made. Otherwise it would scan all of them many times."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def uncollected() -> Iterator[None]:
    """A context without garbage collection in the entire process. Use it for at most a second or two."""
    running = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if running:
            gc.enable()
