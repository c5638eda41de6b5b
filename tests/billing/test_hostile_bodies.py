"""Bodies that are built to cost memory or time: none costs more than a good one, and none is believed."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from aiohttp import web

from bot.sandbox.local_billing import nusoap
from tests.billing.scripted import LOGIN, MODULES, PAY, UNPAID, WSDL, Scripted, envelope, plain
from tests.billing.weighed import Weigh, assert_bounded

MB = 1024 * 1024


def expanding(name: str) -> bytes:
    """Each reference refers to two more: 2^24 elements out of 3 kB."""
    parts = [f'<ns1:{name}Response xmlns:ns1="urn:myapi"><return href="#i0"/></ns1:{name}Response>']
    parts += [
        f'<multiRef id="i{n}"><status href="#i{n + 1}"/><status href="#i{n + 1}"/></multiRef>'
        for n in range(24)
    ]
    return envelope("".join(parts) + '<multiRef id="i24" xsi:type="xsd:string">ok</multiRef>')


def circular(name: str) -> bytes:
    """A reference to what it stands in."""
    return envelope(
        f'<ns1:{name}Response xmlns:ns1="urn:myapi"><return href="#a"/></ns1:{name}Response>'
        '<multiRef id="a"><item href="#b"/></multiRef><multiRef id="b"><item href="#a"/></multiRef>'
    )


def repeated(name: str) -> bytes:
    """One long text, referred to four thousand times."""
    items = "".join(f'<status{n % 2} href="#t"/>' for n in range(4000))
    return envelope(
        f'<ns1:{name}Response xmlns:ns1="urn:myapi"><return>{items}</return></ns1:{name}Response>'
        f'<multiRef id="t" xsi:type="xsd:string">{"x" * MB}</multiRef>'
    )


def inside(name: str, value: str) -> bytes:
    """Something in the place of the value that was asked for."""
    return nusoap.response(name, value)


BODIES: dict[str, Callable[[str], bytes]] = {
    "references that expand": expanding,
    "references in a circle": circular,
    "a long text, referred to often": repeated,
    "deep nesting": lambda name: inside(name, "<a>" * 300_000),
    "deep nesting that ends": lambda name: inside(name, "<a>" * 200 + "</a>" * 200),
    "many attributes": lambda name: inside(name, "<a" + "".join(f" a{n}=''" for n in range(300_000)) + "/>"),
    "a long attribute": lambda name: inside(name, f'<a b="{"x" * 3 * MB}"/>'),
    "a long name": lambda name: inside(name, f"<{'a' * 3 * MB}/>"),
    "many namespaces": lambda name: inside(
        name, "<a" + "".join(f" xmlns:n{n}='u'" for n in range(2_000)) + ">" + "<b/>" * 4_000 + "</a>"
    ),
    "many names": lambda name: inside(name, "".join(f"<n{n}/>" for n in range(300_000))),
    "many elements": lambda name: inside(name, "<a/>" * 350_000),
    "a long comment": lambda name: inside(name, f"<!--{'c' * 3 * MB}-->"),
    "a long instruction": lambda name: inside(name, f"<?pi {'c' * 3 * MB}?>"),
    "entities that expand": lambda name: inside(name, "&e9;").replace(
        b"?>", b"?><!DOCTYPE x [<!ENTITY e0 'ha'>"
        + b"".join(b"<!ENTITY e%d '%s'>" % (n, b"&e%d;" % (n - 1) * 10) for n in range(1, 10)) + b"]>", 1
    ),
    "no end": lambda name: inside(name, f"<a>{'x' * 3 * MB}</a>")[:-20],
}  # fmt: skip


@pytest.mark.parametrize("what", BODIES)
async def test_a_body_that_would_cost_much_leaves_a_payment_unknown(
    what: str, server: Scripted, weigh: Weigh
) -> None:
    """It may have been paid; and it was sent once."""
    server.answers[PAY] = BODIES[what](PAY)
    found = await weigh("pay")
    assert_bounded(found)
    assert found["said"][0] == "UNKNOWN", found
    assert server.received.count(PAY) == 1


@pytest.mark.parametrize("what", BODIES)
async def test_a_body_that_would_cost_much_is_no_list(what: str, server: Scripted, weigh: Weigh) -> None:
    """Neither an empty one nor one of what came before the trouble."""
    server.answers[UNPAID] = BODIES[what](UNPAID)
    found = await weigh("unpaid")
    assert_bounded(found)
    assert found["said"][0] == "AnswerLost", found


@pytest.mark.parametrize("what", ["references that expand", "many names", "deep nesting", "many attributes"])
@pytest.mark.parametrize("operation", [LOGIN, MODULES, WSDL])
async def test_every_other_answer_is_bounded_as_well(
    what: str, operation: str, server: Scripted, weigh: Weigh
) -> None:
    """The login, the modules, and the WSDL, of which a payment says that it was not sent."""
    server.answers[operation] = BODIES[what](operation)
    found = await weigh("modules" if operation == MODULES else "pay")
    assert_bounded(found)
    assert found["said"][0] == ("AnswerLost" if operation == MODULES else "NOT_SENT"), found
    assert PAY not in server.received


async def test_names_that_are_new_every_time_are_not_kept_for_ever(server: Scripted, weigh: Weigh) -> None:
    """The parser under zeep keeps each name while its thread lives; kept, these would be 70 MB."""
    asked = 0

    async def answer(request: web.Request, body: bytes) -> web.StreamResponse:
        nonlocal asked
        asked += 1
        return plain(inside(MODULES, "".join(f"<n{asked}_{n}{'x' * 240}/>" for n in range(1_900))))

    server.answers[MODULES] = answer
    found = await weigh("modules, often", 30.0)
    assert asked == 150
    assert found["grew"] < 55, found
