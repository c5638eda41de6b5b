"""HTTP mode, and whoever reaches its port: what Slack did not sign is refused before anything reads it."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

import pytest
import structlog
import structlog.testing
from aiohttp import web

from bot.clocks import boottime
from bot.sandbox.local_billing import LocalBilling
from bot.sandbox.local_slack import LocalSlack
from bot.sandbox.local_slack import identifiers as ids
from bot.slack import stillness
from bot.slack.card import APPROVE, WITHDRAW
from tests.e2e.listening import Listening, command_body, signature, signed

Headers = Sequence[tuple[str, str | bytes]]


@dataclass
class Answer:
    """What came back: the status, and the body."""

    status: int
    body: bytes


async def post(listening: Listening, headers: Headers | dict[str, str], body: bytes) -> Answer:
    """Send a request as it is, byte by byte: no client corrects it."""
    given = list[tuple[str, str | bytes]](headers.items() if isinstance(headers, dict) else headers)
    if not any(name.lower() in ("content-length", "transfer-encoding") for name, _ in given):
        given.append(("Content-Length", str(len(body))))
    head = [b"POST /slack/events HTTP/1.1", b"Host: bot", b"Connection: close"]
    for name, value in given:
        head.append(name.encode() + b": " + (value.encode() if isinstance(value, str) else value))
    return await send(listening, b"\r\n".join([*head, b"", body]))


async def send(listening: Listening, request: bytes) -> Answer:
    reader, writer = await asyncio.open_connection("127.0.0.1", listening.port)
    try:
        writer.write(request)
        async with asyncio.timeout(10):
            answer = await reader.read()
    finally:
        writer.close()
    head, _, rest = answer.partition(b"\r\n\r\n")
    return Answer(int(head.split()[1]), rest)


@dataclass
class Trap:
    """An address where an attacker would hear of it, if the bot could be led there."""

    url: str = ""
    heard: list[str] = field(default_factory=list)


@pytest.fixture
async def trap() -> AsyncIterator[Trap]:
    found = Trap()

    async def hear(request: web.Request) -> web.Response:
        found.heard.append(await request.text())
        return web.Response(text="ok")

    async with serving(hear) as address:
        found.url = f"{address}/heard"
        yield found


@asynccontextmanager
async def serving(handler: Any) -> AsyncIterator[str]:
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", handler)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@pytest.fixture
def tracebacks() -> Iterator[io.StringIO]:
    """What the libraries log, with the tracebacks in it."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    root = logging.getLogger()
    before = root.level
    root.setLevel(logging.INFO)
    root.addHandler(handler)
    yield stream
    root.removeHandler(handler)
    root.setLevel(before)


def click(trap: Trap) -> str:
    """A click that would make the bot post, open a form and end a workflow's step, if it were believed."""
    payload = {
        "type": "block_actions",
        "response_url": trap.url,
        "trigger_id": "1.2.3",
        "team": {"id": ids.TEAM_ID},
        "user": {"id": ids.BOB, "team_id": ids.TEAM_ID},
        "actions": [{"action_id": APPROVE, "block_id": "b", "value": "nonsense", "type": "button"}],
        "event": {"type": "function_executed", "function_execution_id": "Fx1"},
    }
    return urlencode({"payload": json.dumps(payload)})


GOOD = "v0=" + "0" * 64
FORGED: dict[str, Headers] = {
    "no headers": [],
    "no signature": [("X-Slack-Request-Timestamp", "now")],
    "no timestamp": [("X-Slack-Signature", GOOD)],
    "a word for a timestamp": [("X-Slack-Request-Timestamp", "abc"), ("X-Slack-Signature", GOOD)],
    "an empty timestamp": [("X-Slack-Request-Timestamp", ""), ("X-Slack-Signature", GOOD)],
    "no number": [("X-Slack-Request-Timestamp", "nan"), ("X-Slack-Signature", GOOD)],
    "a sign": [("X-Slack-Request-Timestamp", "+now"), ("X-Slack-Signature", GOOD)],
    "a fraction": [("X-Slack-Request-Timestamp", "now.0"), ("X-Slack-Signature", GOOD)],
    "underscores": [("X-Slack-Request-Timestamp", "1_000"), ("X-Slack-Signature", GOOD)],
    "unicode digits": [
        ("X-Slack-Request-Timestamp", "١٧٠٠٠٠٠٠٠٠".encode()),
        ("X-Slack-Signature", GOOD),
    ],
    "bytes that are no text": [("X-Slack-Request-Timestamp", b"\xff\xfe"), ("X-Slack-Signature", GOOD)],
    "a number of 5,000 digits": [("X-Slack-Request-Timestamp", "9" * 5000), ("X-Slack-Signature", GOOD)],
    "the far future": [("X-Slack-Request-Timestamp", "999999999999"), ("X-Slack-Signature", GOOD)],
    "the far past": [("X-Slack-Request-Timestamp", "0"), ("X-Slack-Signature", GOOD)],
    "a signature that is no ASCII": [
        ("X-Slack-Request-Timestamp", "now"),
        ("X-Slack-Signature", "v0=é".encode()),
    ],
    "a signature that is no text": [
        ("X-Slack-Request-Timestamp", "now"),
        ("X-Slack-Signature", b"v0=\xff" + b"0" * 63),
    ],
    "an empty signature": [("X-Slack-Request-Timestamp", "now"), ("X-Slack-Signature", "")],
    "another version": [("X-Slack-Request-Timestamp", "now"), ("X-Slack-Signature", "v1=" + "0" * 64)],
    "a signature that is wrong": [("X-Slack-Request-Timestamp", "now"), ("X-Slack-Signature", GOOD)],
    "Bolt's own headers": [("X-Slack-Bolt-Lazy-Only", "1"), ("X-Slack-Bolt-Lazy-Function-Name", "x")],
}


def forged(name: str) -> Headers:
    now = str(int(time.time()))
    return [
        (key, value.replace("now", now) if isinstance(value, str) else value) for key, value in FORGED[name]
    ]


async def test_what_is_not_signed_is_refused_before_anything_acts_on_it(
    slack: LocalSlack, listening: Listening, trap: Trap, tracebacks: io.StringIO
) -> None:
    """However the headers are wrong: 401, an empty body, one counted line, and nobody hears of it."""
    before = len(slack.calls)
    with structlog.testing.capture_logs() as logged:
        for name in FORGED:
            headers = [("Content-Type", "application/x-www-form-urlencoded"), *forged(name)]
            answer = await post(listening, headers, click(trap).encode())
            assert (answer.status, answer.body) == (401, b""), name
    assert [line["refused"] for line in logged] == list(range(1, len(FORGED) + 1))
    assert trap.heard == []
    assert [call.method for call in slack.calls[before:]] == []
    assert "Traceback" not in tracebacks.getvalue()
    assert await listening.bot.ledger.recent() == []


BODIES: dict[str, bytes] = {
    "no UTF-8": b"payload=\xff\xfe",
    "deep JSON": b'{"a":' * 50_000 + b"1" + b"}" * 50_000,
    "deep lists": b"[" * 50_000 + b"]" * 50_000,
    "a deep payload": b"payload=" + b"[" * 50_000,
    "half an object": b'{"type": "event_call',
    "half a payload": b"payload=%7B%22type",
    "no object": b"payload=7",
    "a list": b"payload=%5B1%5D",
    "no body": b"",
    "a number of 5,000 digits": b'{"type": ' + b"9" * 5000 + b"}",
    "odd types": b'{"type": 1, "team": 2, "user": 3, "view": 4, "event": 5, "authorizations": 6}',
    "an odd team": b'{"type": "block_actions", "team": {}, "authorizations": [7], "enterprise": 8}',
    "an odd event": b'{"type": "event_callback", "event": "function_executed"}',
    "an event without its run": b'{"type": "event_callback", "event": {"type": "function_executed"}}',
    "odd actions": b'payload={"type": "block_actions", "actions": [], "user": 1, "response_url": 2}',
    "no form": b'payload={"type": "view_submission", "view": null, "team": {"id": "T1"}}',
    "no form, closed": b'payload={"type": "view_closed", "view": null, "user": {"id": "U1"}}',
    "no event": b'{"type": "event_callback", "event": null}',
    "an odd form": b'payload={"type": "view_submission", "view": [], "user": null}',
}


@pytest.mark.parametrize("kind", ["application/json", "application/x-www-form-urlencoded", "text/plain", ""])
async def test_a_body_that_nobody_signed_is_not_even_read(
    listening: Listening, tracebacks: io.StringIO, kind: str
) -> None:
    """Whatever is in it."""
    with structlog.testing.capture_logs() as logged:
        for name, body in BODIES.items():
            headers = [("Content-Type", kind), *forged("a signature that is wrong")]
            answer = await post(listening, headers, body)
            assert (answer.status, answer.body) == (401, b""), name
    assert len(logged) == len(BODIES)
    assert "Traceback" not in tracebacks.getvalue()


@pytest.mark.parametrize("kind", ["application/json", "application/x-www-form-urlencoded"])
async def test_a_signed_body_that_makes_no_sense_does_nothing(
    slack: LocalSlack, listening: Listening, tracebacks: io.StringIO, kind: str
) -> None:
    """No traceback, no call of Slack, and nothing in the ledger."""
    before = len(slack.calls)
    with structlog.testing.capture_logs() as logged:
        for name, body in BODIES.items():
            headers = signed(slack.signing_secret, body) | {"Content-Type": kind}
            answer = await post(listening, headers, body)
            assert answer.status in (200, 400, 404), name
    assert [line for line in logged if "exc_info" in line] == []
    assert "Traceback" not in tracebacks.getvalue()
    assert [call.method for call in slack.calls[before:]] == []
    assert await listening.bot.ledger.recent() == []


async def test_a_header_that_stands_there_twice_is_refused(slack: LocalSlack, listening: Listening) -> None:
    """Which of them counts would be anybody's guess: a proxy's may be another than ours."""
    body = command_body().encode()
    good = signed(slack.signing_secret, body)
    for name in ("X-Slack-Signature", "X-Slack-Request-Timestamp"):
        for others in (good[name], "0"):
            for headers in ([(name, others), *good.items()], [*good.items(), (name.lower(), others)]):
                assert (await post(listening, [*headers], body)).status == 401
    assert await listening.bot.ledger.recent() == []


async def test_only_the_very_signature_counts(slack: LocalSlack, listening: Listening) -> None:
    """Slack writes it in lower case; and every byte of the body is signed, as is the time."""
    body = command_body().encode()
    good = signed(slack.signing_secret, body)
    name = "X-Slack-Signature"
    later = str(int(good["X-Slack-Request-Timestamp"]) + 1)
    for headers, sent in (
        (good | {name: good[name].upper()}, body),
        (good | {name: good[name].replace("v0=", "V0=")}, body),
        (good | {name: good[name] + "0"}, body),
        (good | {name: good[name][:-1]}, body),
        (good | {"X-Slack-Request-Timestamp": later}, body),
        (good | {"X-Slack-Request-Timestamp": "0" + good["X-Slack-Request-Timestamp"]}, body),
        (good, body + b"&text=vps+10102"),
        (good, body.replace(b"10101", b"10102")),
        (good, b""),
    ):
        assert (await post(listening, headers, sent)).status == 401
    assert await listening.bot.ledger.recent() == []
    assert (await post(listening, good, body)).status == 200


@pytest.mark.parametrize("seconds", [-310, 310, 3600])
async def test_a_time_that_is_not_now_is_refused(
    slack: LocalSlack, listening: Listening, seconds: int
) -> None:
    """Five minutes both ways, as Slack says; whoever has an old request cannot send it again."""
    body = command_body().encode()
    assert (
        await post(listening, signed(slack.signing_secret, body, time.time() + seconds), body)
    ).status == 401
    assert (await post(listening, signed(slack.signing_secret, body, time.time() - 200), body)).status == 200


async def test_a_body_in_pieces_is_verified_as_a_whole(
    slack: LocalSlack, billing: LocalBilling, listening: Listening
) -> None:
    """Chunked, as some proxies send it on; a chunk more than was signed is refused."""
    body = command_body().encode()
    good = signed(slack.signing_secret, body)

    def chunks(*parts: bytes) -> bytes:
        return b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (*parts, b""))

    headers = [*good.items(), ("Transfer-Encoding", "chunked")]
    assert (await post(listening, headers, chunks(body[:10], body[10:], b"&text=x"))).status == 401
    assert (await post(listening, headers, chunks(body[:10], body[10:]))).status == 200
    assert await listening.bot.rest(10)
    assert billing.payments_received("vps", 10101) == 1


async def test_broken_http_is_no_error_of_the_bot(
    slack: LocalSlack, listening: Listening, tracebacks: io.StringIO
) -> None:
    """A header of 100 kB, broken chunks, no HTTP at all: refused, and no traceback in the log."""
    good = [*signed(slack.signing_secret, b"x").items()]
    chunked = [*good, ("Transfer-Encoding", "chunked")]
    head = b"POST /slack/events HTTP/1.1\r\nHost: bot\r\n"
    assert (await post(listening, [*good, ("X-Long", "x" * 100_000)], b"")).status in (400, 401)
    assert (await post(listening, [("X-Slack-Signature", "v0=" + "0" * 100_000)], b"")).status in (400, 401)
    assert (await post(listening, chunked, b"zz\r\nx\r\n")).status in (400, 401)
    assert (await post(listening, [("Transfer-Encoding", "chunked")], b"zz\r\nx\r\n")).status in (400, 401)
    assert (await post(listening, [*good, ("Content-Encoding", "gzip")], b"no gzip")).status in (400, 401)
    assert (await post(listening, [("Content-Length", "-1")], b"x")).status in (400, 401)
    assert (await send(listening, b"\x16\x03\x01\x02\x00\r\n\r\n")).status == 400
    assert (await send(listening, head + b"Bad Header\r\n\r\n")).status == 400
    assert "Traceback" not in tracebacks.getvalue()


@pytest.mark.parametrize("seconds", [0.0, 0.1], ids=["at once", "while the rest is awaited"])
async def test_who_goes_away_in_the_middle_is_no_error(
    slack: LocalSlack, listening: Listening, tracebacks: io.StringIO, seconds: float
) -> None:
    """Half a body, and the connection is gone: no traceback, but a line as of all that Slack did not sign."""
    good = [*signed(slack.signing_secret, b"x" * 100).items(), ("Content-Length", "100")]
    head = b"\r\n".join(
        [
            b"POST /slack/events HTTP/1.1",
            b"Host: bot",
            *(f"{name}: {value}".encode() for name, value in good),
            b"",
            b"half",
        ]
    )
    with structlog.testing.capture_logs() as logged:
        for _ in range(3):
            _, writer = await asyncio.open_connection("127.0.0.1", listening.port)
            writer.write(head)
            await writer.drain()
            await asyncio.sleep(seconds)
            writer.close()
            await writer.wait_closed()
        assert (await post(listening, [], b"")).status == 401
    assert tracebacks.getvalue() == ""
    assert {line["why"] for line in logged[:-1]} <= {"the body broke off"}


async def test_a_body_that_is_too_large_or_too_slow_is_refused(
    slack: LocalSlack, listening: Listening, monkeypatch: pytest.MonkeyPatch, tracebacks: io.StringIO
) -> None:
    """Neither memory nor connections are anybody's to fill."""
    large = b"x" * (1024 * 1024 + 1)
    answer = await post(listening, signed(slack.signing_secret, large), large)
    assert (answer.status, answer.body) == (401, b"")
    monkeypatch.setattr("bot.slack.http_mode.BODY_TIMEOUT_S", 0.2)
    answer = await post(
        listening, [*signed(slack.signing_secret, b"xy").items(), ("Content-Length", "2")], b"x"
    )
    assert (answer.status, answer.body) == (401, b"")
    assert "Traceback" not in tracebacks.getvalue()


async def test_a_compressed_body_is_not_unpacked(slack: LocalSlack, listening: Listening) -> None:
    """Slack signs what it sends, and sends it as it is: a small one that unpacks to gigabytes stays small."""
    body = command_body().encode()
    headers = signed(slack.signing_secret, body) | {"Content-Encoding": "gzip"}
    assert (await post(listening, headers, body)).status == 200


async def test_a_good_request_leads_the_bot_to_no_other_address(
    slack: LocalSlack, listening: Listening, trap: Trap
) -> None:
    """Even in a signed body, a response_url that is not Slack's is not answered."""
    payload = {
        "type": "block_actions",
        "response_url": trap.url,
        "trigger_id": "1.2.3",
        "user": {"id": ids.ALICE, "team_id": ids.TEAM_ID},
        "team": {"id": ids.TEAM_ID},
        "actions": [{"action_id": WITHDRAW, "block_id": "b", "value": "99", "type": "button"}],
    }
    body = urlencode({"payload": json.dumps(payload)}).encode()
    with structlog.testing.capture_logs() as logged:
        assert (await post(listening, signed(slack.signing_secret, body), body)).status == 200
        await slack.wait_for(lambda: [one for one in logged if "response_url" in one["event"]])
    assert trap.heard == []


def test_the_signature_of_slacks_own_example() -> None:
    """The tests sign as Slack's documentation does."""
    body = (
        b"token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V"
        b"&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text="
        b"&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F"
        b"96rGlfmibIGlgcZRskXaIFfN&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c"
    )
    expected = "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503"
    assert signature("8f742231b10e8888abcd99yyyzzz85a5", "1531420618", body) == expected


async def test_what_came_while_the_process_stood_still_is_not_carried_out(
    slack: LocalSlack, billing: LocalBilling, listening: Listening, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Slack told whoever typed it that it failed, minutes before its time is too old. Then it works again."""
    now = boottime() + stillness.STOOD_STILL + 1
    monkeypatch.setattr(stillness, "boottime", lambda: now)
    body = command_body()
    meanwhile = await post(listening, signed(slack.signing_secret, body, time.time() - 40), body.encode())
    assert meanwhile.status == 503
    assert await listening.bot.ledger.recent() == []
    now += stillness.JUST_NOW
    assert (await slack.person("alice").types("#payments", "/pay vps 10101")).ok
    await slack.wait_for(lambda: billing.payments_received("vps", 10101))
