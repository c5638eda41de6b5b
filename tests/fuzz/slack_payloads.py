"""What Slack delivers, of any shape, up to the desk: the bot's own listeners, ledger and rules; no network.

An input names a payload of a recorded morning, how it comes, and what of it is replaced by what: what people
type, or anything, even what only the app itself writes. Whatever comes, there is nothing that nobody thought
of, nobody asks, approves or settles who may not, nothing is approved without an approval, and no other
address than Slack's is called.
"""

from __future__ import annotations

import asyncio
import contextlib
import copy
import json
import sqlite3
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import aiohttp
import pytest
import structlog.testing
from slack_bolt.response import BoltResponse
from slack_sdk.socket_mode.request import SocketModeRequest

from bot import app, config
from bot.config import policy_of
from bot.domain.login import Login
from bot.domain.payment import DOCUMENTED_MODULES, Invoice, InvoiceEvidence, InvoiceRef, Outcome
from bot.domain.unpaid_list import UnpaidList
from bot.ledger.opening import open_ledger
from bot.sandbox.local_slack import identifiers as ids
from bot.sandbox.local_slack.delivery import _encoded
from bot.slack import connection, socket_mode
from bot.slack.web_api import Later, Workspace, web_client
from tests.fixture_types import QUICK
from tests.fuzz.recording import APPROVING, Recording, record

APPROVERS = (ids.BOB, ids.CAROL)
HOOKS = "https://hooks.slack.com/"
API = "http://127.0.0.1:1/api/"

_ODD_VALUES: tuple[Any, ...] = (None, True, [], {}, 1.5, 10**30, "\ud800", "\x00", "9" * 30, -1)


class Bytes:
    """Reads an input piece by piece; nothing but zeros comes after its end."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def take(self, count: int) -> bytes:
        taken = self._data[self._at : self._at + count]
        self._at += count
        return taken

    def number(self, below: int) -> int:
        return int.from_bytes(self.take(2), "big") % below

    def text(self) -> str:
        return self.take(self.number(512)).decode("utf-8", "replace")


class _Billing:
    """A billing API that lists two invoices of each module, and pays nothing."""

    login: Login | None = None

    async def prepare(self) -> None:
        return

    async def make_payment(self, ref: InvoiceRef, *, may_begin: Callable[[], bool]) -> Outcome:
        raise AssertionError("nothing is paid here")

    async def unpaid_invoices(self, module: str, *, timeout: float | None = None) -> UnpaidList:
        day = datetime.now(UTC).date()
        return UnpaidList(
            tuple(
                Invoice(InvoiceRef(module, number), f"{module} <b> & {number}", Decimal("10.00"), "USD", day)
                for number in (50_000, 50_001)
            )
        )

    def lately_unpaid(self, ref: InvoiceRef, within: timedelta) -> tuple[Invoice, timedelta] | None:
        return None

    async def evidence_of(self, ref: InvoiceRef, *, decisive: bool) -> InvoiceEvidence:
        raise AssertionError("nothing is settled here")

    async def modules(self) -> tuple[str, ...]:
        return DOCUMENTED_MODULES


async def _slack(
    _client: object, method: str, **_arguments: object
) -> tuple[dict[str, Any] | Later, dict[str, str]]:
    """What Slack answers, where it is asked something."""
    match method:
        case "users.info":
            return {"ok": True, "user": {"team_id": ids.TEAM_ID}}, {}
        case "users.conversations":
            return {"ok": True, "channels": [{"id": ids.PAYMENTS}]}, {}
        case "conversations.members":
            return {"ok": True, "members": [ids.ALICE, *APPROVERS]}, {}
    return {"ok": True, "ts": "1.1", "view": {"id": "V1", "hash": "1"}}, {}


async def _no_network(_session: object, _method: str, url: object, **_arguments: object) -> None:
    assert str(url).startswith((HOOKS, API.removesuffix("api/"))), f"{url} is not Slack's"
    raise aiohttp.ClientConnectionError("there is no network here")


class _Socket:
    """Takes what would go back over a connection."""

    async def send_str(self, text: str) -> None:
        json.loads(text)


class Desk:
    """A bot behind its listeners, on a ledger of its own. Nothing of it runs but what it is sent.

    recording: where its ledger begins.
    """

    def __init__(self, recording: Recording, bot: app.Bot, receiver: socket_mode.Receiver) -> None:
        self.templates = recording.payloads
        self._bot = bot
        self._receiver = receiver
        self._ledger = sqlite3.connect(recording.ledger)
        self._version = -1
        (self._begun,) = self._ledger.execute("SELECT max(id) FROM events").fetchone()

    def close(self) -> None:
        self._ledger.close()

    async def deliver(self, data: bytes) -> None:
        """One payload, and all that comes of it."""
        given = Bytes(data)
        how = given.number(256)
        kind, payload = copy.deepcopy(self.templates[given.number(len(self.templates))])
        only_typed = bool(how & 1)
        for _ in range(1 + given.number(3)):
            (_retype if only_typed else _replace)(payload, given)
        with structlog.testing.capture_logs() as logged:
            await (self._by_socket if how & 2 else self._by_http)(kind, payload)
            await _done()
        for entry in logged:
            if (error := entry.get("exc_info")) is not None:
                raise AssertionError(f"{entry['event']}: {error!r}") from error
        self._check()

    async def _by_http(self, kind: str, payload: dict[str, Any]) -> None:
        try:
            body, headers = _encoded(kind, payload)
        except UnicodeEncodeError:
            return  # half a character cannot come by a form
        answer = await connection._dispatched(self._bot.listener, body, "http", headers["Content-Type"])
        assert answer.status in (200, 400, 404)

    async def _by_socket(self, kind: str, payload: dict[str, Any]) -> None:
        message = {"type": kind, "envelope_id": "e", "payload": payload, "accepts_response_payload": True}
        frame = aiohttp.WSMessage(aiohttp.WSMsgType.TEXT, json.dumps(message), None)
        request = socket_mode._envelope(socket_mode._read_json(frame))
        if request is not None:
            await self._receiver._answer(_Socket(), request)  # type: ignore[arg-type]

    def _check(self) -> None:
        """What the ledger holds now, if that is something else than before."""
        (version,) = self._ledger.execute("PRAGMA data_version").fetchone()
        if version == self._version:
            return
        self._version = version
        for question in _NEVER:
            assert self._ledger.execute(question, {"begun": self._begun}).fetchall() == [], question


_NEVER = (
    f"SELECT * FROM requests WHERE requester <> '{ids.ALICE}' OR team <> '{ids.TEAM_ID}'",
    f"SELECT * FROM approvals WHERE approver NOT IN {APPROVERS}",
    "SELECT * FROM requests WHERE approvals_required <> 1",
    "SELECT * FROM payments p"
    " WHERE state IN ('APPROVED', 'SENDING', 'NOT_SENT', 'UNKNOWN', 'PAID', 'DECLINED')"
    " AND NOT EXISTS (SELECT * FROM approvals a WHERE a.request_id = p.request_id AND decision = 'approve')",
    "SELECT * FROM events WHERE id > :begun AND to_state IN ('PAID', 'DECLINED')"
    f" AND actor NOT IN {APPROVERS}",
    f"SELECT * FROM events WHERE action = 'paused' AND actor NOT IN {APPROVERS}",
)
"""No row may answer to any of these."""


async def _done() -> None:
    """Whatever was begun has ended, and did so without an error that nobody knows of."""
    own = asyncio.current_task()
    async with asyncio.timeout(20):
        while left := [task for task in asyncio.all_tasks() if task is not own]:
            await asyncio.wait(left)
    for task in left:
        assert task.cancelled() or task.exception() is None


# What is replaced


def _leaves(node: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """The places of all that is no object and no list; and of those that are empty."""
    inner = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    there = False
    for name, value in inner:
        there = True
        yield from _leaves(value, (*path, name))
    if not there and path:
        yield path


def _at(node: Any, path: tuple[str | int, ...]) -> Any:
    for name in path:
        node = node[name]
    return node


def _is_typed(path: tuple[str | int, ...]) -> bool:
    """Whether a person writes what stands there, character by character."""
    # values, its block, its action, value; further in there are the values of options.
    typed_into_a_form = path[-4:-3] == ("values",) and path[-1] == "value"
    return typed_into_a_form or path in (("text",), ("value",)) or path[:2] == ("event", "inputs")


def _retype(payload: dict[str, Any], given: Bytes) -> None:
    places = [path for path in _leaves(payload) if _is_typed(path) and "requester" not in path]
    if places:
        path = places[given.number(len(places))]
        _at(payload, path[:-1])[path[-1]] = given.text()


def _replace(payload: dict[str, Any], given: Bytes) -> None:
    places = list(_leaves(payload))
    if not places:
        return
    path = places[given.number(len(places))]
    parent, name = _at(payload, path[:-1]), path[-1]
    match given.number(12):
        case 0:
            del parent[name]
        case 1:
            parent[name] = copy.deepcopy(_at(payload, places[given.number(len(places))]))
        case 2:
            parent[name] = given.number(65536) - 1
        case 3:
            parent[name] = copy.deepcopy(_ODD_VALUES[given.number(len(_ODD_VALUES))])
        case 4 if path[:-1]:
            # All around it as well.
            above = _at(payload, path[:-2])
            above[path[-2]] = copy.deepcopy(_ODD_VALUES[given.number(len(_ODD_VALUES))])
        case 5 if isinstance(parent[name], str):
            text = parent[name]
            cut = given.number(len(text) + 1)
            parent[name] = text[:cut] + given.text() + text[cut + given.number(8) :]
        case _:
            parent[name] = given.text()


# One for a whole process


@contextlib.asynccontextmanager
async def _opened(recording: Recording) -> AsyncIterator[Desk]:
    async with AsyncExitStack() as stack:
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        patch.setattr("bot.slack.web_api._exchanged", _slack)
        patch.setattr(aiohttp.ClientSession, "_request", _no_network)
        # Bolt looks every hundredth of a second whether it was acknowledged.
        eager = SimpleNamespace(**vars(asyncio) | {"sleep": lambda _: asyncio.sleep(0.0005)})
        patch.setattr("slack_bolt.listener.asyncio_runner.asyncio", eager)
        url = f"sqlite:///{recording.ledger}"
        settings = config.load(recording.ledger.with_name("no.env"), _environment(url))
        ledger = await stack.enter_async_context(open_ledger(url))
        workspace = Workspace(
            ids.TEAM_ID, "https://acme.slack.com/", ids.BOT_USER_ID, ids.BOT_ID, "invoice-pay"
        )
        edges = app.Edges(ledger, web_client("xoxb-1-a", API), workspace, _Billing())
        bot = app.build(settings, policy_of(settings), edges, instance="fuzz", timing=QUICK)
        for listener in bot.listener._async_listeners:
            listener.ack_timeout = 1

        async def handle(envelope: SocketModeRequest) -> BoltResponse:
            return await connection._dispatched(bot.listener, envelope.payload, "socket_mode")

        async def one() -> int:
            return 1

        receiver = socket_mode.Receiver(handle, edges.client, "xapp-1-a", one)
        stack.push_async_callback(receiver.stop)
        desk = Desk(recording, bot, receiver)
        stack.callback(desk.close)
        yield desk


def _environment(url: str) -> dict[str, str]:
    return {
        "SLACK_BOT_TOKEN": "xoxb-1-a",
        "SLACK_APP_TOKEN": "xapp-1-a",
        "SLACK_API_URL": API,
        "BILLING_USERNAME": "somebody",
        "BILLING_PASSWORD": "secret",
        "LEDGER_URL": url,
        "PAY_ALLOWED_USERS": ids.ALICE,
        "PAY_APPROVERS": ",".join(APPROVERS),
    } | APPROVING


@contextlib.contextmanager
def desk() -> Iterator[Callable[[bytes], None]]:
    """Yields what delivers one input."""
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="fuzz-")))
        runner = stack.enter_context(asyncio.Runner())
        recording = runner.run(record(folder))
        opening = _opened(recording)
        opened = runner.run(opening.__aenter__())
        yield lambda data: runner.run(opened.deliver(data))
        runner.run(opening.__aexit__(None, None, None))


def _seed(how: int, template: int, *changes: tuple[int, ...], text: bytes = b"") -> bytes:
    numbers = [how, template, len(changes) - 1, *(number for change in changes for number in change)]
    return b"".join(number.to_bytes(2, "big") for number in numbers) + text


FOUND = [
    bytes.fromhex("000000160000002225"),  # "view": null, into which Bolt looked
]
"""Inputs that broke a promise once."""

SEEDS = FOUND + [
    _seed(how, template, (place, *kind), text=len(text).to_bytes(2, "big") + text)
    for template in range(32)
    for how, place, kind, text in (
        (1, 0, (), b"vps 50000 <note>: x"),
        (3, 1, (), b"mail 10302, vps 50001"),
        (0, template * 7 % 40, (0,), b""),
        (2, template * 11 % 60, (6,), b"\xf0\x9f\x92\xa9 42"),
        (0, template * 5 % 60, (1, 9), b""),
    )
]
"""Each payload as it is typed, and with something replaced."""

WORDS = [
    *(ids.ALICE, ids.BOB, ids.CAROL, ids.MALLORY, ids.PAYMENTS, ids.TEAM_ID, ids.OTHER_TEAM_ID),
    *("vps 50000", "1:", "2", "paid", "not-paid", " 10.00 USD", "payment_approve", "payment_deny"),
    *("payment_cancel", "view_submission", "block_actions", "pay_form", "deny_form", "approve_selected_form"),
    *(
        '["1"]',
        "[]",
        "{}",
        "null",
        "https://hooks.slack.com/x",
        "https://hooks.slack.com.evil/x",
        "resolve 1 paid x",
    ),
]
"""What payloads are made of."""
