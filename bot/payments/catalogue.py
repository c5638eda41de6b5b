"""Which modules there are: what the API told last, or the documented ten. Never waited for."""

from __future__ import annotations

import asyncio

import structlog

from bot.billing.client import BillingClient
from bot.domain.payment import DOCUMENTED_MODULES
from bot.errors import BillingError

log = structlog.get_logger()

REFRESH = 3600.0
RETRY = 60.0


class Catalogue:
    """Keeps the module names, asking the API in the background."""

    def __init__(self, billing: BillingClient) -> None:
        self._billing = billing
        self.modules: tuple[str, ...] = DOCUMENTED_MODULES

    async def run(self) -> None:
        """Ask now, then every hour; a minute later where it could not be asked. Until cancelled."""
        while True:
            wait = await self._refresh()
            await asyncio.sleep(wait)

    async def _refresh(self) -> float:
        try:
            self.modules = await self._billing.modules() or DOCUMENTED_MODULES
        except BillingError as error:
            log.info("modules not told; the documented ones serve", error=str(error))
            return RETRY
        return REFRESH
