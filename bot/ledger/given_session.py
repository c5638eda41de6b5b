"""The first question over a new connection to PostgreSQL, which is not waited for in silence.

A pooler greets whoever comes, also where it has no session left to give, and lets their first question wait
until somebody else leaves: for minutes, as a bot keeps its own.
"""

from __future__ import annotations

import asyncio
import os
import socket
from typing import Any

from bot.errors import LedgerUnavailable

NEEDED = "PostgreSQL, or a pooler before it, needs ten for each instance, and some for whoever audits"
"""Sessions; what to do where there are too few."""

_TOO_FEW = ("too many clients", "too many connections", "remaining connection slots")
"""How the server says so, where it speaks English."""

GIVEN_WITHIN_S = 10.0
"""Seconds that a session may take to be given; the server itself needs a few milliseconds."""


def with_remedy(said: str) -> str:
    """What the server said, with what to do where it has no session left."""
    return f"{said}; {NEEDED}" if any(one in said for one in _TOO_FEW) else said


def first_answer(connection: Any, question: str) -> Any:
    """The one row that answers it. connection: SQLAlchemy's. Raises LedgerUnavailable."""
    waited: list[bool] = []

    def hang_up() -> None:
        waited.append(True)
        # To be cancelled, the driver would ask the server, and wait for its answer.
        with socket.socket(fileno=os.dup(connection.driver_connection.fileno())) as there:
            there.shutdown(socket.SHUT_RDWR)

    timer = asyncio.get_running_loop().call_later(GIVEN_WITHIN_S, hang_up)
    cursor = connection.cursor()
    try:
        cursor.execute(question)
        answer = cursor.fetchone()
        cursor.close()
        connection.rollback()
    except Exception:
        if not waited:
            raise
        connection.close()
        raise LedgerUnavailable(f"no session was given within {GIVEN_WITHIN_S:g} seconds; {NEEDED}") from None
    finally:
        timer.cancel()
    return answer
