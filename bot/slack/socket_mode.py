"""Receives from Slack over Socket Mode, with no gap that a command could fall into.

What it promises: an envelope is answered over the connection that it came by. Where Slack asks for a
connection to be replaced, the next one is open before the old one is let go. A connection that is gone,
also without a word, is replaced within seconds, and so is the whole of Slack when it is back. What came
while the process stood still is not carried out. slack_sdk's client promises none of this: it has one
connection at a time, and answers over whichever it has now.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import structlog
from slack_bolt.response import BoltResponse
from slack_sdk.socket_mode.request import SocketModeRequest

from bot.domain.problem import Problem
from bot.errors import ConfigError, LedgerUnavailable
from bot.metrics import CONNECTIONS
from bot.repeated import Repeated
from bot.slack.stillness import Stillness
from bot.slack.web_api import WRONG_TOKEN, Client, is_word, open_connection, proxy_to

log = structlog.get_logger()

PING = 4.0
"""Seconds of silence after which a ping is sent; its answer has half as long to come."""

ONE_ADDRESS = 4.0
"""Seconds for one try to connect, to Slack's hello. Slower than this is no use: commands have three."""

FIRST_PAUSE, LONGEST_PAUSE = 0.5, 1.5
"""Seconds between tries to reach a Slack that is away: doubled from the one to the other."""

SLOWLY = 10.0
"""Seconds between tries where a person has to mend something."""

LINGER = 15.0
"""Seconds for which a connection is read after its successor is open, if Slack does not close it."""

LAST_ANSWERS = 3.0
"""Seconds that answers under way have when the bot stops: as long as Slack waits for them."""

TURNED_OFF = (
    "Socket Mode was turned off in the app's settings, so no command arrives;"
    " turn it on again at https://api.slack.com/apps, or use HTTP mode"
)

Socket = aiohttp.ClientWebSocketResponse


class NoConnection(Exception):
    """A try failed. word: why. after: seconds for which Slack wants to be left alone."""

    def __init__(self, word: str, after: float = 0.0) -> None:
        super().__init__(word)
        self.word = word
        self.after = after


@dataclass(slots=True)
class Receiver:
    """Keeps a connection to Slack and hands on what comes.

    handle: answers one envelope. explained: how many connections there should be, one for each instance;
    it may raise LedgerUnavailable.
    """

    handle: Callable[[SocketModeRequest], Awaitable[BoltResponse]]
    client: Client
    app_token: str
    explained: Callable[[], Awaitable[int]]
    _session: aiohttp.ClientSession = field(default_factory=aiohttp.ClientSession, init=False)
    _sockets: set[Socket] = field(default_factory=set, init=False)
    _connecting: set[asyncio.Task[None]] = field(default_factory=set, init=False)
    _answering: set[asyncio.Task[None]] = field(default_factory=set, init=False)
    _opened: float = field(default=-FIRST_PAUSE, init=False)
    _without: dict[str, Repeated] = field(default_factory=dict, init=False)
    _endings: Repeated = field(default_factory=Repeated, init=False)
    _stopping: bool = field(default=False, init=False)
    _stillness: Stillness = field(init=False)
    _stale: set[Socket] = field(default_factory=set, init=False)

    def __post_init__(self) -> None:
        self._stillness = Stillness(self._give_up)

    async def start(self) -> None:
        """Connect, however long Slack is away. Raises ConfigError where it refuses the token."""
        self._stillness.begin()
        self._follow(await self._open(first=True))

    async def stop(self) -> None:
        """Take nothing more, finish the answers under way, and close."""
        self._stopping = True
        self._stillness.stop()
        if self._answering:
            await asyncio.wait(self._answering, timeout=LAST_ANSWERS)
        for task in self._connecting:
            task.cancel()
        await asyncio.gather(*self._connecting, return_exceptions=True)
        # One whose reading was cancelled before it began is still open.
        CONNECTIONS.dec(len(self._sockets))
        await asyncio.gather(*(socket.close() for socket in self._sockets))
        await self._session.close()

    def _give_up(self) -> None:
        """What is connected holds what came while the process stood still."""
        self._stale |= self._sockets

    def _follow(self, socket: Socket) -> None:
        self._keep(self._read(socket), self._connecting)

    def _replace(self, old: Socket | None = None, *, wait: float = 0.0) -> None:
        """Have another connection; then let go of the old one, where there still is one."""
        if not self._stopping:
            self._keep(self._succeed(old, wait), self._connecting)

    async def _succeed(self, old: Socket | None, wait: float) -> None:
        await asyncio.sleep(wait)
        try:
            self._follow(await self._open())
        except Exception:  # a bug, which is told of; but the bot must not stay without a connection
            self._replace(old, wait=SLOWLY)
            raise
        if old is not None:
            await asyncio.sleep(LINGER)
            await old.close()

    async def _read(self, socket: Socket) -> None:
        """Take what comes by one connection, until it ends."""
        replaced = False
        try:
            async for frame in socket:
                self._stillness.look()
                if socket in self._stale:
                    break
                message = _read_json(frame)
                if message.get("type") == "disconnect":
                    if not replaced:
                        replaced = True
                        reason = message.get("reason")
                        self._told_to_disconnect(socket, reason if is_word(reason) else "not told")
                elif self._stopping:
                    continue
                elif request := _envelope(message):
                    self._keep(self._answer(socket, request), self._answering)
        except ConnectionError:
            pass  # it was gone when aiohttp answered a ping over it
        finally:
            self._sockets.discard(socket)
            self._stale.discard(socket)
            CONNECTIONS.dec()
            if not replaced and not self._stopping:
                if (lasting := self._endings.seen()) is not None:
                    log.warning(
                        f"the connection to Slack ended{lasting}; opening another", code=socket.close_code
                    )
                self._replace()
            await socket.close()

    def _told_to_disconnect(self, socket: Socket, reason: str) -> None:
        if reason == "link_disabled":
            self._replace(socket, wait=self._told_why(reason))
        else:
            log.info("Slack wants another connection", reason=reason)
            self._replace(socket)

    async def _open(self, *, first: bool = False) -> Socket:
        """Connect, however many tries it takes. first: raises ConfigError where the token is refused."""
        # Where Slack takes connections and ends them at once, they are not made without a pause.
        await asyncio.sleep(self._opened + FIRST_PAUSE - time.monotonic())
        pause = FIRST_PAUSE
        while True:
            try:
                async with asyncio.timeout(ONE_ADDRESS):
                    socket = await self._try()
            except NoConnection as failure:
                word, after = failure.word, failure.after
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                # Its text may hold the address, which lets anybody in.
                word, after = type(error).__name__, 0.0
            else:
                self._opened = time.monotonic()
                return socket
            if word in WRONG_TOKEN and first:
                raise ConfigError(_refused(word))
            await asyncio.sleep(max(pause, after, self._told_why(word)))
            pause = min(2 * pause, LONGEST_PAUSE)

    def _told_why(self, word: str) -> float:
        """Log why there is no connection, unless that was said just now; seconds until it is tried again."""
        mended_by_hand = ""
        if word in WRONG_TOKEN:
            mended_by_hand = f"{_refused(word)} No command arrives meanwhile."
        elif word in ("link_disabled", "socket_mode_not_enabled"):
            mended_by_hand = TURNED_OFF
        lasting = self._without.setdefault(mended_by_hand, Repeated()).seen()
        if lasting is not None and mended_by_hand:
            log.error(mended_by_hand)
        elif lasting is not None:
            log.warning(f"Slack takes no connection{lasting}; trying again", error=word)
        return SLOWLY if mended_by_hand else 0.0

    async def _try(self) -> Socket:
        socket, hello = await connect(self._session, self.client, self.app_token)
        self._sockets.add(socket)
        CONNECTIONS.inc()
        own = len(self._sockets)
        told = hello.get("num_connections")
        counted = told if isinstance(told, int) else 0
        log.info("connected to Slack", connections=counted)
        self._keep(self._compare(counted, own), self._connecting)
        return socket

    async def _compare(self, counted: int, own: int) -> None:
        """Tell of connections that Slack counts and nobody has. own: those of this process."""
        try:
            # While this process replaces its connection, the other instances may be at it as well.
            explained = await self.explained() * own
        except LedgerUnavailable:
            return  # how many instances there are is not known now; the next hello is compared again
        if counted > explained:
            log.warning(
                "Slack counts more connections than there are: either it believes in a dead one, which"
                " swallows commands, or another program uses the same SLACK_APP_TOKEN. A dead one goes by"
                " itself after a while; where they keep coming, use HTTP mode",
                connections=counted,
                explained=explained,
            )

    async def _answer(self, socket: Socket, request: SocketModeRequest) -> None:
        """Handle one envelope and answer it over the connection that it came by."""
        answer = await self.handle(request)
        if answer.status != 200:
            log.warning("an envelope was not understood", kind=request.type, status=answer.status)
            return
        message: dict[str, Any] = {"envelope_id": request.envelope_id}
        if answer.body:
            is_json = answer.first_headers().get("content-type", "").startswith("application/json")
            message["payload"] = json.loads(answer.body) if is_json else {"text": answer.body}
        try:
            await socket.send_str(json.dumps(message))
        except ConnectionError:
            log.warning(
                "the connection was gone before the answer; if Slack sends it again, it is not done twice",
                kind=request.type,
            )

    def _keep(self, work: Coroutine[Any, Any, None], tasks: set[asyncio.Task[None]]) -> None:
        """Run a task, hold it, and tell of what nobody thought of."""

        def ended(task: asyncio.Task[None]) -> None:
            tasks.discard(task)
            if not task.cancelled() and (error := task.exception()) is not None:
                log.error("unexpected", exc_info=error)

        task = asyncio.create_task(work)
        tasks.add(task)
        task.add_done_callback(ended)


def _refused(word: str) -> Problem:
    remedy = "Make one with the scope connections:write."
    return Problem("SLACK_APP_TOKEN", f"Slack refuses it ({word})", remedy)


async def connect(
    session: aiohttp.ClientSession, client: Client, app_token: str
) -> tuple[Socket, dict[str, Any]]:
    """Open one connection, and read Slack's hello.

    Raises NoConnection, aiohttp.ClientError, TimeoutError, OSError; their texts may hold the address.
    """
    address = await open_connection(client, app_token)
    if not isinstance(address, str):
        raise NoConnection(address.error, address.after or 0.0)
    async with AsyncExitStack() as unless_it_works:
        try:
            socket = await session.ws_connect(
                address,
                heartbeat=PING,
                timeout=aiohttp.ClientWSTimeout(ws_close=1.0),
                proxy=proxy_to(client, address),
                ssl=True if client.ssl is None else client.ssl,
            )
        except AssertionError:
            # That is all that aiohttp does where the connection is gone by the time it is taken up.
            raise NoConnection("gone at once") from None
        unless_it_works.push_async_callback(socket.close)
        hello = _read_json(await socket.receive())
        if hello.get("type") != "hello":
            reason = hello.get("reason")
            raise NoConnection(reason if is_word(reason) else "no hello")
        unless_it_works.pop_all()
    return socket, hello


def _read_json(frame: aiohttp.WSMessage) -> dict[str, Any]:
    """The message of a frame; empty where there is none."""
    if frame.type is not aiohttp.WSMsgType.TEXT:
        return {}
    try:
        message = json.loads(frame.data)
    except (ValueError, RecursionError):
        return {}
    return message if isinstance(message, dict) else {}


def _envelope(message: dict[str, Any]) -> SocketModeRequest | None:
    """The envelope of a message; None for what is none."""
    texts = (message.get("type"), message.get("envelope_id"))
    if not all(isinstance(text, str) for text in texts) or not isinstance(message.get("payload"), dict):
        return None
    return SocketModeRequest.from_dict(message)
