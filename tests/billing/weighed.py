"""Calls of the billing client, each in a process of its own, which says what it cost: see `test_hostile`.

Run as `python -m tests.billing.weighed`; each line that it reads is a call: its URL, name and time-out as
JSON. For each a child is forked, which has everything loaded already. Its memory is bounded, so that a
failing test does not take the machine with it.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import resource
import sys
import time
from typing import Any

from pydantic import SecretStr

from bot.billing.client import BillingClient
from bot.domain.payment import InvoiceRef
from bot.errors import BillingError
from tests.billing.scripted import PASSWORD

VPS = InvoiceRef("vps", 10101)
MOST_MEMORY = 3 * 1024**3


async def call(client: BillingClient, name: str) -> Any:
    """What is said of the call's result."""
    try:
        match name:
            case "pay":
                outcome = await client.make_payment(VPS)
                return [outcome.verdict, outcome.evidence, len(outcome.status_text or "")]
            case "unpaid":
                return [str(one.ref) for one in (await client.unpaid_invoices("vps"))[:5]]
            case "evidence":
                found = await client.evidence_of(VPS)
                return [found.unpaid, found.paid_flag, found.payment, found.history]
            case "modules":
                return await client.modules()
            case "modules, often":
                for _ in range(100):
                    with contextlib.suppress(BillingError):
                        await client.modules()
                return None
    except BillingError as error:
        return [type(error).__name__, str(error)]
    raise ValueError(name)


async def weigh(url: str, name: str, timeout: float) -> dict[str, Any]:
    """Make the call: what became of it, its seconds, and the MB that it added at the most."""
    client = BillingClient(wsdl_url=url, username="me", password=SecretStr(PASSWORD), timeout=timeout)
    with contextlib.suppress(BillingError):  # the WSDL or the login may be what a test is about
        await client.prepare()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    started = time.monotonic()
    said = await call(client, name)
    took = time.monotonic() - started
    grew = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    await client.close(grace=5.0)
    return {"said": said, "took": took, "grew": grew}


def main() -> None:
    """Fork a child for each line, one after the other; a line of what it found follows from each."""
    resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY, MOST_MEMORY))
    for line in sys.stdin:
        url, name, timeout = json.loads(line)
        child = os.fork()
        if child == 0:
            print(json.dumps(asyncio.run(weigh(url, name, timeout))), flush=True)
            os._exit(0)
        if (code := os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])) != 0:
            print(json.dumps({"died": code}), flush=True)


if __name__ == "__main__":
    main()
