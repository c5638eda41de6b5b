"""How the bot reaches Slack and is reached: at start, through outages, with addresses that lead nowhere."""

from __future__ import annotations

import json
from typing import Any

import pytest

from bot.errors import ConfigError
from bot.sandbox.local_slack import LocalSlack
from bot.sandbox.local_slack import identifiers as ids
from bot.sandbox.local_slack.changes import Change, ChangeKind
from tests.fixture_types import StartBot
from tests.slack.gateway import JSON, Gateway, Said, no

pytestmark = pytest.mark.usefixtures("soon")


async def test_another_address_is_asked_for_when_one_leads_nowhere(
    slack: LocalSlack, start_bot: StartBot
) -> None:
    """An address is good once and not for long: the bot does not try the same one for ever."""
    expired: list[Change] = []

    def expire(change: Change) -> None:
        if change.kind is ChangeKind.API_CALLED and change.subject == "apps.connections.open" and not expired:
            expired.append(change)
            slack.sockets.expire_addresses()

    slack.on_change(expire)
    await start_bot()
    assert slack.sockets.connections == 1
    assert (await slack.person("alice").types("#payments", "/pay help")).ok


@pytest.mark.parametrize("method", ["auth.test", "apps.connections.open"])
@pytest.mark.parametrize("mode", ["429", "500", "drop-before", "error:internal_error"])
async def test_it_starts_when_slack_is_back(
    slack: LocalSlack, start_bot: StartBot, method: str, mode: str
) -> None:
    """What Slack fails to answer at start is asked again."""
    fault = slack.fail(method, mode, 2, retry_after=0)
    await start_bot()
    assert fault.hits == 2
    assert (await slack.person("alice").types("#payments", "/pay help")).ok


AT_START: tuple[Any, ...] = (
    no("invalid_auth", 502),
    no("not_authed", 401),
    no("a_word_that_nobody_knows"),
    no("internal_server_error"),
    Said(200, b"<html>Log in</html>", (("Content-Type", "text/html"),)),
    Said(200, b'{"ok": tr', (JSON,)),
    Said(200, b'{"ok": true}', (JSON,)),
    Said(200, b'{"ok": true, "url": 17}', (JSON,)),
    Said(200, b"[]", (JSON,)),
    Said(307, b"", (("Location", "/elsewhere"),)),
)


@pytest.mark.parametrize("method", ["auth.test", "apps.connections.open"])
@pytest.mark.parametrize("answer", AT_START)
async def test_it_starts_whatever_is_answered_first(
    slack: LocalSlack, gateway: Gateway, start_bot: StartBot, method: str, answer: Said
) -> None:
    """What a gateway says about a token is no word of Slack's, and a word that nobody knows is no refusal."""
    gateway.says(method, [answer, answer])
    await start_bot(SLACK_API_URL=gateway.url)
    assert gateway.calls[method] == 3
    assert (await slack.person("alice").types("#payments", "/pay help")).ok


async def test_the_token_of_a_whole_organization_is_refused_at_start(
    gateway: Gateway, start_bot: StartBot
) -> None:
    """With it nobody would be of the team; it is said before anybody is refused."""
    told = {
        "ok": True,
        "url": "https://acme.enterprise.slack.com/",
        "team_id": ids.ORGANIZATION_ID,
        "enterprise_id": ids.ORGANIZATION_ID,
        "user_id": ids.BOT_USER_ID,
        "user": "invoice-pay",
        "bot_id": ids.BOT_ID,
        "is_enterprise_install": True,
    }
    gateway.says_always("auth.test", Said(200, json.dumps(told).encode(), (JSON,)))
    with pytest.raises(ConfigError, match="installed for a whole organization"):
        await start_bot(SLACK_API_URL=gateway.url)


async def test_it_comes_back_after_an_outage(slack: LocalSlack, start_bot: StartBot) -> None:
    """Commands are taken again once Slack is reachable."""
    await start_bot()
    async with slack.outage():
        assert (await slack.person("alice").types("#payments", "/pay help")).error == "dispatch_failed"
    await slack.wait_for(lambda: slack.sockets.connections)
    assert (await slack.person("alice").types("#payments", "/pay help")).ok
