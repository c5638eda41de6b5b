"""The app that `python -m bot manifest --http` makes: Slack verifies its URL, and everything comes there."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator

import pytest
import yaml

from bot.manifest import REQUEST_PATH, manifest
from bot.sandbox.local_billing import LocalBilling
from bot.sandbox.local_slack import LocalSlack
from tests.fixture_types import StartBot
from tests.slack.acting import at_rest, card, shown


@pytest.fixture
def port() -> int:
    """Where the bot is to listen."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        number: int = probe.getsockname()[1]
        return number


@pytest.fixture
async def slack(port: int) -> AsyncIterator[LocalSlack]:
    """With that app installed."""
    content = yaml.safe_load(manifest(f"http://127.0.0.1:{port}{REQUEST_PATH}"))
    async with LocalSlack(manifest=content) as running:
        yield running


async def test_slack_verifies_the_url_of_a_bot_that_runs(
    slack: LocalSlack, billing: LocalBilling, start_bot: StartBot, port: int
) -> None:
    """In the order of the README: the app, its secret, the bot, and only then the challenge. It works."""
    assert not await slack.challenges()
    bot = await start_bot(SLACK_APP_TOKEN="", SLACK_SIGNING_SECRET=slack.signing_secret, HTTP_PORT=str(port))
    assert await slack.challenges()
    assert (await slack.person("alice").types("#payments", "/pay vps 10101")).ok
    assert (await slack.person("alice").opens_home()).ok
    await at_rest(bot)
    assert "*Paid*" in shown(card(slack))
    assert billing.payments_received("vps", 10101) == 1


async def test_another_apps_secret_answers_no_challenge(
    slack: LocalSlack, start_bot: StartBot, port: int
) -> None:
    """A URL is verified for the app whose signing secret the bot has, and for no other."""
    await start_bot(SLACK_APP_TOKEN="", SLACK_SIGNING_SECRET="0" * 32, HTTP_PORT=str(port))
    assert not await slack.challenges()
