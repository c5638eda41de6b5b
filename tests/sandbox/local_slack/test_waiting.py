"""Waiting and listening: tests wake up by changes, and a failure shows the conversation."""

from __future__ import annotations

import asyncio

import pytest

from bot.sandbox.local_slack import LocalSlack
from bot.sandbox.local_slack import identifiers as ids
from bot.sandbox.local_slack.changes import Change, ChangeKind
from bot.sandbox.local_slack.errors import NotSeen


async def test_waiting_returns_what_the_condition_returns(slack: LocalSlack) -> None:
    """At once if it is true already, else with the change that makes it true."""
    assert await slack.wait_for(lambda: 7) == 7
    waiting = asyncio.create_task(slack.wait_for(lambda: slack.messages("#payments")))
    await asyncio.sleep(0)
    await slack.person("alice").says("#payments", "here")
    (message,) = await waiting
    assert message.text == "here"


async def test_a_wait_in_vain_shows_the_conversation(slack: LocalSlack) -> None:
    """Who said what where, what is ephemeral, what is in a thread, and the last calls."""
    root = await slack.person("alice").says("#payments", "where is it?")
    await slack.person("bob").says("#payments", "no idea", thread_ts=root.ts)
    await slack.person("alice").types("#payments", "/nope")
    with pytest.raises(NotSeen) as caught:
        await slack.wait_for(lambda: False, timeout=0.05)
    text = str(caught.value)
    assert "#payments" in text
    assert "alice: where is it?" in text
    assert "bob (in a thread): no idea" in text
    assert "slackbot (only for alice): /nope is not a valid command." in text


async def test_changes_can_be_iterated(slack: LocalSlack) -> None:
    """The stream has every change in order."""
    changes = slack.changes()
    first = asyncio.ensure_future(anext(changes))
    await asyncio.sleep(0)
    message = await slack.person("alice").says("#payments", "one")
    await slack.person("alice").says("#payments", "two")
    change = await first
    assert (change.kind, change.subject) == (ChangeKind.MESSAGE_POSTED, message.ts)
    assert (change.channel, change.person, change.text) == (ids.PAYMENTS, ids.ALICE, "one")
    assert (await anext(changes)).text == "two"


async def test_a_callback_can_be_stopped(slack: LocalSlack) -> None:
    """on_change returns what ends it, and ending it twice is fine."""
    seen: list[Change] = []
    stop = slack.on_change(seen.append)
    slack.world.join("#random", ids.GIL)
    stop()
    stop()
    slack.world.leave("#random", ids.GIL)
    assert [change.kind for change in seen] == [ChangeKind.WORLD_CHANGED]
