"""Answers that are only long: they are read, in little memory."""

from __future__ import annotations

import gzip

from aiohttp import web

from bot.sandbox.local_billing import nusoap
from tests.billing.scripted import ALL, PAY, UNPAID, Scripted, outcome, row, rows
from tests.billing.weighed import Weigh, assert_bounded

MB = 1024 * 1024


async def test_a_long_status_text_is_cut_and_the_payment_is_paid(server: Scripted, weigh: Weigh) -> None:
    """Three MB of text do not make it unknown; what is kept of it is 16 kB."""
    server.answers[PAY] = outcome("ok", "x" * 3 * MB)
    found = await weigh("pay")
    assert_bounded(found)
    assert found["said"][0] == "PAID"
    assert 15_900 < found["said"][2] <= 16_000


async def test_an_answer_that_is_compressed_unasked_is_read(server: Scripted, weigh: Weigh) -> None:
    """Gateways do that."""
    packed = gzip.compress(outcome("ok", "x" * 200_000))

    async def compressed(request: web.Request, body: bytes) -> web.StreamResponse:
        return web.Response(body=packed, headers={"Content-Type": "text/xml", "Content-Encoding": "gzip"})

    server.answers[PAY] = compressed
    assert (await weigh("pay"))["said"][0] == "PAID"


async def test_a_long_history_is_read_in_the_memory_of_a_few_rows(server: Scripted, weigh: Weigh) -> None:
    """Of twenty thousand rows, twenty MB, ours is the last."""
    old = row(id=5, paid=1).encode()
    number = 20_000
    head, tail = nusoap.response(
        ALL,
        '<return xsi:type="SOAP-ENC:Array" '
        f'SOAP-ENC:arrayType="tns:sql_row_invoices[{number + 2}]">@</return>',
    ).split(b"@")

    async def answer(request: web.Request, body: bytes) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/xml"})
        await response.prepare(request)
        await response.write(head)
        for _ in range(number // 100):
            await response.write(old * 100)
        await response.write(
            row(paid=1).encode() + row(id=90001, type=10, extra=10101, paid=1).encode() + tail
        )
        await response.write_eof()
        return response

    server.answers[UNPAID] = rows(UNPAID, row(id=5))
    server.answers[ALL] = answer
    found = await weigh("evidence", 60.0)
    assert found["said"] == [False, True, 90001, True], found
    assert found["grew"] < 6, found
