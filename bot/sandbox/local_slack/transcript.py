"""What was said so far, to read when a test did not see what it waited for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from bot.sandbox.local_slack.messages import Message
from bot.sandbox.local_slack.web_api import ApiCall
from bot.sandbox.local_slack.world import World

_LAST_CALLS = 15


def transcript(world: World, calls: Sequence[ApiCall]) -> str:
    """Every channel in which something was said, and the last calls of the Web API."""
    lines: list[str] = []
    for channel in world.channels.values():
        everything = sorted(channel.messages.values(), key=lambda message: message.ts)
        if everything:
            lines.append(f"#{channel.name}")
        for message in everything:
            lines.extend(_message(world, message))
    if calls:
        lines.append(f"the last Web API calls, of {len(calls)}")
        lines += [f"    {call.method}: {call.error or 'ok'}" for call in calls[-_LAST_CALLS:]]
    return "\n".join(lines) or "nothing was said"


def _message(world: World, message: Message) -> Iterator[str]:
    marks = []
    if message.ephemeral_for:
        marks.append(f"only for {world.people[message.ephemeral_for].name}")
    if message.thread_ts:
        marks.append("in a thread")
    if message.edited:
        marks.append("edited")
    if message.deleted:
        marks.append("deleted")
    author = world.people[message.user].name
    note = f" ({', '.join(marks)})" if marks else ""
    yield f"    {message.ts} {author}{note}: {' | '.join(message.texts())}"
    if message.action_ids():
        yield f"        to press: {', '.join(message.action_ids())}"
