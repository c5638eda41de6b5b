"""Slack is answered when a listener acknowledges, however long that listener goes on."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from slack_bolt import BoltResponse
from slack_bolt.app.async_app import AsyncApp
from slack_bolt.request.async_request import AsyncBoltRequest

from bot.slack.connection import bolt_app
from bot.slack.web_api import Client, Workspace

Ack = Callable[..., Awaitable[Any]]
WORKSPACE = Workspace("T1", "https://acme.slack.com/", "UBOT", "BBOT", "bot")


@pytest.fixture
def app() -> AsyncApp:
    return bolt_app(Client(token="xoxb-1"), WORKSPACE)


def typed(app: AsyncApp) -> asyncio.Task[BoltResponse]:
    body = {"command": "/pay", "text": "", "team_id": "T1", "user_id": "U1", "channel_id": "C1"}
    return asyncio.create_task(app.async_dispatch(AsyncBoltRequest(body=body, mode="socket_mode")))


async def turns() -> None:
    """What is ready gets done; no time passes."""
    for _ in range(20):
        await asyncio.sleep(0)


async def test_slack_is_answered_at_once_and_the_listener_goes_on(app: AsyncApp) -> None:
    """Nobody waits for the next time that somebody looks."""
    ready, rest, ended = asyncio.Event(), asyncio.Event(), asyncio.Event()

    @app.command("/pay")
    async def pay(ack: Ack) -> None:
        await ready.wait()
        await ack("heard")
        await rest.wait()
        ended.set()

    answer = typed(app)
    await turns()
    assert not answer.done()
    ready.set()
    await turns()
    assert answer.done()
    assert "heard" in answer.result().body
    assert not ended.is_set()
    rest.set()
    await turns()
    assert ended.is_set()


async def test_what_the_bot_is_called_in_slack_sets_nobodys_logging(
    app: AsyncApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bolt gives the logger of the app's name its own level; one called @bot would lose what the bot logs."""
    assert WORKSPACE.bot_name == "bot"
    monkeypatch.setattr(logging.getLogger("slack_bolt.AsyncApp"), "level", logging.ERROR)

    @app.command("/pay")
    async def pay(ack: Ack) -> None:
        await ack()

    await asyncio.wait_for(typed(app), 1.0)
    assert logging.getLogger("bot").level == logging.NOTSET


async def test_who_breaks_before_acknowledging_is_answered_with_a_reference(app: AsyncApp) -> None:
    """And so is not silent for three seconds."""

    @app.command("/pay")
    async def pay() -> None:
        raise RuntimeError("a bug")

    answer = await asyncio.wait_for(typed(app), 1.0)
    assert json.loads(answer.body)["response_type"] == "ephemeral"


async def test_what_breaks_after_the_acknowledgement_takes_nothing_back(app: AsyncApp) -> None:
    """Slack is told what was acknowledged, also where it breaks in the same moment."""

    @app.command("/pay")
    async def pay(ack: Ack) -> None:
        await ack("heard")
        raise RuntimeError("a bug")

    answer = await asyncio.wait_for(typed(app), 1.0)
    assert "heard" in answer.body


async def test_who_does_not_acknowledge_in_time_goes_on(app: AsyncApp) -> None:
    """Slack has given up by then; what was begun in the ledger has not."""
    rest, ended = asyncio.Event(), asyncio.Event()

    @app.command("/pay")
    async def pay() -> None:
        await rest.wait()
        ended.set()

    app._async_listeners[-1].ack_timeout = 0
    answer = await typed(app)
    assert answer.status == 404
    rest.set()
    await turns()
    assert ended.is_set()
