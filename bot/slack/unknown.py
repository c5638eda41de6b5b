"""Buttons, forms and shortcuts that nothing here listens for: of a newer version, before it was set back.

Left to Bolt they are not acknowledged: who clicks sees a warning sign, and nobody says what to do.
"""

from __future__ import annotations

import re

from slack_bolt.async_app import AsyncApp

from bot.slack.delivered import NotUnderstood

_ANY = re.compile(r".*", re.DOTALL)


class Unknown:
    """Listens for all that is left."""

    def register(self, app: AsyncApp) -> None:
        """After every other: Bolt takes the first that fits."""
        app.action(_ANY)(self._not_ours)
        app.view(_ANY)(self._not_ours)
        app.shortcut(_ANY)(self._not_ours)

    async def _not_ours(self) -> None:
        raise NotUnderstood("nobody listens for it")
