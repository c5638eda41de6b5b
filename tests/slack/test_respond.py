"""Answers by response_url: to Slack alone, wherever the address that came with a body leads."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiohttp import web

from bot import app
from bot.sandbox.local_slack import LocalSlack
from bot.sandbox.local_slack import identifiers as ids
from bot.sandbox.local_slack.response_urls import ResponseUrls
from bot.slack.blocks import Message, notice, section
from bot.slack.respond import ALL_THAT_SLACK_TAKES, is_slacks, open_view, respond, update_view
from bot.slack.web_api import web_client
from tests.slack.acting import at_rest, shown, told
from tests.slack.gateway import JSON, Said, open_gateway

SLACK = "https://slack.com/api/"
GOVERNMENT = "https://slack-gov.com/api/"
LOCAL = "http://127.0.0.1:8080/api/"


@pytest.mark.parametrize(
    ("response_url", "api_url"),
    [
        ("https://hooks.slack.com/commands/T1/2/x", SLACK),
        ("https://hooks.slack-gov.com/commands/T1/2/x", GOVERNMENT),
        ("https://hooks.slack.com/actions/T1/2/x", "https://slack-proxy.example.com/api/"),
        ("http://127.0.0.1:8080/respond/commands/T1/x", LOCAL),
        ("https://slack.example.com/x", "https://Slack.example.com/api/"),
    ],
)
def test_slack_is_answered(response_url: str, api_url: str) -> None:
    """At its own place for answers, and where the operator says that another Slack is."""
    assert is_slacks(response_url, api_url)


ELSEWHERE = (
    "https://hooks.slack.com@evil.example/x",
    "https://hooks.slack.com:x@evil.example/x",
    "https://user@hooks.slack.com/x",
    "https://hooks.slack.com.evil.example/x",
    "https://hooks.slack.com\\@evil.example/x",
    "https://hooks.slack.com\\.evil.example/x",
    "https:\\\\hooks.slack.com/x",
    "https://hooks.slack.com#@evil.example/x",
    "https://hooks.slack.com?@evil.example/x",
    "https://hooks.slack.com\t@evil.example/x",
    "https://hooks.slack.com\n/x",
    " https://hooks.slack.com/x",
    "https://hooks.slack.com./x",
    "https://hooks.slack-gov.com./x",
    "https://slack-gov.com/x",
    "https://hooks.slack.com:444/x",
    "https://hooks.slack.com:443/x",
    "https://hooks.slack。com/x",
    "http://hooks.slack.com/x",
    "https://slack.com/x",
    "https://evil.example/https://hooks.slack.com/x",
    "//hooks.slack.com/x",
    "/x",
    "file:///etc/passwd",
    "https://hooks.slack.com",
    "",
    "http://127.0.0.1:80801/x",
    "http://127.0.0.1/x",
    "http://127.0.0.1:8080@evil.example/x",
    "https://127.0.0.1:8080/x",
    "http://localhost:8080/x",
)


@pytest.mark.parametrize("response_url", ELSEWHERE)
@pytest.mark.parametrize("api_url", [SLACK, GOVERNMENT, LOCAL])
def test_nobody_else_is_answered(response_url: str, api_url: str) -> None:
    """However the address is made to look like Slack's."""
    assert not is_slacks(response_url, api_url)


def test_each_slack_is_answered_where_it_is() -> None:
    """What came from the one is not answered at the other."""
    assert not is_slacks("https://hooks.slack-gov.com/commands/T1/2/x", SLACK)
    assert not is_slacks("https://hooks.slack.com/commands/T1/2/x", GOVERNMENT)


@dataclass
class Server:
    """Answers every request in the same way, and counts them."""

    url: str = ""
    asked: list[str] = field(default_factory=list)


@asynccontextmanager
async def answering(status: int, *, said: str = "", **headers: str) -> AsyncIterator[Server]:
    server = Server()

    async def answer(request: web.Request) -> web.Response:
        server.asked.append(request.path)
        return web.Response(status=status, headers=headers, text=said)

    application = web.Application()
    application.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    server.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield server
    await runner.cleanup()


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_no_redirect_is_followed(status: int) -> None:
    """Whoever Slack's address leads on to is not Slack; the answer counts as not given."""
    async with (
        answering(200) as elsewhere,
        answering(status, Location=f"{elsewhere.url}/x") as slack,
    ):
        client = web_client("xoxb-1-a", f"{slack.url}/api/")
        assert not await respond(client, f"{slack.url}/respond", Message("Hello", []))
        assert slack.asked == ["/respond"]
        assert elsewhere.asked == []


@pytest.mark.parametrize(
    ("status", "tries"), [(429, 3), (500, 3), (503, 3), (400, 1), (403, 1), (404, 1), (410, 1)]
)
async def test_what_slack_may_take_a_little_later_is_tried_again(
    status: int, tries: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It takes five answers a response_url, and what it refuses for good is not asked again."""
    monkeypatch.setattr("bot.slack.respond.RESPOND_AGAIN_S", (0.0, 0.0))
    async with answering(status) as slack:
        client = web_client("xoxb-1-a", f"{slack.url}/api/")
        assert not await respond(client, f"{slack.url}/respond", Message("Hello", []))
    assert slack.asked == ["/respond"] * tries


@pytest.mark.parametrize(
    ("said", "told", "tries"),
    [
        ("ok", True, 1),
        ('{"ok": true}', True, 1),
        ("", True, 1),
        # In other words Slack may take it.
        ('{"ok": false, "error": "invalid_blocks"}', False, 2),
        ('{"ok": "false"}', False, 1),
        ("<html>Log in to the network</html>", False, 1),
        ("[" * 70_000, False, 1),
        ("ok" * 70_000, False, 1),
    ],
    ids=lambda one: str(one)[:20],
)
async def test_only_slacks_ok_means_that_somebody_was_told(said: str, told: bool, tries: int) -> None:
    """A proxy's page comes with the same status as Slack's ok, and nobody has read what was told then."""
    async with answering(200, said=said) as slack:
        client = web_client("xoxb-1-a", f"{slack.url}/api/")
        message = Message("Hello", [section("Hello")])
        assert await respond(client, f"{slack.url}/respond", message) is told
    assert slack.asked == ["/respond"] * tries


@pytest.mark.parametrize("trouble", ["500", "429", "drop-before"])
async def test_a_preview_is_shown_although_slack_was_away_for_a_moment(
    slack: LocalSlack, bot: app.Bot, trouble: str
) -> None:
    """Whoever typed several invoices waits for it, and nothing else says what becomes of them."""
    slack.fail("response_url", trouble, times=1)
    assert (await slack.person("alice").types("#payments", "/pay vps 10101 10102")).ok
    assert "10102" in await told(slack, "alice")
    await at_rest(bot)


async def test_an_address_that_is_not_slacks_is_not_called() -> None:
    """Neither for an answer that works nor for one that does not."""
    async with answering(200) as elsewhere:
        client = web_client("xoxb-1-a", SLACK)
        assert not await respond(client, f"{elsewhere.url}/respond", Message("Hello", []))
        assert elsewhere.asked == []


async def test_a_stored_address_that_is_not_slacks_is_not_called_either(
    slack: LocalSlack, bot: app.Bot, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a command's body held is stored with the request; where no card can stand, it is used later."""
    async with answering(200) as elsewhere:
        monkeypatch.setattr(ResponseUrls, "issue", lambda *_: f"{elsewhere.url}/x")
        assert (await slack.person("alice").types("#random", "/pay vps 10101")).ok
        await at_rest(bot)
        assert elsewhere.asked == []
    (told,) = slack.direct_messages("alice")
    assert "Nothing was paid" in shown(told)


@pytest.mark.parametrize(
    "body",
    [
        '{"ok": true}',
        '{"ok": true, "view": null}',
        '{"ok": true, "view": "V1"}',
        '{"ok": true, "view": {"id": "V1"}}',
        '{"ok": true, "view": {"id": 1, "hash": "1"}}',
    ],
)
async def test_a_form_of_which_nothing_is_told_did_not_open(slack: LocalSlack, body: str) -> None:
    """Whoever answers so is hardly Slack: the person is told to try again, and nothing breaks."""
    async with open_gateway(slack.api_url) as gateway:
        client = web_client(slack.bot_token, gateway.url)
        for method in ("views.open", "views.update"):
            gateway.says_always(method, Said(200, body.encode(), (JSON,)))
        assert await open_view(client, "1.2.x", notice("x")) is None
        shown_before = {"id": "V1", "hash": "1"}
        assert await update_view(client, shown_before, notice("x"), unless_changed=False) is None


async def test_what_slack_does_not_take_is_told_as_text(slack: LocalSlack, logs: list[Any]) -> None:
    """Whoever waits for an answer hears something, and the log says that it was not all."""
    channel = slack._workspace.world.channel("#payments")
    url = slack._response_urls.issue("commands", channel, ids.ALICE)
    client = web_client(slack.bot_token, slack.api_url)
    assert await respond(client, url, Message("Much to say", [section("x" * 3_001)]))
    assert await told(slack, "alice") == f"Much to say\n{ALL_THAT_SLACK_TAKES}"
    assert [one["log_level"] for one in logs if "response_url" in one["event"]] == ["error"]
    await respond(client, url, Message("First\n" + "x" * 50_000, [section("x" * 3_001)]))
    assert slack.ephemerals("alice")[-1].text == f"First\n{ALL_THAT_SLACK_TAKES}"
