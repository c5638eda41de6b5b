"""What Slack says of people: cached for a minute, waited for a second, and never taken for a yes in doubt."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from aiohttp import web

from bot.errors import DirectoryError
from bot.sandbox.local_slack import LocalSlack
from bot.sandbox.local_slack import identifiers as ids
from bot.sandbox.local_slack.world import ChannelKind
from bot.slack.directory import SlackDirectory, within
from bot.slack.web_api import web_client

FINANCE = ids.FINANCE_GROUP


class Minutes:
    """A clock moved by hand, in seconds."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def minutes() -> Minutes:
    return Minutes()


@pytest.fixture
def directory(slack: LocalSlack, minutes: Minutes) -> SlackDirectory:
    """One that has time, for a busy machine proves nothing."""
    return SlackDirectory(
        web_client(slack.bot_token, slack.api_url), ids.TEAM_ID, patience=9.0, clock=minutes
    )


@pytest.fixture
def impatient(slack: LocalSlack) -> SlackDirectory:
    return SlackDirectory(web_client(slack.bot_token, slack.api_url), ids.TEAM_ID, patience=0.3)


def asked(slack: LocalSlack) -> list[str]:
    return [call.method for call in slack.calls]


@pytest.fixture
async def odd() -> AsyncIterator[Callable[[str, str], SlackDirectory]]:
    """A directory whose Slack says something that Slack would never say."""
    said = {"body": "", "type": ""}

    async def answer(_request: web.Request) -> web.Response:
        return web.Response(text=said["body"], content_type=said["type"])

    application = web.Application()
    application.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()

    def make(body: str, content_type: str) -> SlackDirectory:
        said.update(body=body, type=content_type)
        address = f"http://127.0.0.1:{runner.addresses[0][1]}/api/"
        return SlackDirectory(web_client("xoxb-1-a", address), ids.TEAM_ID)

    yield make
    await runner.cleanup()


class TestWhatSlackSays:
    """Who is in what, and who is a full member."""

    async def test_who_is_in_which_group(self, slack: LocalSlack, directory: SlackDirectory) -> None:
        """Of the groups that are asked for, and no others."""
        slack.world.add_group("other", ["bob"], id="S0OTHER001")
        assert await directory.groups_of(ids.BOB, frozenset({FINANCE, "S0OTHER001"})) == {
            FINANCE,
            "S0OTHER001",
        }
        assert await directory.groups_of(ids.BOB, frozenset({FINANCE})) == {FINANCE}
        assert await directory.groups_of(ids.ALICE, frozenset({FINANCE})) == frozenset()
        assert await directory.groups_of(ids.ALICE, frozenset()) == frozenset()

    @pytest.mark.parametrize(
        ("person", "full"),
        [
            (ids.ALICE, True),
            (ids.GIL, False),
            (ids.XENA, False),
            (ids.BOT_USER_ID, False),
            ("U0NOBODY01", False),
        ],
    )
    async def test_who_is_a_full_member(self, directory: SlackDirectory, person: str, full: bool) -> None:
        """Active people of this team: no guests, strangers, bots, and nobody who is not there."""
        assert await directory.full_member(person) is full

    @pytest.mark.parametrize("flag", ["is_restricted", "is_ultra_restricted", "is_bot", "deleted"])
    async def test_one_flag_is_enough(self, slack: LocalSlack, directory: SlackDirectory, flag: str) -> None:
        """Each of them bars."""
        slack.world.change_person("alice", **{flag: True})
        assert not await directory.full_member(ids.ALICE)

    async def test_a_person_of_another_team_is_no_member(
        self, slack: LocalSlack, directory: SlackDirectory
    ) -> None:
        """Whatever the flags say."""
        slack.world.change_person("alice", team_id=ids.OTHER_TEAM_ID)
        assert not await directory.full_member(ids.ALICE)

    @pytest.mark.parametrize("disabled", [True, False])
    async def test_a_group_that_is_gone_has_nobody_in_it(
        self,
        slack: LocalSlack,
        directory: SlackDirectory,
        minutes: Minutes,
        logs: list[Any],
        disabled: bool,
    ) -> None:
        """Deleted or disabled: that is known, so nobody has to try again; who runs the bot is told once."""
        if disabled:
            slack.world.add_group("gone", ["bob"], id="S0GONE0001", disabled=True)
        for _ in range(3):
            assert await directory.groups_of(ids.BOB, frozenset({"S0GONE0001"})) == frozenset()
            minutes.now += 61
        assert asked(slack) == ["usergroups.users.list"] * 3
        assert [one["group"] for one in logs if "is gone or turned off" in one["event"]] == ["S0GONE0001"]

    async def test_who_is_in_a_channel(self, slack: LocalSlack, directory: SlackDirectory) -> None:
        """Everybody, however many pages that takes; where Slack does not say, it is not known."""
        people = [slack.world.add_person(f"person{number}").id for number in range(1200)]
        slack.world.add_channel("crowd", [*people, ids.BOT_USER_ID], id="C0CROWD001")
        assert await directory.members_of("C0CROWD001") == {*people, ids.BOT_USER_ID}
        with pytest.raises(DirectoryError):
            await directory.members_of("C0NOWHERE1")

    async def test_whether_somebody_is_in_a_channel(
        self, slack: LocalSlack, directory: SlackDirectory
    ) -> None:
        """In public ones wherever the bot is, in private ones where it is too; and nobody else is."""
        assert await directory.is_in(ids.ALICE, ids.PAYMENTS)
        assert await directory.is_in(ids.ALICE, ids.RANDOM)
        assert not await directory.is_in(ids.ALICE, ids.APPROVALS)
        assert not await directory.is_in(ids.ALICE, ids.FINANCE_PRIVATE)
        assert not await directory.is_in(ids.ALICE, "C0NOWHERE1")
        assert not await directory.is_in("U0NOBODY01", ids.PAYMENTS)
        assert asked(slack) == ["users.conversations"] * 2
        slack.world.add_channel("inner", ["bob", ids.BOT_USER_ID], ChannelKind.PRIVATE, id="C0INNER001")
        assert await directory.is_in(ids.BOB, "C0INNER001")

    async def test_a_person_in_very_many_channels_is_still_found(
        self, slack: LocalSlack, directory: SlackDirectory
    ) -> None:
        """However many pages that takes; and how many people are in the channel does not matter."""
        for number in range(1200):
            slack.world.add_channel(f"channel{number}", ["mallory"], id=f"C0MANY{number:04}")
        assert await directory.is_in(ids.MALLORY, "C0MANY1199")
        assert not await directory.is_in(ids.MALLORY, ids.APPROVALS)
        assert asked(slack) == ["users.conversations"] * 2


class TestCachedForAMinute:
    """An answer serves for a minute, and a failure never."""

    async def test_an_answer_serves_for_a_minute(
        self, slack: LocalSlack, directory: SlackDirectory, minutes: Minutes
    ) -> None:
        """And not a second longer: somebody who was removed is out after that."""
        assert await directory.groups_of(ids.BOB, frozenset({FINANCE})) == {FINANCE}
        slack.world.change_group(FINANCE, ["carol"])
        minutes.now += 59
        assert await directory.groups_of(ids.BOB, frozenset({FINANCE})) == {FINANCE}
        minutes.now += 1
        assert await directory.groups_of(ids.BOB, frozenset({FINANCE})) == frozenset()
        assert asked(slack) == ["usergroups.users.list"] * 2

    async def test_who_asks_at_the_same_time_shares_the_answer(
        self, slack: LocalSlack, directory: SlackDirectory
    ) -> None:
        """Slack takes twenty of these a minute."""
        answers = await asyncio.gather(*(directory.full_member(ids.ALICE) for _ in range(10)))
        assert answers == [True] * 10
        assert asked(slack) == ["users.info"]

    async def test_a_failure_is_not_cached(self, slack: LocalSlack, directory: SlackDirectory) -> None:
        """The next question is asked anew."""
        slack.fail("users.info", "500", times=1)
        with pytest.raises(DirectoryError):
            await directory.full_member(ids.ALICE)
        assert await directory.full_member(ids.ALICE)

    async def test_an_old_answer_does_not_stand_in_for_a_failure(
        self, slack: LocalSlack, directory: SlackDirectory, minutes: Minutes
    ) -> None:
        """What was so a minute ago is no authorization now."""
        assert await directory.full_member(ids.ALICE)
        minutes.now += 60
        slack.fail("users.info", "500")
        with pytest.raises(DirectoryError):
            await directory.full_member(ids.ALICE)


class TestWaitedForASecond:
    """A person waits for what depends on the answer."""

    @pytest.mark.parametrize("mode", ["timeout", "slow"])
    async def test_patience_ends(self, slack: LocalSlack, impatient: SlackDirectory, mode: str) -> None:
        """A command has to be acknowledged, so nobody waits for a slow Slack."""
        slack.fail("*", mode, seconds=5)
        began = time.monotonic()
        with pytest.raises(DirectoryError, match="in time"):
            await impatient.groups_of(ids.BOB, frozenset({FINANCE, "S0OTHER001", "S0OTHER002"}))
        assert time.monotonic() - began < 2

    async def test_questions_of_one_command_share_one_deadline(
        self, slack: LocalSlack, directory: SlackDirectory
    ) -> None:
        """A second for the group and another for the person would be two."""
        slack.fail("users.info", "timeout")
        began = time.monotonic()
        with within(1.0):
            await directory.groups_of(ids.BOB, frozenset({FINANCE}))
            with pytest.raises(DirectoryError, match="in time"):
                await directory.full_member(ids.BOB)
        assert time.monotonic() - began < 2

    async def test_an_answer_that_came_too_late_serves_the_next(
        self, slack: LocalSlack, impatient: SlackDirectory
    ) -> None:
        """The question goes on without who asked it, so that trying again works."""
        slack.fail("users.info", "slow", seconds=0.5, times=1)
        with pytest.raises(DirectoryError):
            await impatient.full_member(ids.ALICE)
        async with asyncio.timeout(5):
            while True:
                try:
                    assert await impatient.full_member(ids.ALICE)
                except DirectoryError:
                    continue
                break
        assert asked(slack) == ["users.info"]


class TestFailsClosed:
    """No answer is never a yes."""

    @pytest.mark.parametrize(
        "mode",
        [
            "429",
            "500",
            "drop-before",
            "drop-after",
            "error:missing_scope",
            "error:invalid_auth",
            "error:internal_error",
            "error:some_new_word",
        ],
    )
    async def test_whatever_goes_wrong_is_no_answer(
        self, slack: LocalSlack, directory: SlackDirectory, mode: str
    ) -> None:
        """DirectoryError, for people and for groups: neither a yes nor a no."""
        slack.fail("*", mode)
        with pytest.raises(DirectoryError):
            await directory.full_member(ids.ALICE)
        with pytest.raises(DirectoryError):
            await directory.groups_of(ids.BOB, frozenset({FINANCE}))
        with pytest.raises(DirectoryError):
            await directory.is_in(ids.ALICE, ids.PAYMENTS)

    @pytest.mark.parametrize(
        ("mode", "level"),
        [("error:missing_scope", "error"), ("error:some_new_word", "warning"), ("timeout", "warning")],
    )
    async def test_whoever_runs_the_bot_is_told_why_people_are_refused(
        self, slack: LocalSlack, impatient: SlackDirectory, logs: list[Any], mode: str, level: str
    ) -> None:
        """They are told to try again, which helps nobody where a scope was taken away; but not each time."""
        slack.fail("*", mode)
        for _ in range(3):
            with pytest.raises(DirectoryError):
                await impatient.groups_of(ids.BOB, frozenset({FINANCE}))
        (told,) = [one for one in logs if "who" in one["event"]]
        assert (told["log_level"], told["error"]) == (level, mode.removeprefix("error:"))
        assert ("every scope of the manifest" in told["event"]) is (level == "error")

    @pytest.mark.parametrize(
        ("body", "content_type"),
        [
            ("<html>Log in</html>", "text/html"),
            ("OK", "text/plain"),
            ('{"ok": tr', "application/json"),
            ("[1]", "application/json"),
        ],
    )
    async def test_an_odd_answer_is_no_answer(
        self, odd: Callable[[str, str], SlackDirectory], body: str, content_type: str
    ) -> None:
        """A proxy's page, half an answer."""
        directory = odd(body, content_type)
        with pytest.raises(DirectoryError):
            await directory.full_member(ids.ALICE)
        with pytest.raises(DirectoryError):
            await directory.groups_of(ids.BOB, frozenset({FINANCE}))

    @pytest.mark.parametrize(
        "body",
        [
            '{"ok": true, "user": {"id": "U0ALICE001"}}',
            '{"ok": true, "user": {"id": "U0ALICE001", "enterprise_user": {"teams": 7}}}',
            '{"ok": true, "user": {"id": "U0ALICE001", "enterprise_user": []}}',
            '{"ok": true, "user": {"id": "U0ALICE001", "team_id": "T0ACME0001", "is_stranger": true}}',
            '{"ok": true, "user": {"id": "U0ALICE001", "team_id": "T0ACME0001", "is_app_user": true}}',
        ],
    )
    async def test_an_answer_that_does_not_say_so_is_not_a_yes(
        self, odd: Callable[[str, str], SlackDirectory], body: str
    ) -> None:
        """Somebody of whom Slack does not say the team, or says that it is a stranger, is nobody of ours."""
        assert not await odd(body, "application/json").full_member(ids.ALICE)

    @pytest.mark.parametrize(
        "said", ["", ', "{}": null', ', "{}": "U0BOB00001"', ', "{}": {{}}', ', "{}": [7]']
    )
    async def test_an_answer_without_what_was_asked_for_is_no_answer(
        self, odd: Callable[[str, str], SlackDirectory], said: str
    ) -> None:
        """It is no "nobody" either: what was approved would be cancelled for it."""

        def answering(name: str) -> SlackDirectory:
            return odd(f'{{"ok": true{said.format(name)}}}', "application/json")

        with pytest.raises(DirectoryError):
            await answering("users").groups_of(ids.BOB, frozenset({FINANCE}))
        with pytest.raises(DirectoryError):
            await answering("channels").is_in(ids.BOB, ids.PAYMENTS)
        with pytest.raises(DirectoryError):
            await answering("members").members_of(ids.PAYMENTS)
        if "{}}" not in said:
            with pytest.raises(DirectoryError):
                await answering("user").full_member(ids.ALICE)

    async def test_no_connection_is_no_answer(self) -> None:
        """Slack is out of reach."""
        directory = SlackDirectory(web_client("xoxb-1-a", "http://127.0.0.1:1/api/"), ids.TEAM_ID)
        with pytest.raises(DirectoryError):
            await directory.full_member(ids.ALICE)
