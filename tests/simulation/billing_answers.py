"""What a billing API may answer, drawn from a grammar: good, odd, cut, late, done without a word."""

from __future__ import annotations

import asyncio
import random
from dataclasses import replace

from aiohttp import web

from bot.sandbox.local_billing import Failure, nusoap
from bot.sandbox.local_billing.failures import FAILURES, INVOICES, Answer, Exchange
from bot.sandbox.local_billing.service import LOGIN, PAYMENT
from tests.faults.billing_answers import EMPTY_LISTS, REFERRING, bomb
from tests.simulation.outside import LISTS_LAG_S

_SOONEST, _LATEST = 5.0, 15 * 60.0
"""Seconds after which a call may be carried out whose answer was lost: within `Timing.settling`."""

_STATUSES = (
    "ok",
    "OK",
    " ok ",
    "error",
    "failed",
    "pending",
    "queued",
    "",
    "0",
    "1",
    "true",
    "ok?",
    "paid",
    "warning",
)
_TEXTS = (
    "",
    "Payment of 10.00 USD Successful.",
    "declined",
    "already paid",
    "try again later",
    "<b>bold</b>",
    "é\x85",
)
_KINDS = (nusoap.CONTENT_TYPE, "text/html", "application/json", "multipart/related; boundary=x", "text/xml")
_CODES = (200, 200, 200, 201, 202, 204, 301, 307, 400, 401, 403, 404, 408, 429, 500, 500, 502, 503, 504)


def drawn(chance: random.Random) -> tuple[Failure, int | None]:
    """One way to answer, and how many times; None: by itself it ends in time."""
    payments = (_known, _known, _said, _said, _declined, _broken, _lost, _lost, _late, _late)
    kinds = (*payments, _listed, _listed, _unlisted, _lagging)
    kind = chance.choice(kinds)
    return kind(chance), None if kind is _lagging else chance.randint(1, 3)


def _known(chance: random.Random) -> Failure:
    """One of the sandbox's own."""
    return FAILURES[chance.choice([name for name in FAILURES if name not in ("down", "stall")])]


def _said(chance: random.Random) -> Failure:
    """A well-formed answer whose words are anything; what they say of a payment is true where it is final."""
    status, text = chance.choice(_STATUSES), chance.choice(_TEXTS)
    fields: list[tuple[str, object]] = [("status", status), ("status_text", text)]
    if chance.random() < 0.2:
        fields.pop(chance.randrange(2))
    if chance.random() < 0.2:
        fields.append(("extra", chance.choice((1, 2.5, True, None))))
    if chance.random() < 0.1:
        chance.shuffle(fields)
    value = nusoap.struct("make_payment_return", dict(fields))
    final = {"ok": True, "error": False}
    known = final.get(str(dict(fields).get("status", "")).strip().lower())
    done = chance.random() < 0.5 if known is None else known
    return Failure(f"says {dict(fields)}", _with_body(nusoap.response(PAYMENT, value)), carried_out=done)


def _declined(_chance: random.Random) -> Failure:
    return FAILURES["declined"]


def _unlisted(_chance: random.Random) -> Failure:
    """What is asked for is looked up in vain."""
    return FAILURES["unreadable"]


def _broken(chance: random.Random) -> Failure:
    """The right answer, cut, of another kind, or with another status, before or after it was done."""
    length, code, kind = chance.random(), chance.choice(_CODES), chance.choice(_KINDS)
    cut = chance.random() < 0.5

    async def answer(exchange: Exchange) -> web.StreamResponse:
        body = exchange.body[: int(length * len(exchange.body))] if cut else exchange.body
        return web.Response(body=body, status=code, headers={"Content-Type": kind})

    # An answer as it should be says that it was done.
    return Failure(f"{code} {kind} {'cut' if cut else 'whole'}", answer, carried_out=True)


def _lost(chance: random.Random) -> Failure:
    """No answer; or one long after anybody waited for it."""
    seconds, done = chance.uniform(1, 300), chance.random() < 0.5

    async def answer(exchange: Exchange) -> web.StreamResponse:
        with_patience = asyncio.create_task(exchange.released.wait())
        await asyncio.wait([with_patience], timeout=seconds)
        with_patience.cancel()
        if exchange.request.transport is not None:
            exchange.request.transport.abort()
        return web.Response()

    on = chance.choice((PAYMENT, PAYMENT, INVOICES, LOGIN))
    return Failure(f"silent for {seconds:.0f} s", answer, carried_out=done, on=on)


def _late(chance: random.Random) -> Failure:
    """It is not known to be done, and is done a while later all the same."""
    return replace(_lost(chance), carried_out=False, on=PAYMENT, late=chance.uniform(_SOONEST, _LATEST))


def _listed(chance: random.Random) -> Failure:
    """Lists that say less than they should."""
    known = (EMPTY_LISTS, REFERRING, bomb(12), bomb(12, on=INVOICES), FAILURES["unreadable"])
    return chance.choice((*known, _OTHER_MODULE, _OTHER_MODULE, _OTHER_KIND, _OTHER_KIND))


def _turned(body: bytes) -> bytes:
    """Every row that says paid says unpaid, and the other way round."""
    yes, no, neither = (b">%b</invoices_paid>" % one for one in (b"1", b"0", b"-"))
    return body.replace(yes, neither).replace(no, yes).replace(neither, no)


def _lagging(chance: random.Random) -> Failure:
    """Lists that show for a while what was when they were first asked for."""
    lasts = chance.uniform(5, LISTS_LAG_S)
    kept: dict[str, tuple[float, bytes]] = {}

    async def answer(exchange: Exchange) -> web.StreamResponse:
        operation = nusoap.parse(await exchange.request.read()).operation
        now = asyncio.get_running_loop().time()
        since, body = kept.setdefault(operation, (now, exchange.body))
        current = body if now - since < lasts else exchange.body
        return web.Response(body=current, headers={"Content-Type": nusoap.CONTENT_TYPE})

    return Failure(f"lists lag for {lasts:.0f} s", answer, carried_out=True, on=INVOICES)


def _rows(about: str, old: bytes, new: bytes) -> Failure:
    """Lists whose rows are others, and say the contrary."""

    async def answer(exchange: Exchange) -> web.StreamResponse:
        body = _turned(exchange.body.replace(old, new))
        return web.Response(body=body, headers={"Content-Type": nusoap.CONTENT_TYPE})

    return Failure(about, answer, carried_out=True, on=INVOICES)


_OTHER_MODULE = _rows("rows of another module", b">vps</invoices_module>", b">backups</invoices_module>")
_OTHER_KIND = _rows("rows of another kind", b">1</invoices_type>", b">2</invoices_type>")


def _with_body(body: bytes) -> Answer:
    async def answer(_exchange: Exchange) -> web.StreamResponse:
        return web.Response(body=body, headers={"Content-Type": nusoap.CONTENT_TYPE})

    return answer
