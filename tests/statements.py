"""What SQLAlchemy compiled, shared by all engines of a process.

It keeps compiled statements with the engine, and a test has an engine of its own: without this, a third of
what a short test does would be to compile the same statements as the one before.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from sqlalchemy.ext.asyncio import create_async_engine

from bot.ledger import database


class Statements(dict[Any, Any]):
    """Compiled statements by their kind of database, whichever engine compiled them first."""

    def get(self, key: Any, default: Any = None) -> Any:
        """See `_kind`."""
        return super().get(_kind(key), default)

    def __setitem__(self, key: Any, compiled: Any) -> None:
        super().__setitem__(_kind(key), compiled)


def _kind(key: Any) -> Any:
    """SQLAlchemy's key begins with the engine's own dialect; those of one class are all set up alike here."""
    dialect, *statement = key
    return type(dialect), *statement


def share_statements() -> None:
    """From now on every engine of this process that is made for a ledger shares them."""
    sharing = partial(create_async_engine, execution_options={"compiled_cache": Statements()})
    setattr(database, "create_async_engine", sharing)  # noqa: B010 -- it is no name of that module's own
