"""What the billing client costs: a warm call through it, against a bare POST of the same envelope.

Run: python -m tests.bench.billing_call

The local billing API runs in a process of its own; calls of all kinds alternate, so that a busy machine
slows them alike. A payment opens a connection for itself on purpose; what that costs has its own line.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import statistics
import time
from collections.abc import Awaitable, Callable
from multiprocessing.connection import Connection

import requests
from pydantic import SecretStr

from bot.billing.client import BillingClient
from bot.domain.payment import InvoiceRef
from bot.sandbox.local_billing import LocalBilling

ROUNDS = 300

ENVELOPE = (
    '<?xml version="1.0" encoding="utf-8"?><soap-env:Envelope'
    ' xmlns:soap-env="http://schemas.xmlsoap.org/soap/envelope/"><soap-env:Body>'
    '<ns0:{operation} xmlns:ns0="urn:myapi">{arguments}</ns0:{operation}>'
    "</soap-env:Body></soap-env:Envelope>"
)
PAID_ALREADY = InvoiceRef("vps", 10105)


def serve(ready: Connection) -> None:
    """Run the local billing API until told to stop."""

    async def run() -> None:
        api = LocalBilling()
        await api.start()
        ready.send((api.wsdl_url, api.username, api.password))
        await asyncio.to_thread(ready.recv)
        await api.stop()

    asyncio.run(run())


def envelope(operation: str, **arguments: str | int) -> bytes:
    """A request as zeep writes it."""
    parts = "".join(f"<{name}>{value}</{name}>" for name, value in arguments.items())
    return ENVELOPE.format(operation=operation, arguments=parts).encode()


async def measure(wsdl_url: str, username: str, password: str) -> dict[str, float]:
    """Milliseconds a call, the median of `ROUNDS`, by kind of call."""
    client = BillingClient(wsdl_url=wsdl_url, username=username, password=SecretStr(password))
    session = requests.Session()
    session.trust_env = False
    url = wsdl_url.removesuffix("?wsdl")

    def bare(body: bytes) -> str:
        return session.post(url, data=body, timeout=10.0).text

    def connected_anew(body: bytes) -> str:
        session.close()  # which leaves it usable, without a connection
        return bare(body)

    answer = bare(envelope("api_login", username=username, password=password))
    sid = answer.split('<return xsi:type="xsd:string">')[1].split("<")[0]
    read = envelope("api_mail_get_client_unpaid_invoices", sid=sid)
    pay = envelope("api_make_payment", sid=sid, module=PAID_ALREADY.module, invoice=PAID_ALREADY.number)

    async def in_a_thread(call: Callable[[], str]) -> str:
        return await asyncio.get_running_loop().run_in_executor(None, call)

    kinds: dict[str, Callable[[], Awaitable[object]]] = {
        "read, our client": lambda: client.unpaid_invoices("mail"),
        "read, bare POST": lambda: in_a_thread(lambda: bare(read)),
        "pay, our client": lambda: client.make_payment(PAID_ALREADY),
        "pay, bare POST": lambda: in_a_thread(lambda: bare(pay)),
        "pay, bare POST on a new connection": lambda: in_a_thread(lambda: connected_anew(pay)),
    }
    taken: dict[str, list[float]] = {kind: [] for kind in kinds}
    for _round in range(ROUNDS):
        for kind, call in kinds.items():
            started = time.perf_counter()
            await call()
            taken[kind].append((time.perf_counter() - started) * 1000)
    await client.close(grace=1.0)
    session.close()
    return {kind: statistics.median(times) for kind, times in taken.items()}


def main() -> None:
    """Print the medians and the ratios."""
    here, there = multiprocessing.Pipe()
    server = multiprocessing.get_context("spawn").Process(target=serve, args=(there,))
    server.start()
    try:
        medians = asyncio.run(measure(*here.recv()))
    finally:
        here.send("stop")
        server.join(10.0)
    for kind, median in medians.items():
        print(f"{kind:36} {median:6.2f} ms")
    read = medians["read, our client"] / medians["read, bare POST"]
    pay = medians["pay, our client"] / medians["pay, bare POST"]
    alike = medians["pay, our client"] / medians["pay, bare POST on a new connection"]
    print(f"{'read: ours to bare':36} {read:6.2f}")
    print(f"{'pay: ours to bare':36} {pay:6.2f}")
    print(f"{'pay: ours to bare, new connections':36} {alike:6.2f}")
    together = medians["read, our client"] + medians["pay, our client"]
    print(f"{'a warm read and its payment':36} {together:6.2f} ms")


if __name__ == "__main__":
    main()
