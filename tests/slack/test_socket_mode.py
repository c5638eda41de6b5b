"""Socket Mode over real sockets: no gap between two connections, and always one that lives."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest
from slack_bolt.response import BoltResponse
from slack_sdk.socket_mode.request import SocketModeRequest
from structlog.testing import capture_logs

from bot.errors import ConfigError, LedgerUnavailable
from bot.sandbox.local_slack import LocalSlack
from bot.sandbox.local_slack.changes import Change, ChangeKind
from bot.slack import socket_mode
from bot.slack.socket_mode import Receiver
from bot.slack.wire import web_client
from tests.conftest import NewDatabase, StartBot
from tests.faults.proxy import Wire, open_wire

Handle = Callable[[SocketModeRequest], Awaitable[BoltResponse]]

MORE = "Slack counts more connections"
NO_CONNECTION = "Slack takes no connection"


@pytest.fixture
def logs() -> Iterator[list[Any]]:
    """What is logged during the test."""
    with capture_logs() as captured:
        yield captured


@pytest.fixture
def slowly(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tenths of a second for what waits for a person."""
    monkeypatch.setattr(socket_mode, "SLOWLY", 0.1)


def logged(logs: list[Any], text: str) -> list[Any]:
    return [each for each in logs if text in each["event"]]


async def until(condition: Callable[[], object], timeout: float = 10) -> float:
    """Wait for it. Returns the seconds that it took."""
    started = time.monotonic()
    while not condition():
        assert time.monotonic() < started + timeout, f"not within {timeout} s"
        await asyncio.sleep(0.01)
    return time.monotonic() - started


async def one() -> int:
    return 1


async def acknowledge(_: SocketModeRequest) -> BoltResponse:
    return BoltResponse(status=200)


@asynccontextmanager
async def receiving(
    slack: LocalSlack,
    handle: Handle = acknowledge,
    explained: Callable[[], Awaitable[int]] = one,
    token: str = "",
) -> AsyncIterator[Receiver]:
    """A receiver without a bot behind it."""
    client = web_client(slack.bot_token, slack.api_url)
    receiver = Receiver(handle, client, token or slack.app_token, explained)
    try:
        await receiver.start()
        yield receiver
    finally:
        await receiver.stop()


@asynccontextmanager
async def wired(slack: LocalSlack) -> AsyncIterator[Wire]:
    """Put a wire before Slack: all addresses that it gives lead through it."""
    port = int(slack.address.rpartition(":")[2])
    async with open_wire(lambda: asyncio.open_connection("127.0.0.1", port)) as wire:
        slack._workspace.address = f"http://127.0.0.1:{wire.port}"
        yield wire


# -- replaced by Slack ------------------------------------------------------------------------------


async def test_no_command_is_lost_while_slack_replaces_the_connection(
    slack: LocalSlack, start_bot: StartBot, logs: list[Any]
) -> None:
    """Commands typed all through a refresh are all answered, each over the connection that it came by."""
    await start_bot()
    failed: list[str] = []

    async def type_on(person: str) -> int:
        for number in range(1, 10_000):
            result = await slack.person(person).types("#payments", "/pay help")
            if not result.ok:
                failed.append(str(result.error))
            if refresh.done():
                return number
        raise AssertionError("the refresh does not end")

    refresh = asyncio.create_task(slack.sockets.refresh(ahead=1, closing=0.5))
    typed = await asyncio.gather(*(type_on(person) for person in ("alice", "bob", "carol")))
    assert sum(typed) > 10
    assert failed == []
    assert slack.sockets.misplaced == 0
    assert slack.sockets.connections == 1
    assert logged(logs, MORE) == []


async def test_what_came_before_a_disconnect_is_answered_over_the_old_connection(slack: LocalSlack) -> None:
    """A new connection is there already, and still the answer goes where the envelope came from."""
    came, go_on = asyncio.Event(), asyncio.Event()

    async def take_long(_: SocketModeRequest) -> BoltResponse:
        came.set()
        await go_on.wait()
        return BoltResponse(status=200, body={"text": "done"})

    async with receiving(slack, take_long):
        typing = asyncio.create_task(slack.person("alice").types("#payments", "/pay help"))
        await came.wait()
        refresh = asyncio.create_task(slack.sockets.refresh(ahead=0, closing=1))
        await until(lambda: len(slack.calls) == 2 and slack.sockets.connections == 1, 1)
        go_on.set()
        assert (await typing).ok
        assert slack.sockets.misplaced == 0
        await refresh


async def test_the_old_connection_is_closed_where_slack_leaves_it_open(
    slack: LocalSlack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a warning without an end there are two for a while, and then one."""
    monkeypatch.setattr(socket_mode, "LINGER", 0.3)
    async with receiving(slack):
        await slack.sockets.disconnect("warning")
        await until(lambda: slack.sockets.connections == 2)
        await until(lambda: slack.sockets.connections == 1)
        assert (await slack.person("alice").types("#payments", "/pay help")).ok
        assert len(slack.calls) == 2


async def test_socket_mode_turned_off_is_an_error_that_says_so(
    slack: LocalSlack, logs: list[Any], slowly: None
) -> None:
    """The operator reads what was turned off, and the bot is back when it is on again."""
    async with receiving(slack):
        slack.fail("apps.connections.open", "error:socket_mode_not_enabled", 1)
        await slack.sockets.disconnect("link_disabled")
        assert slack.sockets.connections == 0
        await until(lambda: slack.sockets.connections == 1)
    entries = logged(logs, "Socket Mode was turned off in the app's settings")
    assert [entry["log_level"] for entry in entries] == ["error", "error"]
    assert logged(logs, NO_CONNECTION) == []


# -- gone -------------------------------------------------------------------------------------------


async def test_a_frozen_connection_is_replaced(
    slack: LocalSlack, logs: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A peer that is gone without a word is noticed by its silence; Slack's belief in it is told."""
    monkeypatch.setattr(socket_mode, "PING", 0.2)
    async with wired(slack) as wire, receiving(slack):
        wire.freeze()
        wire.forget()
        await until(lambda: slack.sockets.connections == 2, 2)
        await until(lambda: logged(logs, MORE), 2)
        assert (await slack.person("alice").types("#payments", "/pay help")).error == "operation_timeout"
        assert (await slack.person("alice").types("#payments", "/pay help")).ok


def test_a_silent_peer_is_given_up_within_seconds() -> None:
    """The pings of a real bot are no slower than what is promised: two of five seconds."""
    assert socket_mode.PING * 1.5 <= 10


@pytest.mark.parametrize("how", ["refused", "500", "a ticket that has expired"])
async def test_it_is_connected_soon_after_slack_is_back(slack: LocalSlack, logs: list[Any], how: str) -> None:
    """However long Slack was away, and in whatever way: two seconds."""
    async with wired(slack) as wire, receiving(slack):

        def expire(change: Change) -> None:
            if change.kind is ChangeKind.API_CALLED:
                slack.sockets.expire_addresses()

        if how == "refused":
            await wire.cut()
        elif how == "500":
            slack.fail("apps.connections.open", "500")
        else:
            back = slack.on_change(expire)
        slack.sockets.drop_all()
        # By then it waits as long as it ever does.
        await until(lambda: len(logged(logs, NO_CONNECTION)) == 3)
        if how == "refused":
            await wire.open()
        elif how == "500":
            slack.heal()
        else:
            back()
        assert await until(lambda: slack.sockets.connections) < 2
        assert (await slack.person("alice").types("#payments", "/pay help")).ok


async def test_it_leaves_slack_alone_for_as_long_as_it_wants(slack: LocalSlack) -> None:
    """The Retry-After of a 429 counts, also where it is longer than any pause of its own."""
    async with receiving(slack):
        fault = slack.fail("apps.connections.open", "429", 1, retry_after=2)
        slack.sockets.drop_all()
        await until(lambda: fault.hits == 1)
        assert await until(lambda: slack.sockets.connections) > 1.8


async def test_a_connection_that_ends_at_once_is_not_made_without_a_pause(slack: LocalSlack) -> None:
    """A Slack that greets and hangs up is not called again and again."""
    loop = asyncio.get_running_loop()

    def hang_up(change: Change) -> None:
        if change.kind is ChangeKind.CONNECTIONS_CHANGED and slack.sockets.connections:
            loop.call_later(0.02, slack.sockets.drop_all)

    async with receiving(slack):
        kind_again = slack.on_change(hang_up)
        slack.sockets.drop_all()
        assert await until(lambda: len(slack.calls) == 4) > 1.0
        kind_again()
        await until(lambda: slack.sockets.connections == 1)


async def test_the_eleventh_connection_waits_until_there_is_room(slack: LocalSlack, logs: list[Any]) -> None:
    """Slack takes ten; the log says why the bot has none."""
    async with receiving(slack):
        slack.sockets.drop_all()
        slack.sockets.add_ghosts(10)
        await until(lambda: logged(logs, NO_CONNECTION))
        assert logged(logs, NO_CONNECTION)[0]["error"] == "too_many_websockets"
        slack.sockets.remove_ghosts()
        await until(lambda: slack.sockets.connections == 1)


# -- what Slack counts ------------------------------------------------------------------------------


async def test_a_connection_that_nobody_has_is_told_of(
    slack: LocalSlack, start_bot: StartBot, logs: list[Any]
) -> None:
    """Both numbers, what it means, and what to do."""
    slack.sockets.add_ghosts(1)
    await start_bot()
    await until(lambda: logged(logs, MORE))
    (entry,) = logged(logs, MORE)
    assert (entry["log_level"], entry["connections"], entry["explained"]) == ("warning", 2, 1)
    assert "swallows commands" in entry["event"]
    assert "HTTP mode" in entry["event"]


async def test_two_instances_explain_two_connections(
    slack: LocalSlack, start_bot: StartBot, new_postgresql: NewDatabase, logs: list[Any]
) -> None:
    """Instances on one PostgreSQL know of each other, also while Slack replaces all their connections."""
    url = new_postgresql(migrated=True)
    first = await start_bot(LEDGER_URL=url)
    await start_bot(LEDGER_URL=url)
    assert await first.ledger.instances() == 2
    await slack.sockets.refresh(ahead=1, closing=0)
    await until(lambda: slack.sockets.connections == 2)
    assert len(logged(logs, "connected to Slack")) == 4
    assert logged(logs, MORE) == []
    slack.sockets.add_ghosts(1)
    third = await start_bot(LEDGER_URL=url)
    await until(lambda: logged(logs, MORE))
    assert await third.ledger.instances() == 3
    assert [entry["explained"] for entry in logged(logs, MORE)] == [3]


async def test_a_ledger_that_is_away_costs_only_the_comparison(slack: LocalSlack, logs: list[Any]) -> None:
    """Commands are taken; how many instances there are is asked again at the next hello."""

    async def away() -> int:
        raise LedgerUnavailable("away")

    slack.sockets.add_ghosts(1)
    async with receiving(slack, explained=away):
        slack.sockets.remove_ghosts()
        assert (await slack.person("alice").types("#payments", "/pay help")).ok
    assert [entry for entry in logs if entry["log_level"] != "info"] == []


# -- tokens, envelopes, the end ---------------------------------------------------------------------


async def test_a_token_that_is_refused_at_start_is_a_wrong_setting(slack: LocalSlack) -> None:
    """The bot does not start, and says which variable it is."""
    with pytest.raises(ConfigError, match="SLACK_APP_TOKEN: Slack refuses it"):
        async with receiving(slack, token="xapp-1-A-0-revoked"):
            pass


async def test_a_token_that_is_refused_later_is_an_error_and_is_tried_again(
    slack: LocalSlack, logs: list[Any], slowly: None
) -> None:
    """A running bot goes on: somebody may mend it, or Slack was wrong."""
    async with receiving(slack):
        slack.fail("apps.connections.open", "error:token_revoked", 2)
        slack.sockets.drop_all()
        await until(lambda: slack.sockets.connections == 1)
    entries = logged(logs, "SLACK_APP_TOKEN: Slack refuses it (token_revoked)")
    assert [entry["log_level"] for entry in entries] == ["error", "error"]


async def test_an_envelope_is_never_logged(slack: LocalSlack, logs: list[Any]) -> None:
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


async def test_answers_under_way_are_given_before_it_stops(slack: LocalSlack) -> None:
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


async def test_one_that_is_stopped_right_after_its_start_closes_its_connection(slack: LocalSlack) -> None:
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
)


async def test_a_malformed_envelope_costs_nothing(
    slack: LocalSlack, start_bot: StartBot, logs: list[Any]
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
    slack: LocalSlack, monkeypatch: pytest.MonkeyPatch, logs: list[Any], odd: dict[str, Any]
) -> None:
    """How many connections Slack counts is then not known, and nothing else depends on it."""
    monkeypatch.setattr(slack.sockets, "_hello", lambda: {"type": "hello", **odd})
    async with receiving(slack):
        assert (await slack.person("alice").types("#payments", "/pay help")).ok
    assert logged(logs, MORE) == []
