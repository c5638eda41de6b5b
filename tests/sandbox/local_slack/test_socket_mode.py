"""Socket Mode: who gets an envelope, how long Slack waits, and what goes wrong with connections."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from slack_sdk.socket_mode.aiohttp import SocketModeClient
from slack_sdk.socket_mode.request import SocketModeRequest
from slack_sdk.socket_mode.response import SocketModeResponse
from slack_sdk.web.async_client import AsyncWebClient

from bot.sandbox.local_slack import LocalSlack
from bot.sandbox.local_slack.changes import ChangeKind

Answer = Callable[[SocketModeClient, SocketModeRequest], Awaitable[None]]


@pytest.fixture
async def slack() -> AsyncIterator[LocalSlack]:
    async with LocalSlack(ack_deadline=0.3, event_retry_delays=(0, 0, 0)) as running:
        yield running


async def acknowledge(client: SocketModeClient, request: SocketModeRequest) -> None:
    await client.send_socket_mode_response(SocketModeResponse(envelope_id=request.envelope_id))


async def ignore(client: SocketModeClient, request: SocketModeRequest) -> None:
    """Never acknowledges."""


@asynccontextmanager
async def connected(
    slack: LocalSlack, answer: Answer = acknowledge
) -> AsyncIterator[list[SocketModeRequest]]:
    """A real client that keeps what it receives."""
    web = AsyncWebClient(token=slack.bot_token, base_url=slack.api_url)
    client = SocketModeClient(app_token=slack.app_token, web_client=web, ping_interval=0.2)
    received: list[SocketModeRequest] = []

    async def listener(client: SocketModeClient, request: SocketModeRequest) -> None:
        received.append(request)
        await answer(client, request)

    client.socket_mode_request_listeners.append(listener)  # type: ignore[arg-type]
    before = slack.sockets.connections
    await client.connect()  # type: ignore[no-untyped-call]
    await slack.wait_for(lambda: slack.sockets.connections > before)
    try:
        yield received
    finally:
        await client.close()  # type: ignore[no-untyped-call]


@asynccontextmanager
async def bare_socket(slack: LocalSlack) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
    """A connection without the SDK around it."""
    header = {"Authorization": f"Bearer {slack.app_token}"}
    async with aiohttp.ClientSession() as session:
        async with session.post(slack.api_url + "apps.connections.open", headers=header) as answer:
            url = (await answer.json())["url"]
        async with session.ws_connect(url) as socket:
            yield socket


async def test_hello_tells_how_many_connections_there_are(slack: LocalSlack) -> None:
    """num_connections counts this one and every other, ghosts included."""
    slack.sockets.add_ghosts(2)
    async with bare_socket(slack) as socket:
        hello = await socket.receive_json(timeout=2)
    assert hello["type"] == "hello"
    assert hello["num_connections"] == 3
    assert hello["connection_info"]["app_id"]
    assert hello["debug_info"]["approximate_connection_time"] > 0


async def test_an_address_opens_one_connection(slack: LocalSlack) -> None:
    """The ticket in the wss address cannot be used again, or be made up."""
    header = {"Authorization": f"Bearer {slack.app_token}"}
    async with aiohttp.ClientSession() as session:
        async with session.post(slack.api_url + "apps.connections.open", headers=header) as answer:
            url = (await answer.json())["url"]
        async with session.ws_connect(url) as socket:
            await socket.receive_json(timeout=2)
        for refused in (url, url.replace("ticket=", "ticket=x")):
            with pytest.raises(aiohttp.WSServerHandshakeError):
                await session.ws_connect(refused)


async def test_a_command_is_an_envelope(slack: LocalSlack) -> None:
    """The envelope has an id, a type, and accepts an answer."""
    async with bare_socket(slack) as socket:
        await socket.receive_json(timeout=2)
        typing = asyncio.create_task(slack.person("alice").types("#payments", "/pay vps 1"))
        envelope = await socket.receive_json(timeout=2)
        assert envelope["type"] == "slash_commands"
        assert envelope["accepts_response_payload"] is True
        assert envelope["payload"]["command"] == "/pay"
        await socket.send_json({"envelope_id": envelope["envelope_id"]})
        assert (await typing).ok


async def test_each_envelope_goes_to_exactly_one_connection(slack: LocalSlack) -> None:
    """Two connections share the envelopes; none is delivered to both."""
    async with connected(slack) as first, connected(slack) as second:
        for number in range(4):
            assert (await slack.person("alice").types("#payments", f"/pay vps {number}")).ok
        texts = [request.payload["text"] for request in first + second]
        assert sorted(texts) == [f"vps {number}" for number in range(4)]
        assert len(first) == len(second) == 2


async def test_a_command_without_connection_is_dispatch_failed(slack: LocalSlack) -> None:
    """The person is told, and knows that nothing was sent."""
    result = await slack.person("alice").types("#payments", "/pay vps 1")
    assert (result.ok, result.error) == (False, "dispatch_failed")
    assert "dispatch_failed" in slack.ephemerals("alice")[-1].text


async def test_an_unacknowledged_command_is_operation_timeout_and_not_repeated(
    slack: LocalSlack,
) -> None:
    """After the deadline the person sees operation_timeout; the app got it once."""
    async with connected(slack, ignore) as received:
        result = await slack.person("alice").types("#payments", "/pay vps 1")
        assert (result.ok, result.error) == (False, "operation_timeout")
        assert result.seconds >= 0.3
        assert '/pay failed with the error "operation_timeout"' in slack.ephemerals("alice")[-1].text
        assert len(received) == 1


async def test_an_unacknowledged_event_is_repeated_with_its_reason(slack: LocalSlack) -> None:
    """Events come again, counted, under a new envelope but with the same event id."""
    async with connected(slack, ignore) as received:
        result = await slack.person("alice").opens_home()
        assert result.error == "operation_timeout"
        await slack.wait_for(lambda: len(received) == 4)
        assert [request.retry_attempt for request in received] == [0, 1, 2, 3]
        assert received[1].retry_reason == "timeout"
        assert len({request.payload["event_id"] for request in received}) == 1
        assert len({request.envelope_id for request in received}) == 4


async def test_an_acknowledged_event_is_not_repeated(slack: LocalSlack) -> None:
    """One acknowledgement, at whichever try, ends it."""

    async def not_at_first(client: SocketModeClient, request: SocketModeRequest) -> None:
        if len(received) > 1:
            await acknowledge(client, request)

    async with connected(slack, not_at_first) as received:
        await slack.person("alice").opens_home()
        await slack.wait_for(lambda: len(received) == 2)
        assert (await slack.person("alice").opens_home()).ok
        assert [request.retry_attempt for request in received] == [0, 1, 0]


async def test_a_ghost_swallows_envelopes(slack: LocalSlack) -> None:
    """A dead registration gets its share, and the person sees a timeout."""
    async with connected(slack) as received:
        slack.sockets.add_ghosts()
        result = await slack.person("alice").types("#payments", "/pay vps 1")
        assert result.error == "operation_timeout"
        assert received == []
        assert (await slack.person("alice").types("#payments", "/pay vps 2")).ok
        slack.sockets.remove_ghosts()
        for number in (3, 4):
            assert (await slack.person("alice").types("#payments", f"/pay vps {number}")).ok


async def test_one_envelope_can_be_delivered_twice(slack: LocalSlack) -> None:
    """The repetition has the same envelope and trigger ids, so the app can tell."""
    slack.duplicate_next(1)
    async with connected(slack) as received:
        assert (await slack.person("alice").types("#payments", "/pay vps 1")).ok
        assert (await slack.person("alice").types("#payments", "/pay vps 2")).ok
        await slack.wait_for(lambda: len(received) == 3)
    assert received[0].envelope_id == received[1].envelope_id
    assert received[0].payload["trigger_id"] == received[1].payload["trigger_id"]
    assert received[2].payload["text"] == "vps 2"


@pytest.mark.parametrize("reason", ["warning", "refresh_requested"])
async def test_a_disconnect_makes_the_client_reconnect(slack: LocalSlack, reason: str) -> None:
    """Slack asks for a new connection and the client opens one; commands work again."""
    async with connected(slack) as received:
        await slack.sockets.disconnect(reason)
        await slack.wait_for(lambda: len(slack.calls) == 2 and slack.sockets.connections == 1)
        assert (await slack.person("alice").types("#payments", "/pay vps 1")).ok
        assert len(received) == 1


async def test_a_warning_leaves_the_connection_open(slack: LocalSlack) -> None:
    """Ten seconds ahead of the end there is only a message."""
    async with bare_socket(slack) as socket:
        await socket.receive_json(timeout=2)
        await slack.sockets.disconnect("warning")
        message = await socket.receive_json(timeout=2)
        assert (message["type"], message["reason"]) == ("disconnect", "warning")
        assert slack.sockets.connections == 1
        await slack.sockets.disconnect("refresh_requested")
        assert (await socket.receive_json(timeout=2))["reason"] == "refresh_requested"
        assert (await socket.receive(timeout=2)).type is aiohttp.WSMsgType.CLOSE


async def test_a_refresh_warns_ahead_and_hears_the_old_connection_out(slack: LocalSlack) -> None:
    """Envelopes come until refresh_requested; what is acknowledged after that still counts."""
    async with bare_socket(slack) as socket:
        await socket.receive_json(timeout=2)
        refresh = asyncio.create_task(slack.sockets.refresh(ahead=0.1, closing=0.2))
        assert (await socket.receive_json(timeout=2))["reason"] == "warning"
        typing = asyncio.create_task(slack.person("alice").types("#payments", "/pay vps 1"))
        envelope = await socket.receive_json(timeout=2)
        assert (await socket.receive_json(timeout=2))["reason"] == "refresh_requested"
        assert slack.sockets.connections == 0
        await socket.send_json({"envelope_id": envelope["envelope_id"]})
        assert (await typing).ok
        assert (await socket.receive(timeout=2)).type is aiohttp.WSMsgType.CLOSE
        await refresh


async def test_an_acknowledgement_over_another_connection_is_counted(slack: LocalSlack) -> None:
    """Slack takes it, but a test can tell that it went astray."""
    async with bare_socket(slack) as first, bare_socket(slack) as second:
        for socket in (first, second):
            assert (await socket.receive_json(timeout=2))["type"] == "hello"
        for receiving, misplaced in ((first, 0), (second, 1)):
            typing = asyncio.create_task(slack.person("alice").types("#payments", "/pay vps 1"))
            envelope = await receiving.receive_json(timeout=2)
            await first.send_json({"envelope_id": envelope["envelope_id"]})
            assert (await typing).ok
            assert slack.sockets.misplaced == misplaced


async def test_the_eleventh_connection_is_turned_away(slack: LocalSlack) -> None:
    """Ten per app; one more is told too_many_websockets and closed."""
    slack.sockets.add_ghosts(10)
    async with bare_socket(slack) as socket:
        message = await socket.receive_json(timeout=2)
        assert (message["type"], message["reason"]) == ("disconnect", "too_many_websockets")
        assert (await socket.receive(timeout=2)).type is aiohttp.WSMsgType.CLOSE
    assert slack.sockets.connections == 10


async def test_slack_pings_and_answers_pings() -> None:
    """Both sides of the WebSocket level heartbeat work."""
    async with LocalSlack(ping_interval=0.3) as slack, aiohttp.ClientSession() as session:
        header = {"Authorization": f"Bearer {slack.app_token}"}
        async with session.post(slack.api_url + "apps.connections.open", headers=header) as answer:
            url = (await answer.json())["url"]
        async with session.ws_connect(url, autoping=False) as socket:
            await socket.receive_json(timeout=2)
            await socket.ping(b"sdk-ping-pong:1")
            kinds = {(await socket.receive(timeout=2)).type for _ in range(2)}
            assert kinds == {aiohttp.WSMsgType.PONG, aiohttp.WSMsgType.PING}


async def test_a_silent_connection_is_dropped_after_unanswered_pings() -> None:
    """A peer that does not answer pings is not kept registered for ever."""
    async with LocalSlack(ping_interval=0.1) as slack, aiohttp.ClientSession() as session:
        header = {"Authorization": f"Bearer {slack.app_token}"}
        async with session.post(slack.api_url + "apps.connections.open", headers=header) as answer:
            url = (await answer.json())["url"]
        async with session.ws_connect(url, autoping=False):
            await slack.wait_for(lambda: slack.sockets.connections == 1)
            await slack.wait_for(lambda: slack.sockets.connections == 0, timeout=5)


async def test_socket_mode_has_to_be_enabled() -> None:
    """An app whose manifest leaves Socket Mode off gets no address."""
    async with LocalSlack(manifest={"display_information": {"name": "HTTP only"}}) as slack:
        header = {"Authorization": f"Bearer {slack.app_token}"}
        async with (
            aiohttp.ClientSession() as session,
            session.post(slack.api_url + "apps.connections.open", headers=header) as answer,
        ):
            assert not (await answer.json())["ok"]


async def test_connections_come_and_go_as_changes(slack: LocalSlack) -> None:
    """Whoever listens hears of every connection and its end."""
    seen: list[str] = []

    def note(change: Any) -> None:
        if change.kind is ChangeKind.CONNECTIONS_CHANGED:
            seen.append(change.text)

    slack.on_change(note)
    async with connected(slack):
        assert seen == ["1 connections"]
    await slack.wait_for(lambda: slack.sockets.connections == 0)
    assert seen == ["1 connections", "0 connections"]
