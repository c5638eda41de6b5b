"""Weighs calls of the billing client: each is made in a process of its own, which says what it cost.

Run as `python -m tests.billing.weighed PATH` it listens on that Unix socket. For each connection a child is
forked, which has everything loaded already; the line that it reads is a call, the line that it answers is
what became of it. Its memory is bounded, so that a failing test does not take the machine with it.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import resource
import select
import socketserver
import sys
import time
from pathlib import Path
from typing import Any, Protocol

from pydantic import SecretStr

from bot.billing.client import BillingClient
from bot.domain.payment import InvoiceRef
from bot.errors import BillingError
from tests.billing.scripted import PASSWORD

VPS = InvoiceRef("vps", 10101)

MEMORY = 3 * 1024**3
"""Bytes that a process may have."""

MAX_GROWTH_MB = 30
"""More than a call may add to its process; the longest answer that is read costs half of it."""

TIMEOUT_S = 6.0
"""BILLING_TIMEOUT of the calls, where a test does not say another."""


class Weigh(Protocol):
    """Makes one call at a server in a process of its own: what became of it, and what it cost."""

    async def __call__(self, call: str, timeout: float = TIMEOUT_S) -> dict[str, Any]: ...


def assert_bounded(found: dict[str, Any], timeout: float = TIMEOUT_S) -> None:
    """It cost no more than a good answer may."""
    assert found["grew"] < MAX_GROWTH_MB, found
    assert found["took"] < timeout + 3.0, found


async def weigh(path: Path, *call: str | float) -> dict[str, Any]:
    """Have a call made by the process that listens at `path`."""
    reader, writer = await asyncio.open_unix_connection(path)
    writer.write(f"{json.dumps(call)}\n".encode())
    answer = await reader.read()
    writer.close()
    assert answer, "the process that made the call has died"
    found: dict[str, Any] = json.loads(answer)
    return found


async def _make(client: BillingClient, call: str) -> Any:
    """What is said of the call's result."""
    try:
        match call:
            case "pay":
                outcome = await client.make_payment(VPS)
                return [outcome.verdict, outcome.evidence, len(outcome.status_text or "")]
            case "unpaid":
                return [str(one.ref) for one in (await client.unpaid_invoices("vps")).invoices[:5]]
            case "evidence":
                found = await client.evidence_of(VPS)
                return [found.unpaid, found.paid_flag, found.payment, found.history]
            case "modules":
                return await client.modules()
            case "modules, often":
                for _ in range(150):
                    with contextlib.suppress(BillingError):
                        await client.modules()
                return None
    except BillingError as error:
        return [type(error).__name__, str(error)]
    raise ValueError(call)


async def _weighed(url: str, call: str, timeout: float) -> dict[str, Any]:
    """Make the call: what became of it, its seconds, and the MB that it added at the most."""
    client = BillingClient(wsdl_url=url, username="me", password=SecretStr(PASSWORD), timeout=timeout)
    with contextlib.suppress(BillingError):  # the WSDL or the login may be what a test is about
        await client.prepare()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    started = time.monotonic()
    said = await _make(client, call)
    took = time.monotonic() - started
    grew = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    await client.close(grace=5.0)
    return {"said": said, "took": took, "grew": grew}


class _Child(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        found = asyncio.run(_weighed(*json.loads(self.rfile.readline())))
        self.wfile.write(json.dumps(found).encode())


class _Server(socketserver.ForkingMixIn, socketserver.UnixStreamServer):
    def service_actions(self) -> None:
        super().service_actions()
        ended, _, _ = select.select([sys.stdin], [], [], 0)
        if ended:
            sys.exit()


def main() -> None:
    """Serve until the input ends, as it does when whoever started it is killed; say so once it listens."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    with _Server(sys.argv[1], _Child) as server:
        print("listening", flush=True)
        server.serve_forever()


if __name__ == "__main__":
    main()
