"""What the tests of the local Slack share."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from bot.sandbox.local_slack import LocalSlack


@pytest.fixture
async def slack() -> AsyncIterator[LocalSlack]:
    """One as it comes."""
    async with LocalSlack() as running:
        yield running
