"""The reading of a list alone: 500 unpaid invoices, from bytes to values. The other side is zeep."""

from __future__ import annotations

import io
import time
from collections.abc import Callable
from importlib import resources

import requests
import zeep

from bot.billing.list_answer import read_list
from bot.billing.reading import UnpaidCharges
from bot.redaction import Redaction
from bot.sandbox.local_billing import nusoap
from bot.sandbox.local_billing.books import Books
from tests.bench.figures import Line
from tests.bench.offline import Offline
from tests.bench.world import OURS, Side, median

LINES = {"read_ms": Line("500 unpaid invoices read, beside zeep", "ms")}
ROUNDS = 3
OPERATION = "api_vps_get_client_unpaid_invoices"
SECRETS = Redaction(["local-api-key", "0123456789abcdef0123456789abcdef"], sessions_by_shape=False)


async def measure(side: Side) -> dict[str, float]:
    """The median of some readings."""
    body = _answer()
    read = _ours if side is OURS else _zeeps()
    taken = []
    for _ in range(15):
        begun = time.perf_counter()
        assert read(body) == 500
        taken.append(time.perf_counter() - begun)
    return {"read_ms": 1000 * median(taken)}


def _answer() -> bytes:
    books = Books()
    for number in range(500):
        books.add("vps", 50_000 + number)
    rows = (nusoap.struct("sql_row_invoices", row, "item") for row in books.unpaid("vps"))
    return nusoap.response(OPERATION, nusoap.array("tns:sql_row_invoices", rows))


def _ours(body: bytes) -> int:
    """In the pieces in which it comes."""
    found = UnpaidCharges("vps", SECRETS)
    read_list(OPERATION, (body[at : at + 65536] for at in range(0, len(body), 65536)), 200, found)
    return len(found.found().invoices)


def _zeeps() -> Callable[[bytes], int]:
    """What zeep makes of it, as the plain bot would have it."""
    document = resources.files("bot.sandbox.local_billing").joinpath("myapi.wsdl").read_bytes()
    client = zeep.Client(io.BytesIO(document), transport=Offline())  # type: ignore[no-untyped-call]
    binding = client.service._binding
    called = binding.get(OPERATION)

    def read(body: bytes) -> int:
        response = requests.Response()
        response.status_code, response._content = 200, body
        response.headers["Content-Type"] = nusoap.CONTENT_TYPE
        return len(binding.process_reply(client, called, response))

    return read
