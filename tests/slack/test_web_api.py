"""Calls of the Web API: every way to fail says whether it may have arrived, and whether to try again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from aiohttp import web

from bot.sandbox.local_slack import LocalSlack
from bot.sandbox.local_slack import identifiers as ids
from bot.slack import web_api
from bot.slack.web_api import (
    NOT_SLACKS,
    Answer,
    Client,
    Later,
    Posted,
    Rejected,
    post_message,
    proxy_to,
    query,
    web_client,
)


@pytest.fixture
def client(slack: LocalSlack) -> Client:
    return web_client(slack.bot_token, slack.api_url)


async def post(client: Client, channel: str = ids.PAYMENTS) -> Answer:
    return await post_message(client, "chat.postMessage", channel=channel, text="hello")


class TestSlack:
    """What the local Slack answers, and what it means."""

    async def test_a_post_gives_its_ts(self, slack: LocalSlack, client: Client) -> None:
        """What Slack has is told by its ts."""
        answer = await post(client)
        (message,) = slack.messages("#payments")
        assert answer == Posted(message.ts)

    @pytest.mark.parametrize(("mode", "there"), [("drop-before", 0), ("drop-after", 1), ("500", 0)])
    async def test_a_broken_post_may_have_arrived(
        self, slack: LocalSlack, client: Client, mode: str, there: int
    ) -> None:
        """It is made once, and never called failed: the message may stand there or not."""
        slack.fail("chat.postMessage", mode)
        answer = await post(client)
        assert isinstance(answer, Later)
        assert answer.ambiguous
        assert len(slack.messages("#payments")) == there
        assert len([each for each in slack.calls if each.method == "chat.postMessage"]) == 1

    @pytest.mark.parametrize(
        ("url", "through"),
        [
            ("https://slack.com/api/", True),
            ("wss://wss-primary.slack.com/link", False),
            ("https://hooks.slack.com/commands/1", False),
            ("http://127.0.0.1:1/api/", False),
        ],
    )
    def test_what_no_proxy_leads_to_is_gone_to_directly(
        self, url: str, through: bool, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """NO_PROXY counts for Slack as it does for the billing API, for each of its names."""
        monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example.com:3128")
        monkeypatch.delenv("no_proxy", raising=False)  # it would count in its place
        monkeypatch.setenv("NO_PROXY", "127.0.0.1,.primary.slack.com,hooks.slack.com,wss-primary.slack.com")
        made = web_client("xoxb-1", "https://slack.com/api/")
        assert proxy_to(made, url) == ("http://proxy.example.com:3128" if through else None)

    async def test_a_post_without_an_answer_may_have_arrived(
        self, slack: LocalSlack, client: Client, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The time-out ends the wait, not the doubt."""
        monkeypatch.setattr(client, "timeout", 0.2)
        slack.fail("chat.postMessage", "timeout")
        answer = await post(client)
        assert answer == Later("TimeoutError", None, ambiguous=True)

    async def test_too_many_requests_did_not_arrive(self, slack: LocalSlack, client: Client) -> None:
        """Slack says how long to wait."""
        slack.fail("chat.postMessage", "429", retry_after=7)
        assert await post(client) == Later("ratelimited", 7.0, ambiguous=False)
        assert slack.messages("#payments") == []

    async def test_where_there_is_no_connection_nothing_arrived(self) -> None:
        """Refused before anything was sent: no doubt."""
        answer = await post(web_client("xoxb-1-a", "http://127.0.0.1:1/api"))
        assert isinstance(answer, Later)
        assert not answer.ambiguous

    @pytest.mark.parametrize(
        "word",
        [
            "channel_not_found",
            "invalid_blocks",
            "is_archived",
            "msg_too_long",
            "not_in_channel",
            "restricted_action_read_only_channel",
            "restricted_action_thread_locked",
            "thread_not_found",
        ],
    )
    async def test_what_waiting_does_not_mend_is_rejected(
        self, slack: LocalSlack, client: Client, word: str
    ) -> None:
        """Slack's own word for it is kept."""
        slack.fail("chat.postMessage", f"error:{word}")
        assert await post(client) == Rejected(word)

    @pytest.mark.parametrize(
        "word",
        [
            "account_inactive",
            "invalid_auth",
            "message_limit_exceeded",
            "missing_scope",
            "not_authed",
            "org_login_required",
            "ratelimited",
            "team_access_not_granted",
            "team_added_to_org",
            "token_expired",
            "token_revoked",
        ],
    )
    async def test_what_an_operator_or_time_mends_is_tried_again(
        self, slack: LocalSlack, client: Client, word: str
    ) -> None:
        """Nothing was posted, and it will be when the token, the scope or the team is right again."""
        slack.fail("chat.postMessage", f"error:{word}")
        assert await post(client) == Later(word, None, ambiguous=False)

    @pytest.mark.parametrize(
        "word",
        [
            "fatal_error",
            "internal_error",
            "internal_server_error",
            "request_timeout",
            "service_unavailable",
            "temporarily_unavailable",
            "a_word_that_nobody_knows",
            "message_not_found",
        ],
    )
    async def test_a_word_that_is_not_known_to_be_final_may_mean_that_it_arrived(
        self, slack: LocalSlack, client: Client, word: str
    ) -> None:
        """Slack's own trouble, another method's word, one that nobody has seen: later, and looked for."""
        slack.fail("chat.postMessage", f"error:{word}")
        assert await post(client) == Later(word, None, ambiguous=True)

    @pytest.mark.parametrize(
        "word", ["", "Invalid token xoxb-1-a", "xoxb-1-a", "not in channel", "no\n", "é", "a" * 81, "123456"]
    )
    async def test_what_is_no_word_of_slacks_goes_no_further(
        self, slack: LocalSlack, client: Client, word: str
    ) -> None:
        """A gateway may write there what it was sent, and the word is logged, kept and told."""
        slack.fail("chat.postMessage", f"error:{word}")
        assert await post(client) == NOT_SLACKS

    async def test_a_word_is_final_for_its_method_alone(self, slack: LocalSlack, client: Client) -> None:
        """A card in an archived channel still has buttons that must go, so its update waits."""
        given = {"channel": ids.PAYMENTS, "ts": "1700000000.000001", "text": "hello"}
        for word, expected in (
            ("is_archived", Later("is_archived", None, ambiguous=True)),
            ("channel_not_found", Later("channel_not_found", None, ambiguous=True)),
            ("message_not_found", Rejected("message_not_found")),
        ):
            slack.fail("chat.update", f"error:{word}", 1)
            assert await post_message(client, "chat.update", **given) == expected

    async def test_a_reading_takes_its_arguments_as_a_form(self, slack: LocalSlack, client: Client) -> None:
        """Slack ignores JSON bodies there."""
        await post(client)
        answer = await query(client, "conversations.history", channel=ids.PAYMENTS, include_all_metadata=True)
        assert isinstance(answer, dict)
        assert len(answer["messages"]) == 1

    @pytest.mark.parametrize("word", ["missing_scope", "no_permission", "access_denied"])
    async def test_a_history_that_the_app_may_not_read_is_rejected(
        self, slack: LocalSlack, client: Client, word: str
    ) -> None:
        """It is optional: without it the bot goes on, and does not wait for it."""
        slack.fail("conversations.history", f"error:{word}")
        assert await query(client, "conversations.history", channel=ids.PAYMENTS) == Rejected(word)


OpenServer = Callable[[web.Response], Awaitable[Client]]


@pytest.fixture
async def answering() -> AsyncIterator[OpenServer]:
    """Starts a server that gives one answer to everything."""
    runners: list[web.AppRunner] = []

    async def start(response: web.Response) -> Client:
        async def answer(_request: web.Request) -> web.Response:
            # aiohttp sends a response object only once.
            return web.Response(status=response.status, body=response.body, headers=response.headers)

        application = web.Application()
        application.router.add_route("*", "/{path:.*}", answer)
        runner = web.AppRunner(application, access_log=None)
        runners.append(runner)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        return web_client("xoxb-1-a", f"http://127.0.0.1:{runner.addresses[0][1]}/api/")

    yield start
    for runner in runners:
        await runner.cleanup()


def as_json(text: str, status: int = 200, charset: str = "utf-8") -> web.Response:
    return web.Response(
        body=text.encode("utf-8", "surrogateescape"),
        status=status,
        headers={"Content-Type": f"application/json; charset={charset}"},
    )


NO = '{"ok": false, "error": "channel_not_found"}'


ODD = {
    "a page of a proxy": web.Response(text="<html>Log in</html>", content_type="text/html"),
    "plain text": web.Response(text="OK"),
    "no JSON": as_json('{"ok": tr'),
    "a list": as_json("[]"),
    "a null": as_json("null"),
    "a number too long to read": as_json("9" * 5000),
    "JSON too deep to read": as_json("[" * 100_000),
    "bytes that are no text": as_json('{"ok": "\udcff"}'),
    "a charset that nobody knows": as_json("hello", charset="klingon"),
    "what calls itself an archive": web.Response(body=b"\x1f\x8b", content_type="application/gzip"),
    "compressed, and is not": web.Response(body=b"hello", headers={"Content-Encoding": "gzip"}),
    "neither yes nor no": as_json('{"error": "channel_not_found"}'),
    "a no that is no boolean": as_json('{"ok": "false", "error": "channel_not_found"}'),
    "a word that is no text": as_json('{"ok": false, "error": {"code": "channel_not_found"}}'),
    "a no without a word": as_json('{"ok": false}'),
    "ok without a ts": as_json('{"ok": true}'),
    "ok with a ts that is no text": as_json('{"ok": true, "ts": 17}'),
    "nothing": web.Response(),
    "bad gateway": web.Response(status=502, text="<html>Bad gateway</html>", content_type="text/html"),
    "bad gateway, in JSON": as_json('{"ok": false, "error": "bad_gateway"}', 502),
    "a final word with status 503": as_json(NO, 503),
    "a final word with status 500": as_json(NO, 500),
    "a final word with status 403": as_json(NO, 403),
    "a yes with status 500": as_json('{"ok": true, "ts": "1700000000.000001"}', 500),
    "no JSON with status 500": as_json('{"ok": tr', 500),
    "unavailable": web.Response(status=503, text="upstream"),
    "a redirect": web.Response(status=302, headers={"Location": "/elsewhere"}),
}


class TestNoSlack:
    """What no Slack would say: a gateway, a stranger, an answer without end."""

    @pytest.mark.parametrize("name", ODD)
    async def test_an_odd_answer_may_mean_that_it_arrived(self, answering: OpenServer, name: str) -> None:
        """A proxy, a page to log in, half an answer: tried again, and looked for first."""
        client = await answering(ODD[name])
        async with asyncio.timeout(5):
            answer = await post(client)
        assert isinstance(answer, Later)
        assert answer.ambiguous

    @pytest.mark.parametrize("name", [name for name in ODD if not name.startswith("ok with")])
    async def test_an_odd_answer_to_a_reading_is_tried_again(self, answering: OpenServer, name: str) -> None:
        """Whatever it is, it is no exception."""
        client = await answering(ODD[name])
        answer = await query(client, "auth.test")
        assert isinstance(answer, Later)

    @pytest.mark.parametrize(
        ("value", "seconds"),
        [
            ("3", 3.0),
            ("0", 0.1),
            ("99999", 600.0),
            ("1" + "0" * 400, None),
            ("soon", None),
            ("", None),
            ("nan", None),
            ("inf", None),
            ("-inf", None),
            ("-5", None),
            ("Wed, 21 Oct 2026 07:28:00 GMT", None),
        ],
    )
    @pytest.mark.parametrize("status", [429, 503])
    async def test_retry_after_is_taken_within_reason(
        self, answering: OpenServer, status: int, value: str, seconds: float | None
    ) -> None:
        """A strange value neither hammers Slack nor stops the bot for a day: it is as if none was given."""
        response = web.Response(status=status, text="", headers={"Retry-After": value})
        answer = await post(await answering(response))
        assert isinstance(answer, Later)
        assert (answer.after, answer.ambiguous) == (seconds, status != 429)

    async def test_too_many_requests_did_not_arrive_whatever_the_body(self, answering: OpenServer) -> None:
        """Slack always says for how long; something before it may not, and may send a page."""
        for text in ("", '{"ok": tr', "<html></html>"):
            client = await answering(as_json(text, 429))
            assert await post(client) == Later("ratelimited", None, ambiguous=False)

    @pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
    async def test_no_redirect_is_followed(
        self, slack: LocalSlack, answering: OpenServer, status: int
    ) -> None:
        """With 307 and 308 what is posted, and by which token, would go wherever a gateway points."""
        elsewhere = f"{slack.api_url}chat.postMessage"
        client = await answering(web.Response(status=status, headers={"Location": elsewhere}))
        assert await post(client) == Later(f"http_{status}", None, ambiguous=True)
        assert slack.calls == []

    async def test_an_answer_without_end_is_not_read_to_the_end(
        self, answering: OpenServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Memory is bounded, whatever comes."""
        monkeypatch.setattr(web_api, "_LONGEST_ANSWER", 100_000)
        client = await answering(as_json(" " * 1_000_000))
        assert await post(client) == Later("the answer is too long", None, ambiguous=True)

    async def test_a_reading_that_was_cut_off_is_made_once_more(
        self, slack: LocalSlack, client: Client
    ) -> None:
        """To read twice does no harm, and saves somebody from being told to try again."""
        slack.fail("conversations.history", "drop-before", times=1)
        answer = await query(client, "conversations.history", channel=ids.PAYMENTS)
        assert isinstance(answer, dict)
