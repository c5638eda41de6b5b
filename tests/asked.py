"""What a database is asked: the statements, as they are sent to it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import event
from sqlalchemy.engine import Engine
from sqlalchemy.engine.interfaces import CacheStats


@contextmanager
def _listening(listen: Callable[..., None]) -> Iterator[None]:
    event.listen(Engine, "before_cursor_execute", listen)
    try:
        yield
    finally:
        event.remove(Engine, "before_cursor_execute", listen)


@contextmanager
def statements() -> Iterator[list[str]]:
    """Those that this process sends from now on until the block ends, without BEGIN and COMMIT."""
    sent: list[str] = []

    def listen(*told: Any) -> None:
        if not told[2].startswith("BEGIN"):
            sent.append(told[2])

    with _listening(listen):
        yield sent


@contextmanager
def compiled_each_time() -> Iterator[set[str]]:
    """Those of them that nothing is kept of: to make them costs more than to carry them out."""
    sent: set[str] = set()

    def listen(*told: Any) -> None:
        if told[4].compiled is not None and told[4].cache_hit is CacheStats.NO_CACHE_KEY:
            sent.add(told[2])

    with _listening(listen):
        yield sent
