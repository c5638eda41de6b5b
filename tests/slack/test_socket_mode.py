"""Socket Mode over real sockets: no gap between two connections, and always one that lives."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import aiohttp
import pytest
from slack_bolt.response import BoltResponse
from slack_sdk.socket_mode.request import SocketModeRequest

from bot import repeated
from bot.errors import ConfigError, LedgerUnavailable
from bot.metrics import PROCESS
from bot.sandbox.local_slack import LocalSlack
from bot.sandbox.local_slack.changes import Change, ChangeKind
from bot.slack import socket_mode, stillness
from tests.fixture_types import NewDatabase, StartBot
from tests.slack.receiving import MORE, NO_CONNECTION, logged, receiving, until, wired


@pytest.fixture
def slowly(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tenths of a second for what waits for a person."""
    monkeypatch.setattr(socket_mode, "SLOWLY", 0.1)


@pytest.fixture
def talkative(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every failure is logged, and not one a minute."""
    monkeypatch.setattr(repeated, "EVERY", 0.0)


class TestReplacedBySlack:
    """The next one is open before the old one is let go."""

    async def test_no_command_is_lost_while_slack_replaces_the_connection(
        self, slack: LocalSlack, start_bot: StartBot, logs: list[Any]
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

    async def test_what_came_before_a_disconnect_is_answered_over_the_old_connection(
        self, slack: LocalSlack
    ) -> None:
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
        self, slack: LocalSlack, monkeypatch: pytest.MonkeyPatch
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
        self, slack: LocalSlack, logs: list[Any], slowly: None
    ) -> None:
        """The operator reads what was turned off, and the bot is back when it is on again."""
        async with receiving(slack):
            slack.fail("apps.connections.open", "error:socket_mode_not_enabled", 1)
            await slack.sockets.disconnect("link_disabled")
            assert slack.sockets.connections == 0
            await until(lambda: slack.sockets.connections == 1)
        entries = logged(logs, "Socket Mode was turned off in the app's settings")
        assert [entry["log_level"] for entry in entries] == ["error"]
        assert logged(logs, NO_CONNECTION) == []


class TestGone:
    """A connection, or all of Slack: it is back within seconds."""

    async def test_a_connection_that_is_gone_when_slack_asks_whether_it_lives_is_replaced(
        self, logs: list[Any], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """aiohttp answers a ping while it reads; that there is nobody to hear it is no bug of ours."""
        answer = aiohttp.ClientWebSocketResponse.pong
        gone: list[str] = []

        async def unheard(socket: aiohttp.ClientWebSocketResponse, message: bytes = b"") -> None:
            if gone:
                return await answer(socket, message)
            gone.append("gone")
            raise aiohttp.ClientConnectionResetError("Cannot write to closing transport")

        monkeypatch.setattr(aiohttp.ClientWebSocketResponse, "pong", unheard)
        async with LocalSlack(ping_interval=0.2) as slack, receiving(slack):
            await until(lambda: gone and slack.sockets.connections == 1 and len(slack.calls) == 2)
            assert (await slack.person("alice").types("#payments", "/pay help")).ok
        assert logged(logs, "unexpected") == []

    @pytest.mark.parametrize("beat", [0.01, 10.0], ids=["a beat sees it", "a frame sees it"])
    async def test_what_came_while_the_process_stood_still_is_not_carried_out(
        self, slack: LocalSlack, logs: list[Any], monkeypatch: pytest.MonkeyPatch, beat: float
    ) -> None:
        """Whoever typed it was told that it failed; the next command comes over a new connection."""
        handled: list[SocketModeRequest] = []

        async def handle(request: SocketModeRequest) -> BoltResponse:
            handled.append(request)
            return BoltResponse(status=200)

        now = 1000.0
        monkeypatch.setattr(stillness, "boottime", lambda: now)
        monkeypatch.setattr(stillness, "BEAT", beat)
        slack.sockets.ack_deadline = 0.3
        async with receiving(slack, handle) as receiver:
            receiver._stillness._alive = now
            now += stillness.STOOD_STILL
            assert (await slack.person("alice").types("#payments", "/pay help")).ok
            now += stillness.STOOD_STILL + 0.1
            if beat < 1:
                await until(lambda: logged(logs, "stood still"))
            assert (await slack.person("alice").types("#payments", "/pay help")).error == "operation_timeout"
            await until(lambda: slack.sockets.connections == 1 and not receiver._stale)
            assert (await slack.person("alice").types("#payments", "/pay help")).ok
        assert len(handled) == 2
        assert len(logged(logs, "stood still")) == 1

    async def test_a_frozen_connection_is_replaced(
        self, slack: LocalSlack, logs: list[Any], monkeypatch: pytest.MonkeyPatch
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

    def test_a_silent_peer_is_given_up_within_seconds(self) -> None:
        """The pings of a real bot are no slower than what is promised: two of five seconds."""
        assert socket_mode.PING * 1.5 <= 10

    @pytest.mark.parametrize("how", ["refused", "500", "a ticket that has expired"])
    async def test_it_is_connected_soon_after_slack_is_back(
        self, slack: LocalSlack, logs: list[Any], talkative: None, how: str
    ) -> None:
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

    async def test_an_outage_is_one_line_in_the_log_and_one_a_minute(
        self, slack: LocalSlack, logs: list[Any]
    ) -> None:
        """Not one each try; and then for how long, and how often it was tried."""
        async with receiving(slack) as receiver:
            slack.fail("apps.connections.open", "500")
            slack.sockets.drop_all()
            await until(lambda: len(slack.calls) >= 4)
            assert [one["event"] for one in logged(logs, NO_CONNECTION)] == [
                "Slack takes no connection; trying again"
            ]
            (trouble,) = receiver._without.values()
            trouble._began -= 180
            trouble._told -= 60
            await until(lambda: len(logged(logs, NO_CONNECTION)) == 2)
            slack.heal()
            await until(lambda: slack.sockets.connections == 1)
        line = logged(logs, NO_CONNECTION)[1]["event"]
        assert re.fullmatch(r"Slack takes no connection for 3 min, tried \d+ times; trying again", line)

    async def test_it_leaves_slack_alone_for_as_long_as_it_wants(self, slack: LocalSlack) -> None:
        """The Retry-After of a 429 counts, also where it is longer than any pause of its own."""
        async with receiving(slack):
            fault = slack.fail("apps.connections.open", "429", 1, retry_after=2)
            slack.sockets.drop_all()
            await until(lambda: fault.hits == 1)
            assert await until(lambda: slack.sockets.connections) > 1.8

    async def test_a_connection_that_is_gone_while_it_is_taken_up_is_made_again(
        self, slack: LocalSlack, start_bot: StartBot, monkeypatch: pytest.MonkeyPatch, logs: list[Any]
    ) -> None:
        """aiohttp only asserts then, between Slack's answer and the first frame, that it is there."""
        connecting = aiohttp.ClientSession._ws_connect
        gone = [True]

        async def without_transport(session: aiohttp.ClientSession, *given: Any, **named: Any) -> Any:
            if gone and gone.pop():
                raise AssertionError
            return await connecting(session, *given, **named)

        monkeypatch.setattr(aiohttp.ClientSession, "_ws_connect", without_transport)
        await start_bot()
        assert (await slack.person("alice").types("#payments", "/pay help")).ok
        assert len(logged(logs, NO_CONNECTION)) == 1

    async def test_a_connection_that_ends_at_once_is_not_made_without_a_pause(
        self, slack: LocalSlack
    ) -> None:
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

    async def test_the_eleventh_connection_waits_until_there_is_room(
        self, slack: LocalSlack, logs: list[Any]
    ) -> None:
        """Slack takes ten; the log says why the bot has none."""
        async with receiving(slack):
            slack.sockets.drop_all()
            slack.sockets.add_ghosts(10)
            await until(lambda: logged(logs, NO_CONNECTION))
            assert logged(logs, NO_CONNECTION)[0]["error"] == "too_many_websockets"
            slack.sockets.remove_ghosts()
            await until(lambda: slack.sockets.connections == 1)


class TestWhatSlackCounts:
    """More connections than there are swallow commands."""

    async def test_a_connection_that_nobody_has_is_told_of(
        self, slack: LocalSlack, start_bot: StartBot, logs: list[Any]
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
        self, slack: LocalSlack, start_bot: StartBot, new_postgresql: NewDatabase, logs: list[Any]
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

    async def test_a_ledger_that_is_away_costs_only_the_comparison(
        self, slack: LocalSlack, logs: list[Any]
    ) -> None:
        """Commands are taken; how many instances there are is asked again at the next hello."""

        async def away() -> int:
            raise LedgerUnavailable("away")

        slack.sockets.add_ghosts(1)
        async with receiving(slack, explained=away):
            slack.sockets.remove_ghosts()
            assert (await slack.person("alice").types("#payments", "/pay help")).ok
        assert [entry for entry in logs if entry["log_level"] != "info"] == []


async def test_who_stops_before_anything_came_has_no_connection_left(slack: LocalSlack) -> None:
    """The figure of open connections is right also where nobody began to read from one."""

    def counted() -> float:
        return PROCESS.get_sample_value("slack_connections") or 0.0

    before = counted()
    async with receiving(slack):
        assert counted() == before + 1
    assert counted() == before


class TestTokens:
    """A token that Slack refuses is the wrong one, or becomes it."""

    async def test_a_token_that_is_refused_at_start_is_a_wrong_setting(self, slack: LocalSlack) -> None:
        """The bot does not start, and says which variable it is."""
        with pytest.raises(ConfigError, match="SLACK_APP_TOKEN: Slack refuses it"):
            async with receiving(slack, token="xapp-1-A-0-revoked"):
                pass

    async def test_a_token_that_is_refused_later_is_an_error_and_is_tried_again(
        self, slack: LocalSlack, logs: list[Any], slowly: None
    ) -> None:
        """A running bot goes on: somebody may mend it, or Slack was wrong."""
        async with receiving(slack):
            slack.fail("apps.connections.open", "error:token_revoked", 2)
            slack.sockets.drop_all()
            await until(lambda: slack.sockets.connections == 1)
        entries = logged(logs, "SLACK_APP_TOKEN: Slack refuses it (token_revoked)")
        assert [entry["log_level"] for entry in entries] == ["error"]
