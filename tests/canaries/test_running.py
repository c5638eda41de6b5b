"""A bot through a bad day, at the most talkative: no secret in its log, in Slack, on pages, in the ledger."""

from __future__ import annotations

import asyncio
import io
import itertools
import logging
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from datetime import timedelta
from html import escape
from pathlib import Path
from urllib.parse import quote, urlencode

import aiohttp
import psycopg
import pytest
from aiohttp import web

from bot import app, logs
from bot.domain.payment import InvoiceRef, State
from bot.payments.desk import Desk
from bot.payments.executor import Executor
from bot.sandbox.local_billing import FAILURES, Failure, LocalBilling, nusoap
from bot.sandbox.local_billing.failures import Answer, Exchange
from bot.sandbox.local_billing.service import LOGIN, PAYMENT
from bot.sandbox.local_slack import LocalSlack
from bot.sandbox.local_slack.faults import MODES
from bot.sandbox.local_slack.messages import visible_texts
from bot.slack.pace import Pace
from tests.canaries.secrets import DATABASE_PASSWORD, Secrets, secrets_of
from tests.fixture_types import QUICK, NewDatabase, NewSettings

LIBRARIES = (
    *("slack_sdk", "slack_bolt", "slack_bolt.AsyncApp", "aiohttp", "aiohttp.access", "aiohttp.client"),
    *(
        "aiohttp.server",
        "aiohttp.web",
        "aiohttp.websocket",
        "zeep",
        "zeep.transports",
        "zeep.wsdl",
        "requests",
    ),
    *("urllib3", "urllib3.connectionpool", "sqlalchemy", "sqlalchemy.engine", "sqlalchemy.pool", "aiosqlite"),
    *("alembic", "asyncio", "concurrent", "psycopg", "psycopg.pool", "prometheus_client"),
)

HOUR = timedelta(hours=1)
CALM = replace(QUICK, poll=0.5, hold=HOUR, not_sent=(HOUR,) * 3, reconcile_first=HOUR, lease=HOUR)
"""Nothing is tried again that is not asked about."""

KINDS = ("socket, sqlite", "http, postgresql")
"""How Slack's words come, and where the ledger is."""

numbers = itertools.count(40_000)


def _saying(make: Callable[[str], web.Response]) -> Answer:
    """Answers with all that was sent to it, as text."""

    async def answer(exchange: Exchange) -> web.StreamResponse:
        sent = (await exchange.request.read()).decode()
        arguments = nusoap.parse(sent.encode()).arguments if sent else ["none"]
        return make(f"{' '.join(arguments)} in {sent}")

    return answer


def _header(text: str) -> str:
    return "".join(char for char in text if " " <= char <= "~")


def _xml(body: bytes, status: int = 200) -> web.Response:
    return web.Response(body=body, status=status, headers={"Content-Type": nusoap.CONTENT_TYPE})


def _outcome(status: str, text: str) -> bytes:
    return nusoap.response(
        PAYMENT, nusoap.struct("make_payment_return", {"status": status, "status_text": text})
    )


ECHOES: dict[str, Answer] = {
    "in a fault": _saying(lambda said: _xml(nusoap.fault(said, "SOAP-ENV:Server"), 500)),
    "in a fault's code": _saying(lambda said: _xml(nusoap.fault("no", escape(said)), 500)),
    "in a page": _saying(lambda said: web.Response(text=said, status=503, content_type="text/html")),
    "in a broken answer": _saying(lambda said: _xml(said.encode())),
    "in a redirect": _saying(
        lambda said: web.Response(status=302, headers={"Location": f"/api.php?sid={quote(said[:500])}"})
    ),
    "in a redirect elsewhere": _saying(
        lambda said: web.Response(status=307, headers={"Location": f"http://x/{quote(said[:500])}"})
    ),
    "in headers": _saying(
        lambda said: web.Response(
            status=500, reason=_header(said[:200]), headers={"Set-Cookie": f"PHPSESSID={_header(said[:200])}"}
        )
    ),
    "in an answer": _saying(lambda said: _xml(_outcome("error", said[:3000]))),
    "in a status": _saying(lambda said: _xml(_outcome(said[:3000], "odd"))),
}


@dataclass
class Day:
    """The bot, those around it, and what it said so far."""

    slack: LocalSlack
    billing: LocalBilling
    secrets: Secrets
    bot: app.Bot
    log: io.StringIO
    status: str
    kind: str

    def every_other(self, modes: Iterable[str]) -> list[str]:
        """Those whose turn it is on this kind of installation: the others' is on the other kind."""
        return list(modes)[KINDS.index(self.kind) :: len(KINDS)]


class _Tickets(dict[str, str]):
    """Remembers what it ever held."""

    def __init__(self, ever: list[str]) -> None:
        super().__init__()
        self._ever = ever

    def __setitem__(self, ticket: str, app: str) -> None:
        self._ever.append(ticket)
        super().__setitem__(ticket, app)


@pytest.fixture
def talkative() -> Iterator[None]:
    """Every logger tells all; afterwards each is as it was."""
    loggers = [logging.getLogger(name) for name in LIBRARIES]
    before = [one.level for one in loggers]
    for one in loggers:
        one.setLevel(logging.DEBUG)
    yield
    for one, level in zip(loggers, before, strict=True):
        one.setLevel(level)


def _heard_by_the_log_alone() -> None:
    """pytest would write down every line twice more, for the report of a failure."""
    root = logging.getLogger()
    root.handlers[:] = [one for one in root.handlers if not type(one).__module__.startswith("_pytest.")]


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def ledger_url(kind: str, request: pytest.FixtureRequest) -> str:
    database = kind.split()[1]
    make: NewDatabase = request.getfixturevalue(f"new_{database}")
    url = make(migrated=True)
    return url.replace("postgres@/", f"postgres:{quote(DATABASE_PASSWORD, safe='')}@/")


@pytest.fixture
async def day(
    kind: str, slack: LocalSlack, billing: LocalBilling, settings: NewSettings, talkative: None
) -> AsyncIterator[Day]:
    own = [("database password", DATABASE_PASSWORD)] if "postgresql" in kind else []
    secrets = secrets_of(slack, billing, own)
    slack._workspace.tickets = _Tickets(secrets.addresses)
    log, port, status = io.StringIO(), free_port(), free_port()
    others = {"STATUS_PORT": str(status), "BILLING_PASSWORD": billing.password, "PAY_APPROVALS_REQUIRED": "0"}
    if kind.startswith("http"):
        others |= {
            "SLACK_APP_TOKEN": "",
            "SLACK_SIGNING_SECRET": slack.signing_secret,
            "HTTP_PORT": str(port),
        }
    given = settings(**others)
    logs.configure(given, stream=log, level=logging.DEBUG)
    async with AsyncExitStack() as stack:
        pace = Pace(posts=1000, updates=1000, burst=1000)
        bot = await stack.enter_async_context(app.running(given, timing=CALM, pace=pace))
        if kind.startswith("http"):
            slack.deliver_to(f"http://127.0.0.1:{port}/slack/events")
        yield Day(slack, billing, secrets, bot, log, f"http://127.0.0.1:{status}", kind)
        slack.heal()
        billing.heal()


async def _until(condition: Callable[[], Awaitable[bool]], seconds: float) -> None:
    """Wait for it, but no longer; what asks for it is not broken off."""
    loop = asyncio.get_running_loop()
    until = loop.time() + seconds
    while not await condition():
        if loop.time() > until:
            return
        await asyncio.sleep(0.02)


async def _pay(day: Day, seconds: float = 0.6) -> InvoiceRef:
    """Alice asks for a new invoice; it comes to an end, or time is over."""
    ref = InvoiceRef("vps", next(numbers))
    day.billing.add_invoice("vps", ref.number)
    await day.slack.person("alice").types("#payments", f"/pay {ref}")

    async def ended() -> bool:
        payment = await day.bot.ledger.latest(ref)
        if payment is None:
            return False
        waits = payment.state in (State.REQUESTED, State.APPROVED, State.SENDING)
        return not waits or payment.reason is not None

    await _until(ended, seconds)
    return ref


async def _billing_fails(day: Day) -> None:
    for mode in day.every_other(FAILURES):
        day.billing.fail(mode)
        await _pay(day)
        day.billing.heal()
    elsewhere = itertools.cycle([LOGIN, "api_*_invoices"])
    for answer in ECHOES.values():
        day.billing.expire_sessions()
        day.billing.fail(Failure("echo", answer, False, PAYMENT))
        await _pay(day)
        day.billing.fail(Failure("echo", answer, False, next(elsewhere)))
        await day.slack.person("alice").types("#payments", "/pay list mail")
        await _pay(day, 0.3)
        day.billing.heal()
    day.billing.fail(Failure("echo", ECHOES["in headers"], False, "wsdl"))
    day.billing.heal()


async def _slack_fails(day: Day) -> None:
    slack, alice = day.slack, day.slack.person("alice")
    told = f"invalid token {slack.bot_token} {slack.signing_secret}"
    odd = [f"error:{told}", f"error:{slack.bot_token}", f"http:502:{told}", f"http-after:500:{told}"]
    for mode in (*day.every_other(MODES), *odd):
        slack.fail("*", mode, 3, retry_after=0, seconds=0.05)
        await _pay(day, 0.3)
        if mode in odd:
            await asyncio.gather(alice.types("#payments", "/pay"), alice.opens_home())
        slack.heal()
        slack.fail("response_url", mode, 1, retry_after=0, seconds=0.05)
        await alice.types("#payments", "/pay vps 10102 10103")
        await asyncio.sleep(0.05)
        slack.heal()
    if slack.sockets.connections:
        for reason in ("refresh_requested", "warning", told):
            await slack.sockets.disconnect(reason)
        slack.fail("apps.connections.open", f"error:{slack.app_token}", 2)
        slack.sockets.drop_all()
        await asyncio.sleep(0.2)
        slack.sockets.expire_addresses()
        slack.heal()
        await slack.wait_for(lambda: slack.sockets.connections)


async def _people_ask(day: Day) -> None:
    slack = day.slack
    alice, mallory = slack.person("alice"), slack.person("mallory")
    for text in (
        "list",
        "mine",
        "status vps 10101",
        "report",
        "help",
        "resolve 1 paid x",
    ):
        await alice.types("#payments", f"/pay {text}")
    await mallory.types("#payments", "/pay vps 10101")
    await alice.uses_shortcut("pay_invoice")
    slack.duplicate_next(1)
    await _pay(day)


async def _strangers_come(day: Day) -> None:
    """Who reaches the port, with what they should not know."""
    url = getattr(day.slack._delivery.transport, "_url", None)
    if url is None:
        return
    body = urlencode({"command": "/pay", "token": day.slack.bot_token, "text": day.slack.signing_secret})
    bad = {"X-Slack-Signature": f"v0={day.slack.signing_secret}", "X-Slack-Request-Timestamp": "1"}
    async with aiohttp.ClientSession() as session:
        for headers in ({}, bad, {"X-Slack-Signature": day.slack.bot_token}):
            async with session.post(url, data=body, headers=headers) as answer:
                assert await answer.text() == ""


async def _bugs_happen(day: Day, monkeypatch: pytest.MonkeyPatch) -> None:
    """What nobody thought of, with all secrets in the texts of its exceptions and in its locals."""
    everything = " ".join(day.secrets.values.values())

    async def break_down(*_: object, **__: object) -> None:
        inside = everything
        try:
            raise ValueError(inside)
        except ValueError as cause:
            raise RuntimeError(f"broken by {inside}") from cause

    with monkeypatch.context() as patch:
        patch.setattr(Desk, "request", break_down)
        await day.slack.person("alice").types("#payments", "/pay vps 10104")
    with monkeypatch.context() as patch:
        patch.setattr(Executor, "handle", break_down)
        await _pay(day, 0.2)
    lost = asyncio.create_task(break_down(), name=everything)
    await asyncio.wait([lost])
    del lost


async def _everything_is_slow(day: Day) -> None:
    """asyncio in its debug mode tells of each callback that is slow, and of the task that it belongs to."""
    loop = asyncio.get_running_loop()
    loop.set_debug(True)
    loop.slow_callback_duration = 0.0
    await _pay(day, 5)
    day.slack.sockets.drop_all()
    day.slack.fail("*", f"error:{day.slack.bot_token}", 2)
    day.billing.expire_sessions()
    day.billing.fail(Failure("echo", ECHOES["in a fault"], False, PAYMENT))
    await _pay(day, 5)
    day.slack.heal()
    day.billing.heal()
    loop.set_debug(False)


async def _pages(day: Day) -> str:
    told = []
    async with aiohttp.ClientSession() as session:
        for path in ("/metrics", "/healthz", "/readyz", "/nothing"):
            async with session.get(day.status + path) as answer:
                told.append(f"{dict(answer.headers)} {await answer.text()}")
    return "\n".join(told)


def _said_in_slack(slack: LocalSlack) -> str:
    """All that anybody can read."""
    told = []
    for channel in slack.world.channels.values():
        for message in channel.messages.values():
            if message.user != slack.person("alice").id:
                told += [message.text, *visible_texts(message.blocks), str(message.metadata)]
    for person in ("alice", "bob", "mallory"):
        tab = slack.home(person)
        shown = [*slack.views(person), *([tab] if tab else [])]
        told += [str(view.blocks) for view in shown]
    return "\n".join(told)


def _kept(url: str) -> str:
    """All that is in the ledger."""
    if url.startswith("sqlite"):
        file = Path(url.removeprefix("sqlite:///"))
        files = [file.with_name(file.name + end) for end in ("", "-wal", "-shm", "-journal")]
        return "\n".join(one.read_bytes().decode("latin-1") for one in files if one.exists())
    with psycopg.connect(url) as connection:
        tables = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
        queries = [f"SELECT t::text FROM {name} t" for (name,) in tables]
        return "\n".join(row for query in queries for (row,) in connection.execute(query.encode()))


async def test_no_secret_is_told_anywhere(
    day: Day, ledger_url: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Whatever the billing API, Slack, strangers, people and the bot's own bugs do."""
    _heard_by_the_log_alone()
    await _pay(day, 20)
    await day.slack.wait_for(lambda: [one for one in day.slack.messages("#payments") if one.thread], 20)
    await _people_ask(day)
    await _billing_fails(day)
    await _slack_fails(day)
    await _strangers_come(day)
    await _bugs_happen(day, monkeypatch)
    await _everything_is_slow(day)
    pages = await _pages(day)
    issued = day.slack._response_urls._issued
    assert len(issued) > 20
    day.secrets.addresses += issued
    said = _said_in_slack(day.slack)
    printed = capfd.readouterr()
    log = day.log.getvalue()
    assert log.count("\n") > 100
    found = {
        "log": day.secrets.found_in(log),
        "printed": day.secrets.found_in(printed.out + printed.err),
        "slack": day.secrets.found_in(said, bodies=False),
        "pages": day.secrets.found_in(pages),
        # Where a person is answered stands there for as long as Slack takes the answer.
        "ledger": day.secrets.found_in(_kept(ledger_url), bodies=False, addresses=False),
    }
    assert {place: names for place, names in found.items() if names} == {}
