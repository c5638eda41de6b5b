"""Trouble on demand: what the network and Slack itself do to a bot on a bad day."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from aiohttp import web

MODES = ("429", "500", "drop-before", "drop-after", "drop-late", "slow", "timeout")
_SAYING = ("error:", "http:", "http-after:")
UNANSWERED = ("drop-before", "drop-after", "drop-late", "timeout")


@dataclass(slots=True)
class Fault:
    """One ordered fault. hits: how many calls it has struck so far."""

    method: str
    mode: str
    channel: str | None
    remaining: int | None
    retry_after: int | str
    seconds: float
    hits: int = 0

    def strikes(self, method: str, channels: set[str]) -> bool:
        """Whether it applies to a call, given every name of the channel that the call is about."""
        return (
            self.remaining != 0
            and self.method in ("*", method)
            and (self.channel is None or self.channel in channels)
        )


class Faults:
    """The faults in force. The newest that applies strikes."""

    def __init__(self) -> None:
        self.is_out = False
        self._ordered: list[Fault] = []
        self._healed = asyncio.Event()
        # Calls that take effect although their connection is gone.
        self._coming: set[asyncio.Task[None]] = set()

    def order(
        self,
        method: str,
        mode: str,
        times: int | None = None,
        *,
        channel: str | None = None,
        retry_after: int | str = 1,
        seconds: float = 1.0,
    ) -> Fault:
        """Let calls of `method` fail; "*" is every method, "response_url" every response_url.

        mode: "429" (with `retry_after` seconds), "500", "drop-before" and "drop-after" (the
        connection is closed before or after the call took effect), "drop-late" (it is closed, and the
        call takes effect after `seconds`), "slow" (takes effect after `seconds`), "timeout" (never
        answers and takes no effect), "error:CODE", or what a gateway says in JSON, "http:STATUS:CODE"
        and, after the call took effect, "http-after:STATUS:CODE".
        times: how many calls; None until healed. channel: only calls about it (id or #name).
        """
        if mode not in MODES and not mode.startswith(_SAYING):
            raise ValueError(f"no such fault: {mode}; there are {', '.join(MODES)} and {', '.join(_SAYING)}")
        name = channel.removeprefix("#") if channel else None
        fault = Fault(method, mode, name, times, retry_after, seconds)
        self._ordered.append(fault)
        return fault

    def stop(self) -> None:
        """Let nothing take effect any more."""
        self.heal()
        for task in self._coming:
            task.cancel()

    def strike(self, method: str, channels: set[str]) -> Fault | None:
        """The fault that this call suffers, which is then used up by one."""
        for fault in reversed(self._ordered):
            if fault.strikes(method, channels):
                fault.hits += 1
                if fault.remaining is not None:
                    fault.remaining -= 1
                return fault
        return None

    def heal(self) -> None:
        """Take every fault back and let go of the calls that never got an answer."""
        self._ordered.clear()
        self._healed.set()
        self._healed = asyncio.Event()

    async def suffer(
        self, fault: Fault, request: web.Request, act: Callable[[], Awaitable[web.Response]]
    ) -> web.Response:
        """Treat a request as the fault says; `act` is what it would have done."""
        match fault.mode:
            case "429":
                return too_many_requests(fault.retry_after)
            case "500":
                return web.Response(status=500, text="Internal Server Error")
            case "slow":
                await asyncio.sleep(fault.seconds)
                return await act()
            case "timeout":
                await self._healed.wait()
            case "drop-after":
                await act()
            case "drop-late":
                self._late(fault.seconds, act)
            case "drop-before":
                pass
            case _:
                return await _said(fault.mode, act)
        return drop(request)

    def _late(self, seconds: float, act: Callable[[], Awaitable[web.Response]]) -> None:
        async def later() -> None:
            await asyncio.sleep(seconds)
            await act()

        task = asyncio.create_task(later())
        self._coming.add(task)
        task.add_done_callback(self._coming.discard)

    @contextmanager
    def outage(self) -> Iterator[None]:
        """Everything is refused until the block ends."""
        self.is_out = True
        try:
            yield
        finally:
            self.is_out = False


async def _said(mode: str, act: Callable[[], Awaitable[web.Response]]) -> web.Response:
    """An error in JSON: of Slack, or of a gateway before it, which has a status of its own."""
    kind, _, word = mode.partition(":")
    status = "200"
    if kind != "error":
        status, _, word = word.partition(":")
    if kind == "http-after":
        await act()
    return web.json_response({"ok": False, "error": word}, status=int(status))


def too_many_requests(retry_after: int | str) -> web.Response:
    """HTTP 429; `retry_after` is in seconds, or whatever the header is to say."""
    return web.json_response(
        {"ok": False, "error": "ratelimited"},
        status=429,
        headers={"Retry-After": str(retry_after)},
    )


def drop(request: web.Request) -> web.Response:
    """Close the connection at once, with no answer."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response()
