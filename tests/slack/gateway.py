"""A gateway in front of Slack's Web API: it passes calls on, or answers in Slack's place."""

from __future__ import annotations

import asyncio
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import aiohttp
from aiohttp import web

JSON = ("Content-Type", "application/json")


@dataclass(frozen=True, slots=True)
class Said:
    """What the gateway answers. arrives: the call reaches Slack all the same, and its answer is lost."""

    status: int
    body: bytes
    headers: tuple[tuple[str, str], ...] = ()
    arrives: bool = False


def no(word: str, status: int = 200, *, arrives: bool = False) -> Said:
    """A no in Slack's own form."""
    body = f'{{"ok": false, "error": "{word}"}}'.encode()
    return Said(status, body, (JSON,), arrives)


@dataclass(slots=True)
class Gateway:
    """url: where the API is for a bot behind it. calls: how often each method came by. asked: which pages."""

    url: str = ""
    calls: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    asked: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    refuses_metadata: bool = False
    refuses_blocks: bool = False
    _next: dict[str, deque[Said]] = field(default_factory=lambda: defaultdict(deque))
    _always: dict[str, Said] = field(default_factory=dict)
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    def says(self, method: str, answers: Iterable[Said]) -> None:
        """Answer the next calls of a method so; those after them are passed on."""
        self._next[method].extend(answers)

    def says_always(self, method: str, answer: Said) -> None:
        """Answer every call of a method so, until healed."""
        self._always[method] = answer

    async def called(self, method: str, times: int) -> None:
        """Wait until a method was called so often."""
        async with asyncio.timeout(10):
            while self.calls[method] < times:
                await self._changed.wait()
                self._changed.clear()

    def heal(self) -> None:
        """Pass everything on."""
        self._next.clear()
        self._always.clear()

    def answer_to(self, method: str) -> Said | None:
        """What is said to this call; None to pass it on."""
        self.calls[method] += 1
        self._changed.set()
        waiting = self._next[method]
        return waiting.popleft() if waiting else self._always.get(method)


@asynccontextmanager
async def open_gateway(api_url: str) -> AsyncIterator[Gateway]:
    """Stand in front of the API at this address for the block."""
    gateway = Gateway()

    async def pass_on(request: web.Request, body: bytes) -> web.Response:
        kept = {name: request.headers[name] for name in ("Authorization", "Content-Type")}
        async with (
            aiohttp.ClientSession() as session,
            session.request(
                request.method,
                api_url + request.match_info["method"],
                params=request.query,
                data=body,
                headers=kept,
            ) as answer,
        ):
            return web.Response(
                status=answer.status,
                body=await answer.read(),
                headers={
                    name: value
                    for name, value in answer.headers.items()
                    if name in ("Content-Type", "Retry-After")
                },
            )

    async def handle(request: web.Request) -> web.Response:
        gateway.asked[request.match_info["method"]].append(request.query.get("cursor", ""))
        said = gateway.answer_to(request.match_info["method"])
        body = await request.read()
        if gateway.refuses_metadata and b'"metadata"' in body:
            said = no("metadata_too_large")
        if gateway.refuses_blocks and b'"blocks"' in body:
            said = no("blocks_are_on_fire")
        if said is None:
            return await pass_on(request, body)
        if said.arrives:
            await pass_on(request, body)
        return web.Response(status=said.status, body=said.body, headers=dict(said.headers))

    application = web.Application()
    application.router.add_route("*", "/api/{method}", handle)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.5)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        gateway.url = f"http://127.0.0.1:{runner.addresses[0][1]}/api/"
        yield gateway
    finally:
        await runner.cleanup()
