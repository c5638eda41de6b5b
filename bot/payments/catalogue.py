"""Which modules there are: what the API told last, or the documented ten. Never waited for."""

from __future__ import annotations

import asyncio

import structlog

from bot.domain.payment import DOCUMENTED_MODULES
from bot.domain.policy import Policy, Stray
from bot.errors import BillingError
from bot.payments.billing_api import BillingApi

log = structlog.get_logger()

REFRESH_S = 3600.0
"""Seconds after which the API is asked again."""

RETRY_S = 60.0
"""The same, where it could not be asked."""


class Catalogue:
    """Keeps the module names, asking the API in the background."""

    def __init__(self, billing: BillingApi, policy: Policy) -> None:
        self._billing = billing
        self._policy = policy
        self._strays: list[Stray] = []
        self.modules: tuple[str, ...] = DOCUMENTED_MODULES

    async def run(self) -> None:
        """Ask now, and again and again. Until cancelled."""
        while True:
            wait_s = await self.refresh()
            await asyncio.sleep(wait_s)

    async def refresh(self) -> float:
        """Ask the API; return the seconds after which to ask again."""
        try:
            self.modules = await self._billing.modules()
        except BillingError as error:
            log.info("modules not told; those known before serve", error=str(error))
            return RETRY_S
        before, self._strays = self._strays, self._policy.strays(self.modules)
        for stray in self._strays:
            if stray not in before:
                log.warning(
                    "a rule names a module that nobody knows; what is meant falls to the rules below it",
                    rule=stray.rule.name,
                    module=stray.module,
                    near=stray.near,
                )
        return REFRESH_S
