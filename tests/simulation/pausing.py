"""The kill switch: who may and who may not stop all sending for a while, in Slack and on the command line."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import suppress
from datetime import datetime

from sqlalchemy.exc import SQLAlchemyError

from bot.errors import BotError
from bot.ledger.opening import open_ledger
from bot.operating.with_ledger import operator
from bot.sandbox.local_slack.errors import NotThere
from tests.simulation.installation import CHANNELS, Acts, Installation


class Pausing:
    """Uses it. faults: by their kind."""

    def __init__(self, installation: Installation, faults: Counter[str]) -> None:
        self._installation = installation
        self.faults = faults
        self.acts: Acts = {"pauses": self._pause, "resumes": self._resume}

    async def _pause(self, who: str, then: str, seconds: float, forgets: bool) -> None:
        """who, then: whoever stops it and whoever lets it go on, nobody in Slack: on the command line."""
        await self._use(who, "pause looks odd")
        await asyncio.sleep(seconds)
        if not forgets:
            await self._resume(then)

    async def _resume(self, who: str) -> None:
        await self._use(who, "resume")

    async def _use(self, who: str, words: str) -> None:
        if who:
            with suppress(NotThere):
                await self._installation.slack.person(who).types(CHANNELS[0], f"/pay {words}")
        else:
            await self._on_command_line(words)
        self.faults[words.partition(" ")[0]] += 1

    async def _on_command_line(self, words: str) -> bool:
        """What `python -m bot` does; whether the ledger took it."""
        installation = self._installation

        def clock() -> datetime:
            return installation.ledger_now(installation.processes[0].machine)

        with suppress(BotError, SQLAlchemyError):
            async with (
                open_ledger(installation.ledger_url, begin=False, clock=clock) as ledger,
                ledger.transaction() as transaction,
            ):
                if words == "resume":
                    await transaction.resume(actor=operator())
                else:
                    await transaction.pause(words.partition(" ")[2], actor=operator())
            return True
        return False

    async def go_on(self) -> None:
        """Let sending go on, as whoever runs the bot does in the end."""
        taken = await self._on_command_line("resume")
        assert taken, "nothing is wrong any more, and the ledger does not take it"
