"""Answers of a billing API that nobody would wish for, beside those that the sandbox can give."""

from __future__ import annotations

from aiohttp import web

from bot.sandbox.local_billing import Failure, nusoap
from bot.sandbox.local_billing.failures import FAILURES, INVOICES, Answer, Exchange
from bot.sandbox.local_billing.service import PAYMENT

LATE_SECONDS = 1.5
"""Well within the time in which a lost call may be carried out here: `BotOptions.settling` and two calls."""

_LOST = FAILURES["reset-before"].answer

LATE = Failure("the connection is reset; paid a while later", _LOST, carried_out=False, late=LATE_SECONDS)


def _saying(value: str, following: str = "") -> Answer:
    """The value in an envelope, and after it in the body what it refers to."""

    async def answer(exchange: Exchange) -> web.StreamResponse:
        asked = nusoap.parse(await exchange.request.read())
        end = b"</SOAP-ENV:Body>"
        body = nusoap.response(asked.operation, value).replace(end, following.encode() + end)
        return web.Response(body=body, headers={"Content-Type": nusoap.CONTENT_TYPE})

    return answer


def _exponential(depth: int) -> Answer:
    """References to references, two each: 2 kB that become 2 to the power of `depth` elements."""
    inner = "".join(
        f'<multiRef id="r{level}" xsi:type="tns:make_payment_return">'
        f'<status href="#r{level + 1}"/><status_text href="#r{level + 1}"/></multiRef>'
        for level in range(depth)
    )
    last = f'<multiRef id="r{depth}" xsi:type="xsd:string">ok</multiRef>'
    return _saying('<return href="#r0"/>', inner + last)


def bomb(depth: int, on: str = PAYMENT) -> Failure:
    """An answer that grows without end as it is read. To a payment, which was made, or to other calls."""
    return Failure("an answer that expands", _exponential(depth), carried_out=True, on=on)


REFERRING = Failure(
    "a good answer, with its parts after it; paid",
    _saying(
        '<return href="#r0"/>',
        '<multiRef id="r0" xsi:type="tns:make_payment_return"><status href="#r1"/>'
        '<status_text href="#r2"/></multiRef><multiRef id="r1" xsi:type="xsd:string">ok</multiRef>'
        '<multiRef id="r2" xsi:type="xsd:string">Paid, by reference.</multiRef>',
    ),
    carried_out=True,
)

EMPTY_LISTS = Failure(
    "every list of invoices is empty",
    _saying(nusoap.array("tns:sql_row_invoices", [])),
    carried_out=False,
    on=INVOICES,
)

OWN = {
    "late-after": LATE,
    "referring": REFERRING,
    "expanding-after": bomb(12),
    "expanding-lists": bomb(12, on=INVOICES),
    "empty-lists": EMPTY_LISTS,
}
"""By the names that a history gives them."""
