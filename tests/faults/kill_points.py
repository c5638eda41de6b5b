"""The points at which a bot can die so that anybody could tell: every commit and every call.

Nothing that a process does between two of its commits and calls can be seen from outside, so dying
before and after each of them is dying everywhere. The points are found, not listed: a wrapper is put
around the ledger's transactions, the billing client and the connection that a payment goes out by, Slack's
Web API and the acknowledgements, and each point is named after the function that comes to it. New code
brings its own.
"""

from __future__ import annotations

import functools
import os
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from types import ModuleType
from typing import Any

from aiohttp import ClientWebSocketResponse
from urllib3.connection import HTTPConnection

from bot.billing.calls import BillingCalls
from bot.billing.client import BillingClient
from bot.domain.payment import Outcome
from bot.ledger.store import Ledger
from bot.ledger.transaction import Transaction
from bot.slack import web_api


class KillPoints:
    """Writes down every point that this process comes to, and kills it or stops it at one of them.

    trace: a file descriptor that takes a line for each point. kill_at, stop_at: such as
    "before make_payment #1", the first time that this point is reached; None to live, and to go on.
    """

    def __init__(self, trace: int, *, kill_at: str | None, stop_at: str | None) -> None:
        self._trace = trace
        self._signals = {kill_at: signal.SIGKILL, stop_at: signal.SIGSTOP}
        self._seen: Counter[str] = Counter()

    def reached(self, point: str) -> None:
        """The process has come to this point."""
        self._seen[point] += 1
        numbered = f"{point} #{self._seen[point]}"
        os.write(self._trace, f"{numbered}\n".encode())
        if numbered in self._signals:
            os.kill(os.getpid(), self._signals[numbered])
            # It is the process that is stopped: this very thread may run on for a moment.
            time.sleep(0.2)

    async def checkpoint(self, point: str, payment: int) -> None:
        """The hook that the bot itself takes; see `Checkpoint`."""
        self.reached(f"at checkpoint {point}")

    def install(self) -> None:
        """Wrap everything, for the whole process."""
        for method in ("make_payment", "unpaid_invoices", "evidence_of"):
            self._around_method(BillingClient, method)
        self._around_method(web_api, "_once", "{first}")
        self._around_method(ClientWebSocketResponse, "send_str", "the acknowledgement")
        self._around_transactions()
        self._around_connections()

    def _around_method(self, owner: type | ModuleType, method: str, name: str = "{method}") -> None:
        """name: of the point; `{method}` and `{first}`, its first argument, may stand in it."""
        original: Callable[..., Awaitable[Any]] = getattr(owner, method)

        @functools.wraps(original)
        async def wrapped(this: Any, first: Any, *rest: Any, **named: Any) -> Any:
            what = name.format(method=method, first=first)
            self.reached(f"before {what}")
            answer = await original(this, first, *rest, **named)
            self.reached(f"after {what}")
            return answer

        setattr(owner, method, wrapped)

    def _around_connections(self) -> None:
        """The last thing before the first byte of a payment, in the thread that sends it."""
        pay, connect = BillingCalls.pay, HTTPConnection.connect
        paying = threading.local()

        @functools.wraps(pay)
        def wrapped_pay(*given: Any, **named: Any) -> Outcome:
            paying.now = True
            try:
                return pay(*given, **named)
            finally:
                paying.now = False

        @functools.wraps(connect)
        def wrapped_connect(connection: HTTPConnection) -> None:
            connect(connection)
            if getattr(paying, "now", False):
                self.reached("with a connection to pay by")

        setattr(BillingCalls, "pay", wrapped_pay)  # noqa: B010 -- it is another kind of function
        setattr(HTTPConnection, "connect", wrapped_connect)  # noqa: B010

    def _around_transactions(self) -> None:
        original = Ledger.transaction

        @asynccontextmanager
        async def wrapped(ledger: Ledger, where: str) -> AsyncIterator[Transaction]:
            async with original(ledger) as transaction:
                yield transaction
                self.reached(f"before the commit of {where}")
            self.reached(f"after the commit of {where}")

        def transaction(ledger: Ledger) -> AbstractAsyncContextManager[Transaction]:
            return wrapped(ledger, sys._getframe(1).f_code.co_qualname)

        setattr(Ledger, "transaction", transaction)  # noqa: B010 -- it is another kind of function
