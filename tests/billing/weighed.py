"""One call of the billing client in a process of its own, which says what it cost: see `test_hostile`.

Run as `python -m tests.billing.weighed URL CALL TIMEOUT`. Its memory is bounded, so that a failing test does
not take the machine with it.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
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
            case "standing":
                standing = await client.standing(VPS)
                return [standing.unpaid, standing.paid_flag, standing.payment, standing.history]
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


async def main(url: str, name: str, timeout: float) -> None:
    """Make the call, and print what became of it, its seconds, and the MB that it added at the most."""
    client = BillingClient(wsdl_url=url, username="me", password=SecretStr(PASSWORD), timeout=timeout)
    with contextlib.suppress(BillingError):  # the WSDL or the login may be what a test is about
        await client.prepare()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    started = time.monotonic()
    said = await call(client, name)
    took = time.monotonic() - started
    grew = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    await client.close(grace=5.0)
    print(json.dumps({"said": said, "took": took, "grew": grew}))


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY, MOST_MEMORY))
    asyncio.run(main(sys.argv[1], sys.argv[2], float(sys.argv[3])))
