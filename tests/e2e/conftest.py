"""The sandbox as people use it: a local Slack, a local billing API, the bot under a policy, and a browser.

All of it lives on the session's loop, as the one browser does.
"""

from __future__ import annotations

import shutil
import socket
from collections.abc import AsyncIterator, Awaitable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import pytest
import pytest_asyncio
from playwright.async_api import Browser

from bot import app, config
from bot.sandbox.local_billing import LocalBilling
from bot.sandbox.local_slack import LocalSlack
from bot.slack.pace import Pace
from tests.browser import Windows
from tests.e2e.listening import Listening
from tests.fixture_types import StartBot


@dataclass(frozen=True, slots=True)
class Office:
    """Acme's workspace with the bot in it, and windows for whoever looks at it."""

    slack: LocalSlack
    billing: LocalBilling
    windows: Windows


class OpenOffice(Protocol):
    """Starts everything; at the end it is stopped, and no page may have complained."""

    def __call__(self, policy: str) -> Awaitable[Office]:
        """policy: the rules, as in the file."""


@pytest_asyncio.fixture(loop_scope="session")
async def open_office(
    browser: Browser, migrated_sqlite: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[OpenOffice]:
    monkeypatch.setattr("bot.slack.home.APART", 0.02)
    monkeypatch.setattr("bot.slack.home._EACH", 0.0)
    async with AsyncExitStack() as stack:

        async def start(policy: str) -> Office:
            slack, billing = LocalSlack(), LocalBilling()
            await stack.enter_async_context(slack)
            await billing.start()
            stack.push_async_callback(billing.stop)
            running = app.running(
                _settings(slack, billing, policy, Path(shutil.copy(migrated_sqlite, tmp_path))),
                pace=Pace(posts=1000, updates=1000, burst=1000),
            )
            await stack.enter_async_context(running)
            windows = Windows(browser, slack)
            stack.push_async_callback(_close, windows)
            return Office(slack, billing, windows)

        yield start


@pytest.fixture
async def listening(slack: LocalSlack, start_bot: StartBot) -> Listening:
    """A bot in HTTP mode."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    bot = await start_bot(SLACK_APP_TOKEN="", SLACK_SIGNING_SECRET=slack.signing_secret, HTTP_PORT=str(port))
    url = f"http://127.0.0.1:{port}/slack/events"
    slack.deliver_to(url)
    return Listening(bot, url, port)


def _settings(slack: LocalSlack, billing: LocalBilling, policy: str, ledger: Path) -> config.Settings:
    file = ledger.with_name("policy.toml")
    file.write_text(policy, encoding="utf-8")
    return config.load(
        ledger.with_name("no.env"),
        {
            "SLACK_BOT_TOKEN": slack.bot_token,
            "SLACK_APP_TOKEN": slack.app_token,
            "SLACK_API_URL": slack.api_url,
            "BILLING_WSDL_URL": billing.wsdl_url,
            "BILLING_USERNAME": billing.username,
            "BILLING_PASSWORD": billing.password,
            "LEDGER_URL": f"sqlite:///{ledger}",
            "PAY_POLICY_FILE": str(file),
        },
    )


async def _close(windows: Windows) -> None:
    await windows.close()
    assert windows.complaints == []
