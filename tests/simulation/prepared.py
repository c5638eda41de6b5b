"""What comes out the same whenever the bot starts is made once: in a history it starts every few steps.

Each of these depends on nothing but what it is given. What has to be fetched for it is fetched every time. So
a program can see no difference but in the time that it takes, which is not measured here.
"""

from __future__ import annotations

import asyncio
import functools
import io
from types import SimpleNamespace
from typing import Any

import sqlalchemy.util
import zeep
import zeep.wsdl
from slack_bolt.listener import asyncio_runner

from bot.billing import calls, transport
from bot.billing.markup import vet
from bot.billing.wsdl import called_only
from tests.statements import share_statements

_DOCUMENTS = 16
"""How many are remembered: all histories have one WSDL."""


def install() -> None:
    """From now on this process makes each of them once, and for good."""
    share_statements()
    for module, name, made in (
        (transport, "vet", functools.lru_cache(_DOCUMENTS)(vet)),
        (transport, "called_only", functools.lru_cache(_DOCUMENTS)(called_only)),
        (calls, "zeep", SimpleNamespace(Client=_client_of(), Settings=zeep.Settings)),
        (sqlalchemy.util, "get_cls_kwargs", functools.cache(sqlalchemy.util.get_cls_kwargs)),
        (asyncio_runner, "asyncio", _Patient()),
    ):
        setattr(module, name, made)


class _Patient:
    """asyncio for Bolt, which looks every 10 ms whether a listener has acknowledged."""

    def __getattr__(self, name: str) -> Any:
        return getattr(asyncio, name)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(5 * seconds)


def _client_of() -> Any:
    documents: dict[tuple[str, bytes], zeep.wsdl.Document] = {}

    def client(address: str, *, transport: Any, settings: Any) -> zeep.Client:
        content = transport.load(address)
        if (address, content) not in documents:
            documents[address, content] = zeep.wsdl.Document(
                io.BytesIO(content), transport, base=address, settings=settings
            )
        return zeep.Client(  # type: ignore[no-untyped-call]
            documents[address, content], transport=transport, settings=settings
        )

    return client
