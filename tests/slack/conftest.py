"""What several tests of Slack stand on: a gateway in front of it, its log, and no long pauses."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from structlog.testing import capture_logs

from bot.sandbox.local_slack import LocalSlack
from bot.slack import connection, socket_mode
from tests.slack.gateway import Gateway, open_gateway


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tenths of a second between tries to reach Slack."""
    monkeypatch.setattr(connection, "FIRST_PAUSE_S", 0.1)
    monkeypatch.setattr(socket_mode, "FIRST_PAUSE", 0.1)


@pytest.fixture
async def gateway(slack: LocalSlack) -> AsyncIterator[Gateway]:
    async with open_gateway(slack.api_url) as opened:
        yield opened


@pytest.fixture
def logs() -> Iterator[list[Any]]:
    """What is logged during the test."""
    with capture_logs() as captured:
        yield captured
