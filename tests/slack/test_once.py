"""A notice is posted once: when it is tried again, and what is done where nobody knows whether it arrived."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta
from typing import Any, cast

import pytest
from sqlalchemy import select

from bot.ledger.notices import Notice, Topic
from bot.ledger.schema import notices
from bot.ledger.store import Ledger
from bot.payments.timing import Timing
from bot.slack import once as posting
from bot.slack.blocks import Message, section
from bot.slack.once import Once
from bot.slack.pace import Pace
from bot.slack.web_api import Answer, Client, Later, Posted, Rejected, Workspace
from tests.fixture_types import Clock

MONDAY = date(2026, 3, 2)
WORKSPACE = Workspace("T1", "https://example.slack.com/", "UBOT", "BBOT", "bot")
NOT_KNOWN = "it is not known whether it was told"

Found = Mapping[int, Posted] | Later | Rejected


class Telling:
    """Tells one notice of the day, to a Slack that answers what a test says. posted, sought: how often."""

    def __init__(self, ledger: Ledger, *, rather_twice: bool = False) -> None:
        self.posted: list[dict[str, Any]] = []
        self.sought = 0
        self.pace = Pace()
        self._ledger = ledger
        self.answers: list[Answer] = []
        self._found: Found | None = None
        self.once = Once(
            "PAY_DIGEST",
            ledger,
            cast(Client, None),
            WORKSPACE,
            Timing(),
            self.pace,
            "one",
            rather_twice=rather_twice,
        )

    async def post(self, _client: Client, method: str, **arguments: Any) -> Answer:
        assert method == "chat.postMessage"
        self.posted.append(arguments)
        assert self.answers, "nothing is to be posted"
        return self.answers.pop(0)

    async def search(self, *_arguments: Any, **_more: Any) -> Found:
        self.sought += 1
        assert self._found is not None, "nothing is to be looked for"
        return self._found

    async def claim(self) -> Notice | None:
        return await self.once.claim({Topic.DIGEST}, MONDAY)

    async def tells(self, answer: Answer | None = None, found: Found | None = None) -> Any:
        """Let it tell what is due; its row then."""
        self.answers, self._found = [] if answer is None else [answer], found
        notice = await self.claim()
        assert notice is not None, "it is not due"
        await self.once.tell(notice, "C1", Message("said", []))
        return await self.row()

    async def row(self) -> Any:
        (row,) = await self._ledger._all(select(notices))
        return row


@pytest.fixture
async def telling(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> Telling:
    return await begun(Telling(ledger), ledger, monkeypatch)


async def begun(telling: Telling, ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> Telling:
    monkeypatch.setattr(posting, "post_message", telling.post)
    monkeypatch.setattr(posting, "search_history", telling.search)
    async with ledger.transaction() as transaction:
        await transaction.notices.begin_day(Topic.DIGEST, MONDAY, ["C1"])
    return telling


def failed(error: str = "fatal_error", after: float | None = None, *, ambiguous: bool = False) -> Later:
    return Later(error, after, ambiguous)


async def test_what_was_told_is_told(telling: Telling) -> None:
    """With what it can be found by, and no address in it is unfolded."""
    row = await telling.tells(Posted("1.1"))
    assert (row["ts"], row["ended"], row["lease_owner"]) == ("1.1", "told", None)
    (said,) = telling.posted
    assert (said["channel"], said["text"]) == ("C1", "said")
    assert said["unfurl_links"] is said["unfurl_media"] is False
    assert said["metadata"]["event_payload"].keys() == {"ledger", "notice", "made"}
    assert set(telling.pace.lately) == {"C1"}


@pytest.mark.parametrize(
    ("answer", "seconds", "begun"),
    [
        (failed(), 1, False),
        (failed(after=10), 10, False),
        (failed(after=0.2), 1, False),
        # Slack may show it by then, if it has it.
        (failed(ambiguous=True), 2, True),
        (failed(after=10, ambiguous=True), 10, True),
        (failed("ratelimited", 3), 3, False),
        (failed("ratelimited"), 1, False),
    ],
)
async def test_what_slack_did_not_take_is_tried_again_when_it_may_be(
    telling: Telling, clock: Clock, answer: Later, seconds: float, begun: bool
) -> None:
    """After a pause of our own, or the one that Slack asked for; what may stand there is remembered."""
    row = await telling.tells(answer)
    assert row["due_at"] - clock.now == timedelta(seconds=seconds)
    assert (row["begun"], row["ended"]) == (begun, None)
    slack_said_when = answer.error == "ratelimited" and answer.after is not None
    assert set(telling.pace.paused) == ({"C1"} if slack_said_when else set())


async def test_what_is_said_in_a_way_that_slack_does_not_take_is_told_as_text(telling: Telling) -> None:
    """A bug in a block is no reason that nobody hears of it."""
    notice = await telling.claim()
    assert notice is not None
    telling.answers = [Rejected("invalid_blocks"), Posted("1.1")]
    await telling.once.tell(notice, "C1", Message("said", [section("said")]))
    assert ["blocks" in one for one in telling.posted] == [True, False]
    assert [one["text"] for one in telling.posted] == ["said", "said"]
    assert (await telling.row())["ts"] == "1.1"


async def test_what_slack_refuses_is_told_no_more(telling: Telling) -> None:
    """Somebody has to invite the bot, and tomorrow is another day."""
    row = await telling.tells(Rejected("not_in_channel"))
    assert (row["ts"], row["ended"]) == (None, "not_in_channel")


@pytest.mark.parametrize("why", ["paused", "full"])
async def test_it_waits_for_its_turn_in_the_channel(telling: Telling, clock: Clock, why: str) -> None:
    """Nothing was begun, so nothing is looked for then."""
    if why == "paused":
        telling.pace.pause("C1", 60)
    else:
        for _ in range(30):
            telling.pace.posted("C1")
    row = await telling.tells()
    assert (row["due_at"] - clock.now, row["begun"]) == (timedelta(seconds=1), False)
    assert telling.posted == []


async def test_what_another_took_meanwhile_is_not_told(
    telling: Telling, ledger: Ledger, clock: Clock
) -> None:
    """The lease ran out before its post was begun."""
    mine = await telling.claim()
    assert mine is not None
    clock.advance(minutes=1)
    assert await telling.claim() is not None
    await telling.once.tell(mine, "C1", Message("said", []))
    assert telling.posted == []


class TestALostAnswer:
    """It may stand there."""

    @pytest.fixture
    async def telling(
        self, ledger: Ledger, clock: Clock, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
    ) -> Telling:
        rather_twice = getattr(request, "param", False)
        telling = await begun(Telling(ledger, rather_twice=rather_twice), ledger, monkeypatch)
        await telling.tells(failed(ambiguous=True))
        clock.advance(seconds=2)
        return telling

    async def test_where_it_is_found_it_is_told(self, telling: Telling) -> None:
        """No second time."""
        row = await telling.tells(found={1: Posted("1.1")})
        assert (row["ts"], row["ended"]) == ("1.1", "told")
        assert (len(telling.posted), telling.sought) == (1, 1)

    async def test_where_it_is_not_found_it_is_posted(self, telling: Telling) -> None:
        """It did not arrive."""
        row = await telling.tells(Posted("2.2"), found={})
        assert (row["ts"], len(telling.posted)) == ("2.2", 2)

    async def test_where_slack_does_not_say_it_is_looked_for_again(
        self, telling: Telling, clock: Clock
    ) -> None:
        """And not forgotten meanwhile that it may stand there."""
        row = await telling.tells(found=failed(after=7))
        assert (row["due_at"] - clock.now, row["begun"]) == (timedelta(seconds=7), True)
        clock.advance(seconds=7)
        assert (await telling.tells(found={1: Posted("1.1")}))["ts"] == "1.1"

    @pytest.mark.parametrize("telling", [False], indirect=True)
    async def test_where_nobody_may_look_it_is_told_no_more(self, telling: Telling) -> None:
        """Once too often would be worse."""
        row = await telling.tells(found=Rejected("missing_scope"))
        assert (row["ts"], row["ended"], len(telling.posted)) == (None, NOT_KNOWN, 1)

    @pytest.mark.parametrize("telling", [True], indirect=True)
    async def test_what_is_rather_told_twice_is_posted_where_nobody_may_look(self, telling: Telling) -> None:
        """An alarm that nobody hears would be worse."""
        row = await telling.tells(Posted("2.2"), found=Rejected("missing_scope"))
        assert (row["ts"], row["ended"], len(telling.posted)) == ("2.2", "told", 2)

    @pytest.mark.parametrize("telling", [True], indirect=True)
    async def test_an_alarm_is_not_held_for_ever_by_a_history_that_nobody_can_read(
        self, telling: Telling, clock: Clock
    ) -> None:
        """That it is not there does not follow; but after an hour of looking it is posted again."""
        began = clock.now
        for _ in range(40):
            row = await telling.tells(Posted("2.2"), found=failed("history_is_on_fire"))
            if row["ended"]:
                break
            clock.now = max(clock.now, row["due_at"])
        assert (row["ts"], row["ended"], len(telling.posted)) == ("2.2", "told", 2)
        assert timedelta(minutes=50) < clock.now - began < timedelta(minutes=80)

    @pytest.mark.parametrize("telling", [False], indirect=True)
    async def test_a_digest_is_not_posted_twice_however_long_slack_does_not_say(
        self, telling: Telling, clock: Clock
    ) -> None:
        """Tomorrow there is another one."""
        for _ in range(40):
            row = await telling.tells(found=failed("history_is_on_fire"))
            clock.now = max(clock.now, row["due_at"])
        assert (row["begun"], row["ended"], len(telling.posted)) == (True, None, 1)
