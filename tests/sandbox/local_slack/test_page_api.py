"""The browser page's JSON API: each person sees their own, and no other site gets in."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from slack_bolt.adapter.socket_mode.aiohttp import AsyncSocketModeHandler
from slack_bolt.async_app import AsyncApp
from slack_sdk.web.async_client import AsyncWebClient

from bot.sandbox.local_slack import LocalSlack
from bot.sandbox.local_slack import identifiers as ids
from bot.sandbox.local_slack.app_manifest import DEFAULT_MANIFEST

Json = dict[str, Any]
BUTTON = {"type": "button", "text": {"type": "plain_text", "text": "x"}, "action_id": "approve"}
CARD = [{"type": "actions", "block_id": "card", "elements": [BUTTON | {"value": "42"}]}]
FORM = {
    "type": "modal",
    "title": {"type": "plain_text", "text": "Form"},
    "submit": {"type": "plain_text", "text": "Go"},
    "blocks": [
        {
            "type": "input",
            "block_id": "reason",
            "label": {"type": "plain_text", "text": "Reason"},
            "element": {"type": "plain_text_input", "action_id": "text"},
        }
    ],
}
SHORTCUT = {"name": "Pay", "type": "global", "callback_id": "pay", "description": "Pay one"}
MANIFEST = DEFAULT_MANIFEST | {"features": DEFAULT_MANIFEST["features"] | {"shortcuts": [SHORTCUT]}}


class Bot:
    """A Bolt app that shows a card, a modal and a Home tab."""

    def __init__(self, slack: LocalSlack) -> None:
        self.actions: list[Json] = []
        self.web = AsyncWebClient(token=slack.bot_token, base_url=slack.api_url)
        app = AsyncApp(client=self.web)

        @app.command("/pay")
        async def pay(ack: Any, body: Json) -> None:
            await ack()
            await self.web.chat_postMessage(channel=body["channel_id"], text="card", blocks=CARD)

        @app.action("approve")
        async def approve(ack: Any, body: Json) -> None:
            await ack()
            self.actions.append(body)

        @app.shortcut("pay")
        async def shortcut(ack: Any, body: Json) -> None:
            await ack()
            await self.web.views_open(trigger_id=body["trigger_id"], view=FORM)

        @app.view("")
        async def submitted(ack: Any) -> None:
            await ack(response_action="errors", errors={"reason": "no"})

        @app.event("app_home_opened")
        async def home(event: Json) -> None:
            await self.web.views_publish(user_id=event["user"], view={"type": "home", "blocks": CARD})

        self.handler = AsyncSocketModeHandler(app, slack.app_token)


class Browser:
    """The page, as far as its requests go."""

    def __init__(self, slack: LocalSlack, session: aiohttp.ClientSession, person: str) -> None:
        self._slack = slack
        self._session = session
        self._person = person

    async def state(self) -> Json:
        url = f"{self._slack.address}/sandbox/state"
        async with self._session.get(url, params={"person": self._person}) as response:
            state: Json = await response.json()
            return state

    async def post(self, verb: str, **body: Any) -> Json:
        url = f"{self._slack.address}/sandbox/{verb}"
        body = {"person": self._person, **body}
        async with self._session.post(url, json=body) as response:
            answer: Json = await response.json()
            return answer

    async def channel(self, name: str) -> Json:
        channels = (await self.state())["channels"]
        found: Json = next(each for each in channels if each["name"] == name)
        return found


@pytest.fixture
async def slack() -> AsyncIterator[LocalSlack]:
    async with LocalSlack(manifest=MANIFEST) as running:
        yield running


@pytest.fixture
async def bot(slack: LocalSlack) -> AsyncIterator[Bot]:
    bot = Bot(slack)
    await bot.handler.connect_async()  # type: ignore[no-untyped-call]
    yield bot
    await bot.handler.close_async()  # type: ignore[no-untyped-call]


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as open_session:
        yield open_session


@pytest.fixture
def alice(slack: LocalSlack, session: aiohttp.ClientSession) -> Browser:
    return Browser(slack, session, ids.ALICE)


@pytest.fixture
def bob(slack: LocalSlack, session: aiohttp.ClientSession) -> Browser:
    return Browser(slack, session, ids.BOB)


async def test_the_state_is_one_persons(slack: LocalSlack, alice: Browser) -> None:
    """Team, people, channels of this person, commands and shortcuts."""
    state = await alice.state()
    assert state["team"] == {"id": ids.TEAM_ID, "name": "Acme"}
    assert state["person"]["name"] == "alice"
    people = {person["name"]: person for person in state["people"]}
    assert set(people) == {"alice", "bob", "carol", "mallory", "gil", "xena"}
    assert people["gil"]["guest"]
    assert people["xena"]["external"]
    kinds = {channel["name"]: channel["kind"] for channel in state["channels"]}
    assert kinds == {
        "payments": "public",
        "random": "public",
        "finance-private": "private",
        "shared-with-partner": "shared",
        "dm-alice": "im",
    }
    assert state["commands"] == [
        {"command": "/pay", "usage_hint": "<module> <invoice>, or help", "description": "Pay an invoice"}
    ]
    assert state["shortcuts"] == [{"callback_id": "pay", "name": "Pay", "description": "Pay one"}]
    assert (state["app_name"], state["views"], state["home"]) == ("Invoice Pay", [], None)


async def test_names_are_known_to_those_whom_slack_tells_them(
    slack: LocalSlack, session: aiohttp.ClientSession, alice: Browser, bob: Browser
) -> None:
    """Public channels to every full member, the others to their members only; groups with who is in them."""
    gil = Browser(slack, session, ids.GIL)
    known = [{channel["name"] for channel in (await each.state())["known_channels"]} for each in (alice, gil)]
    assert {"approvals", "finance-private", "dm-alice"} <= known[0]
    assert "dm-bob" not in known[0]
    assert known[1] == {"payments", "dm-gil"}
    finance = {"id": ids.FINANCE_GROUP, "handle": "finance"}
    assert (await alice.state())["groups"] == [finance | {"mine": False}]
    assert (await bob.state())["groups"] == [finance | {"mine": True}]


async def test_without_a_person_it_is_the_first(slack: LocalSlack, session: aiohttp.ClientSession) -> None:
    """The page's first visit; somebody unknown is 404."""
    async with session.get(f"{slack.address}/sandbox/state") as response:
        assert (await response.json())["person"]["name"] == "alice"
    async with session.get(f"{slack.address}/sandbox/state?person=U0NOBODY01") as response:
        assert response.status == 404


async def test_messages_threads_and_ephemerals(slack: LocalSlack, alice: Browser, bob: Browser) -> None:
    """Replies are under their root; what is only for Alice, Bob does not see."""
    assert (await alice.post("say", channel=ids.PAYMENTS, text="a <b> & c"))["ok"]
    (root,) = slack.messages("#payments")
    reply = {"channel": ids.PAYMENTS, "text": "reply", "thread_ts": root.ts}
    assert (await bob.post("say", **reply))["ok"]
    await alice.post("say", channel=ids.PAYMENTS, text="/nope")
    seen, note = (await alice.channel("payments"))["messages"]
    assert (seen["text"], seen["user"], seen["username"]) == (
        "a &lt;b&gt; &amp; c",
        ids.ALICE,
        "Alice Ahrens",
    )
    assert (seen["is_bot"], seen["edited"], seen["ephemeral"]) == (False, False, False)
    assert seen["time"] == float(seen["ts"])
    assert (seen["reply_count"], seen["thread_ts"]) == (1, None)
    assert (seen["replies"][0]["text"], seen["replies"][0]["thread_ts"]) == ("reply", root.ts)
    assert (note["ephemeral"], note["username"]) == (True, "Slackbot")
    assert len((await bob.channel("payments"))["messages"]) == 1


async def test_a_command_and_a_button(slack: LocalSlack, bot: Bot, alice: Browser) -> None:
    """Text with a slash is a command; the button's own value is what is sent."""
    assert await alice.post("say", channel=ids.PAYMENTS, text="/pay vps 1") == {"ok": True}
    await slack.wait_for(lambda: slack.messages("#payments"))
    (card,) = (await alice.channel("payments"))["messages"]
    assert card["is_bot"]
    press: Json = {
        "channel": ids.PAYMENTS,
        "message_ts": card["ts"],
        "block_id": "card",
        "action_id": "approve",
        "element": {"type": "button", "value": "forged"},
        "values": {},
    }
    assert await alice.post("action", **press) == {"ok": True}
    assert bot.actions[0]["actions"][0]["value"] == "42"
    assert bot.actions[0]["user"]["id"] == ids.ALICE
    gone = await alice.post("action", **(press | {"action_id": "deny"}))
    assert gone == {"ok": False, "error": "this is not there any more"}


async def test_a_command_that_fails_says_why(slack: LocalSlack, alice: Browser) -> None:
    """The answer has the code, and Slackbot tells the person."""
    answer = await alice.post("say", channel=ids.PAYMENTS, text="/pay vps 1")
    assert answer == {"ok": False, "error": "dispatch_failed"}
    assert slack.ephemerals("alice")[0].user == ids.SLACKBOT_ID


async def test_inviting_works_from_the_page(slack: LocalSlack, alice: Browser) -> None:
    """/invite is Slack's own command."""
    assert not (await alice.channel("random"))["bot_is_member"]
    assert (await alice.post("say", channel=ids.RANDOM, text="/invite @invoice-pay"))["ok"]
    assert (await alice.channel("random"))["bot_is_member"]


async def test_a_modal_from_a_shortcut(slack: LocalSlack, bot: Bot, alice: Browser) -> None:
    """Opened, refused by the client, refused by the app, closed."""
    assert (await alice.post("shortcut", callback_id="pay"))["ok"]
    await slack.wait_for(lambda: slack.views("alice"))
    (view,) = (await alice.state())["views"]
    assert (view["type"], view["title"], view["submit"], view["close"]) == (
        "modal",
        "Form",
        "Go",
        None,
    )
    assert view["hash"]
    empty = await alice.post("submit", view_id=view["id"], values={})
    assert list(empty["errors"]) == ["reason"]
    values = {"reason": {"text": {"type": "plain_text_input", "value": "x"}}}
    refused = await alice.post("submit", view_id=view["id"], values=values)
    assert refused == {"ok": False, "errors": {"reason": "no"}}
    assert (await alice.state())["views"][0]["errors"] == {"reason": "no"}
    assert (await alice.post("close", view_id=view["id"]))["ok"]
    assert (await alice.state())["views"] == []


async def test_nobody_acts_on_anothers_modal(
    slack: LocalSlack, bot: Bot, alice: Browser, bob: Browser
) -> None:
    """A view belongs to one person."""
    await alice.post("shortcut", callback_id="pay")
    (view,) = await slack.wait_for(lambda: slack.views("alice"))
    assert not (await bob.post("close", view_id=view.id))["ok"]
    assert slack.views("alice")


async def test_the_home_tab_and_its_buttons(slack: LocalSlack, bot: Bot, bob: Browser) -> None:
    """Opening it lets the app publish; its buttons work."""
    assert (await bob.post("home"))["ok"]
    await slack.wait_for(lambda: slack.home("bob"))
    view = (await bob.state())["home"]
    assert view["type"] == "home"
    press = {"view_id": view["id"], "block_id": "card", "action_id": "approve"}
    assert (await bob.post("action", **press, element={"type": "button"}))["ok"]
    assert bot.actions[0]["container"]["type"] == "view"


async def test_the_live_socket_tells_that_something_changed(
    slack: LocalSlack, session: aiohttp.ClientSession
) -> None:
    """Many changes at once are one message, and calls that show nothing are none."""
    url = f"{slack.address}/sandbox/live?person={ids.ALICE}"
    async with session.ws_connect(url) as socket:
        web = AsyncWebClient(token=slack.bot_token, base_url=slack.api_url)
        await web.auth_test()
        for _ in range(10):
            await slack.person("bob").says("#payments", "hello")
        assert await socket.receive_json(timeout=2) == {"type": "changed"}
        with pytest.raises(TimeoutError):
            await socket.receive(timeout=0.15)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/"),
        ("GET", "/sandbox/state"),
        ("GET", "/sandbox/live"),
        ("POST", "/sandbox/say"),
    ],
)
@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example"},
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},
    ],
    ids=str,
)
async def test_other_sites_are_refused(
    slack: LocalSlack,
    session: aiohttp.ClientSession,
    method: str,
    path: str,
    headers: dict[str, str],
) -> None:
    """A wrong Host (DNS rebinding) or Origin is 403, for reading, acting and listening."""
    request = session.request(method, slack.address + path, headers=headers, json={})
    async with request as response:
        assert response.status == 403


async def test_the_page_itself_may_say_its_origin(slack: LocalSlack, session: aiohttp.ClientSession) -> None:
    """Its own address, as 127.0.0.1 or localhost, is let in."""
    port = slack.address.rpartition(":")[2]
    for host in (f"127.0.0.1:{port}", f"localhost:{port}"):
        headers = {"Host": host, "Origin": f"http://{host}"}
        async with session.get(slack.address + "/sandbox/state", headers=headers) as response:
            assert response.status == 200


async def test_only_json_is_taken(slack: LocalSlack, session: aiohttp.ClientSession) -> None:
    """A form, or JSON in disguise, which other sites could send unasked, is 415; nonsense is 400."""
    url = slack.address + "/sandbox/say"
    async with session.post(url, data='{"person": "x"}') as response:
        assert response.status == 415
    for nonsense in ("{", "[]", "{}"):
        header = {"Content-Type": "application/json"}
        async with session.post(url, data=nonsense, headers=header) as response:
            assert response.status == 400


async def test_the_pages_files_are_served_and_nothing_else(
    slack: LocalSlack, session: aiohttp.ClientSession
) -> None:
    """index.html at the root, files under /page, and no way out of that folder."""
    async with session.get(slack.page_url) as response:
        assert response.content_type == "text/html"
        assert response.headers["X-Frame-Options"] == "DENY"
    async with session.get(slack.page_url + "page/app.js") as response:
        assert "javascript" in response.content_type
    for missing in ("page/none.js", "page/..%2f__init__.py", "page/%2e%2e%2fserver.py"):
        async with session.get(slack.page_url + missing) as response:
            assert response.status == 404
