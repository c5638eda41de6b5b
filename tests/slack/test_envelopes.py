"""What comes by a connection of Socket Mode: answered, never logged, and harmless whatever it is."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import Any

import pytest
from slack_bolt.response import BoltResponse
from slack_sdk.socket_mode.request import SocketModeRequest

from bot.sandbox.local_slack import LocalSlack
from bot.sandbox.local_slack import socket_mode as local_socket_mode
from tests.fixture_types import StartBot
from tests.slack.receiving import MORE, logged, receiving, until


class TestStopping:
    """Who typed just before hears of it, and Slack sends nothing to nobody."""

    async def test_answers_under_way_are_given_before_it_stops(self, slack: LocalSlack) -> None:
        """Who typed a command just before the bot was told to stop hears of it."""
        came, go_on = asyncio.Event(), asyncio.Event()

        async def take_long(_: SocketModeRequest) -> BoltResponse:
            came.set()
            await go_on.wait()
            return BoltResponse(status=200)

        async with AsyncExitStack() as stack:
            receiver = await stack.enter_async_context(receiving(slack, take_long))
            typing = asyncio.create_task(slack.person("alice").types("#payments", "/pay help"))
            await came.wait()
            stopping = asyncio.create_task(receiver.stop())
            await asyncio.sleep(0)
            go_on.set()
            assert (await typing).ok
            await stopping
        await until(lambda: slack.sockets.connections == 0)

    async def test_one_that_is_stopped_right_after_its_start_closes_its_connection(
        self, slack: LocalSlack
    ) -> None:
        """Nobody has begun to read it then; Slack is told all the same, and sends no command to nobody."""
        async with receiving(slack) as receiver:
            (socket,) = receiver._sockets
        assert socket.closed


ODD_FRAMES = (
    "",
    "hello",
    "[]",
    "7",
    "null",
    "[" * 50_000,
    '{"a":' * 50_000 + "1" + "}" * 50_000,
    '{"type": ' + "9" * 5000 + "}",
    '{"type": 7, "envelope_id": "e1", "payload": {}}',
    '{"type": "slash_commands", "envelope_id": "e2"}',
    '{"type": "slash_commands", "envelope_id": "e3", "payload": null}',
    '{"type": "slash_commands", "envelope_id": "e4", "payload": [1]}',
    '{"type": "slash_commands", "envelope_id": "e5", "payload": "text"}',
    '{"type": "slash_commands", "envelope_id": ["e6"], "payload": {}}',
    '{"type": "interactive", "envelope_id": "e7", "payload": {"type": 1, "team": 2, "user": 3, "view": 4}}',
    '{"type": "events_api", "envelope_id": "e8", "payload": {"type": "event_callback", "event": "x"}}',
    '{"type": "events_api", "envelope_id": "e9", "payload": {"authorizations": 6, "enterprise": 7}}',
    '{"type": "slash_commands", "envelope_id": "e10", "payload": {"command":',
    '{"type": "interactive", "envelope_id": "e11", "payload": {"type": "view_submission", "view": null}}',
    '{"type": "interactive", "envelope_id": "e12", "payload": {"type": "view_closed", "view": null}}',
    '{"type": "events_api", "envelope_id": "e13", "payload": {"type": "event_callback", "event": null}}',
)


class TestOddFrames:
    """Whatever it is, the connection stays."""

    async def test_an_envelope_is_never_logged(self, slack: LocalSlack, logs: list[Any]) -> None:
        """Neither one that nothing is done with, nor one that breaks what handles it."""

        async def do_nothing(request: SocketModeRequest) -> BoltResponse:
            if request.payload["text"] == "secret one":
                return BoltResponse(status=404, body="secret")
            raise RuntimeError("a bug")

        slack.sockets.ack_deadline = 0.2
        async with receiving(slack, do_nothing):
            for text in ("secret one", "secret two"):
                assert not (await slack.person("alice").types("#payments", f"/pay {text}")).ok
        assert len(logged(logs, "not understood")) == len(logged(logs, "unexpected")) == 1
        assert "secret" not in str(logs)

    async def test_a_malformed_envelope_costs_nothing(
        self, slack: LocalSlack, start_bot: StartBot, logs: list[Any]
    ) -> None:
        """It is no error, the connection stays, nothing is done, and the next command is answered."""
        bot = await start_bot()
        (connection,) = slack.sockets._rotation
        assert connection.socket is not None
        before = len(slack.calls)
        for frame in ODD_FRAMES:
            await connection.socket.send_str(frame)
        assert (await slack.person("alice").types("#payments", "/pay help")).ok
        assert [entry for entry in logs if "exc_info" in entry] == []
        assert logged(logs, "opening another") == []
        assert [call.method for call in slack.calls[before:]] == []
        assert await bot.ledger.recent() == []

    @pytest.mark.parametrize(
        "odd", [{"num_connections": "many"}, {"num_connections": {}}, {"num_connections": None}]
    )
    async def test_an_odd_hello_is_a_hello(
        self, slack: LocalSlack, monkeypatch: pytest.MonkeyPatch, logs: list[Any], odd: dict[str, Any]
    ) -> None:
        """How many connections Slack counts is then not known, and nothing else depends on it."""
        monkeypatch.setattr(local_socket_mode, "_hello", lambda *_: {"type": "hello", **odd})
        async with receiving(slack):
            assert (await slack.person("alice").types("#payments", "/pay help")).ok
        assert logged(logs, MORE) == []
