"""When the announcer tries again what Slack did not take, and how it is written down until then."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from typing import Any, cast

import pytest
from sqlalchemy import select

from bot.domain.batch import Batch
from bot.domain.events import DomainEvent, NoCard
from bot.domain.payment import InvoiceRef, Payment, State, mark_of
from bot.ledger.rows import Delivery, Kind
from bot.ledger.schema import deliveries
from bot.ledger.store import Ledger
from bot.payments.timing import Timing
from bot.slack import announcer as announcing
from bot.slack import post_search
from bot.slack.announcer import Announcer
from bot.slack.blocks import Message
from bot.slack.pace import Pace
from bot.slack.rendering import Rendered, Renderer
from bot.slack.web_api import Answer, Client, Later, Posted, Rejected, Workspace
from tests.fixture_types import Clock
from tests.ledger.making import happened, moved, request, with_card

WELL = {"ok": True, "messages": []}
"""What Slack answers to whoever asks about the token, or for a history in which nothing stands."""


class Plain:
    """Says one thing for all deliveries, and all that follow in the same message."""

    workspace = Workspace("T1", "https://example.slack.com/", "UBOT", "BBOT", "bot")

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    async def render(self, delivery: Delivery, _batch: Batch) -> Rendered:
        event = None if delivery.event_id is None else await self._ledger.event(delivery.event_id)
        return Rendered(Message("said", []), event)

    async def gathered(
        self, rendered: Rendered, following: Sequence[Delivery], _batch: Batch
    ) -> tuple[Rendered, Sequence[Delivery]]:
        return rendered, following


class Teller:
    """An announcer, and a Slack that answers what a test says.

    posted, asked: the methods called, or where a command was typed. takes: what is told there.
    """

    def __init__(self, ledger: Ledger, timing: Timing) -> None:
        self.posted: list[str] = []
        self.asked: list[str] = []
        self.takes = True
        self.pace = Pace()
        self._ledger = ledger
        self._answers: list[Answer] = []
        self._asked_for: list[Any] = []
        wake = asyncio.Event()
        renderer = cast(Renderer, Plain(ledger))
        self._announcer = Announcer(ledger, cast(Client, None), renderer, timing, self.pace, "one", wake)

    async def post(self, _client: Client, method: str, **_arguments: Any) -> Answer:
        self.posted.append(method)
        return self._answers.pop(0)

    async def respond(self, _client: Client, url: str, _message: Message) -> bool:
        self.posted.append(url)
        return self.takes

    async def query(self, _client: Client, method: str, **_arguments: Any) -> Any:
        self.asked.append(method)
        return self._asked_for.pop(0)

    async def tells(self, *answers: Answer, asked: Sequence[Any] = ()) -> list[Any]:
        """Let it tell what is due; the rows of what it may have to tell then. asked: answers to reads."""
        self._answers, self._asked_for = [*answers], [*asked]
        await self._announcer.poll_once()
        await self._announcer.pool.drain(10)
        assert (self._answers, self._asked_for) == ([], [])
        return await self._ledger._all(select(deliveries).order_by(deliveries.c.id))


@pytest.fixture
def timing() -> Timing:
    return Timing()


@pytest.fixture
def teller(ledger: Ledger, timing: Timing, monkeypatch: pytest.MonkeyPatch) -> Teller:
    teller = Teller(ledger, timing)
    monkeypatch.setattr(announcing, "post_message", teller.post)
    monkeypatch.setattr(announcing, "query", teller.query)
    monkeypatch.setattr(announcing, "respond", teller.respond)
    monkeypatch.setattr(post_search, "query", teller.query)
    return teller


async def to_tell(ledger: Ledger, kind: Kind = Kind.CARD) -> Payment:
    payment = await request(ledger)
    async with ledger.transaction() as transaction:
        await transaction.outbox.add(payment.request, kind)
    return payment


async def to_show_anew(ledger: Ledger) -> Payment:
    payment = await with_card(ledger, await request(ledger))
    return await moved(ledger, payment, State.CANCELLED, announce=None)


async def two_replies(ledger: Ledger) -> Payment:
    """Of one request of several, which are told together."""
    payment = await with_card(ledger, await request(ledger, also=[InvoiceRef("vps", 10102)]))
    async with ledger.transaction() as transaction:
        for _ in range(2):
            event_id = await transaction.record(happened("told"), actor="test", payment=payment)
            await transaction.outbox.add(payment.request, Kind.THREAD_REPLY, event_id=event_id)
    return payment


def standing(ledger: Ledger, told: Any, ts: str) -> dict[str, Any]:
    """A message of a history that tells this delivery."""
    payload = {"ledger": ledger.identity, "delivery": told["id"], "made": mark_of(told["created_at"])}
    metadata = {"event_type": post_search.METADATA, "event_payload": payload}
    return {"bot_id": Plain.workspace.bot_id, "ts": ts, "metadata": metadata}


def failed(error: str = "fatal_error", after: float | None = None, *, ambiguous: bool = False) -> Later:
    return Later(error, after, ambiguous)


@pytest.mark.parametrize(
    ("answer", "seconds", "tries", "ambiguous"),
    [
        (failed(), 1, 1, False),
        (failed(after=10), 10, 1, False),
        (failed(after=0.2), 1, 1, False),
        # Slack may show it by then, if it has it.
        (failed(ambiguous=True), 2, 1, True),
        (failed(after=10, ambiguous=True), 10, 1, True),
        # Who is told when to come back is not kept waiting, and has failed at nothing.
        (failed("ratelimited", 0.2), 0.2, 0, False),
        (failed("ratelimited"), 1, 1, False),
    ],
)
async def test_what_slack_did_not_take_is_tried_again_when_it_may_be(
    ledger: Ledger, clock: Clock, teller: Teller, answer: Later, seconds: float, tries: int, ambiguous: bool
) -> None:
    """After a pause of our own, or the one that Slack asked for."""
    await to_tell(ledger)
    (card,) = await teller.tells(answer)
    assert card["due_at"] - clock.now == timedelta(seconds=seconds)
    assert (card["tries"], card["ambiguous"], card["lease_owner"]) == (tries, ambiguous, None)


async def test_each_pause_is_longer_than_the_last(ledger: Ledger, clock: Clock, teller: Teller) -> None:
    """One, two, four seconds; and in the end it is told, and counts no tries any more."""
    await to_tell(ledger)
    for seconds in (1, 2, 4):
        (card,) = await teller.tells(failed())
        assert card["due_at"] - clock.now == timedelta(seconds=seconds)
        await teller.tells()
        clock.advance(seconds=seconds)
    (card,) = await teller.tells(Posted("1.1"))
    assert (card["ts"], card["tries"], card["done_revision"]) == ("1.1", 0, 1)


async def test_who_is_told_to_wait_leaves_that_channel_alone(ledger: Ledger, teller: Teller) -> None:
    """It is still written to elsewhere, and what stands there is changed."""
    await to_tell(ledger)
    await teller.tells(failed("ratelimited", 60))
    assert (set(teller.pace.paused), teller.pace.updates) == ({"C1"}, 20)


async def test_who_is_told_to_wait_with_changes_goes_on_posting(ledger: Ledger, teller: Teller) -> None:
    """Slack counts them for all channels together, and apart from posts."""
    await to_show_anew(ledger)
    await teller.tells(failed("ratelimited", 60))
    assert (set(teller.pace.paused), teller.pace.updates) == (set(), 0)


async def test_posts_and_changes_are_counted_apart(ledger: Ledger, teller: Teller) -> None:
    """As Slack counts them."""
    await to_tell(ledger)
    await teller.tells(Posted("1.1"))
    assert (set(teller.pace.lately), teller.pace.updates) == ({"C1"}, 20)


async def test_a_change_is_no_post(ledger: Ledger, teller: Teller) -> None:
    """It takes nothing of what the channel may have."""
    await to_show_anew(ledger)
    await teller.tells(Posted("1700000000.000001"))
    assert (set(teller.pace.lately), teller.pace.updates) == (set(), 19)
    assert teller.posted == ["chat.update"]


async def test_a_change_that_may_come_late_is_not_what_a_card_shows_in_the_end(
    ledger: Ledger, clock: Clock, teller: Teller
) -> None:
    """Its answer was lost, and Slack may carry it out after the next: so the card is shown once more."""
    await to_show_anew(ledger)
    await teller.tells(failed(ambiguous=True))
    clock.advance(seconds=2)
    (card,) = await teller.tells(Posted("1700000000.000001"))
    assert (card["due_at"] - clock.now, card["ambiguous"]) == (Timing().late, False)
    clock.advance(seconds=Timing().late.total_seconds())
    (card,) = await teller.tells(Posted("1700000000.000001"))
    assert card["done_revision"] == card["revision"]
    clock.advance(seconds=Timing().late.total_seconds())
    assert teller.posted == ["chat.update"] * 3
    await teller.tells()


async def test_what_comes_up_meanwhile_is_shown_at_once_and_the_late_change_is_not_forgotten(
    ledger: Ledger, clock: Clock, teller: Teller, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may come after that, too."""
    payment = await to_show_anew(ledger)
    await teller.tells(failed(ambiguous=True))
    clock.advance(seconds=2)

    async def meanwhile(client: Client, method: str, **arguments: Any) -> Answer:
        async with ledger.transaction() as transaction:
            transaction.outbox.refresh_cards(payment.request.id)
        return await teller.post(client, method, **arguments)

    with monkeypatch.context() as patched:
        patched.setattr(announcing, "post_message", meanwhile)
        (card,) = await teller.tells(Posted("1700000000.000001"))
    assert (card["due_at"], card["ambiguous"]) == (clock.now, True)
    (card,) = await teller.tells(Posted("1700000000.000001"))
    assert (card["due_at"] - clock.now, card["ambiguous"]) == (Timing().late, False)


async def test_a_history_that_cannot_be_read_now_is_read_again_before_it_is_posted(
    ledger: Ledger, clock: Clock, teller: Teller
) -> None:
    """After a pause as well, which counts as a try; what was not found then is posted."""
    await to_tell(ledger)
    await teller.tells(failed(ambiguous=True))
    clock.advance(seconds=2)
    (card,) = await teller.tells(asked=[failed(after=7)])
    assert (card["due_at"] - clock.now, card["tries"]) == (timedelta(seconds=7), 2)
    assert card["ambiguous"]
    assert teller.posted == ["chat.postMessage"]
    clock.advance(seconds=7)
    await teller.tells()  # it is left alone until Slack would show it
    clock.advance(seconds=2)
    (card,) = await teller.tells(Posted("1.1"), asked=[WELL])
    assert (card["ts"], card["ambiguous"]) == ("1.1", False)


async def test_what_is_told_together_waits_together(ledger: Ledger, clock: Clock, teller: Teller) -> None:
    """It stands there with the first, or not at all; only that one counts the try."""
    await two_replies(ledger)
    _, *replies = await teller.tells(failed(ambiguous=True))
    assert [one["due_at"] - clock.now for one in replies] == [timedelta(seconds=2)] * 2
    assert [(one["tries"], one["ambiguous"]) for one in replies] == [(1, True), (0, True)]
    clock.advance(seconds=2)
    _, *replies = await teller.tells(Posted("1.1"), asked=[WELL])
    assert [one["ts"] for one in replies] == ["1.1", "1.1"]


@pytest.mark.parametrize("stand", [(0,), (1,), (0, 1)])
async def test_of_what_was_told_together_each_is_looked_for(
    ledger: Ledger, clock: Clock, teller: Teller, stand: tuple[int, ...]
) -> None:
    """What stands there is told no more, and what does not is."""
    await two_replies(ledger)
    _, *replies = await teller.tells(failed(ambiguous=True))
    clock.advance(seconds=2)
    history = {"ok": True, "messages": [standing(ledger, replies[one], f"1.{one}") for one in stand]}
    missing = [one for one in (0, 1) if one not in stand]
    answers = [Posted("2.2")] * (missing == [0])
    _, *replies = await teller.tells(*answers, asked=[history])
    assert [replies[one]["ts"] for one in stand] == [f"1.{one}" for one in stand]
    if missing == [1]:
        # It is known not to stand there, so it goes at once.
        _, *replies = await teller.tells(Posted("2.2"))
    assert [replies[one]["ts"] for one in missing] == ["2.2"] * len(missing)
    assert not any(one["ambiguous"] for one in replies)


async def test_what_slack_refuses_however_it_is_said_is_tried_on(
    ledger: Ledger, clock: Clock, teller: Teller
) -> None:
    """It is a bug of ours, which is mended: nobody loses a card or a reply by it."""
    await to_tell(ledger)
    (card,) = await teller.tells(*[Rejected("invalid_blocks")] * 2)
    assert (card["given_up"], card["due_at"] - clock.now) == (None, timedelta(seconds=1))


async def test_what_slack_refuses_to_have_together_is_told_one_by_one(ledger: Ledger, teller: Teller) -> None:
    """Each says something of its own; the second follows at once."""
    await two_replies(ledger)
    _, first, second = await teller.tells(Rejected("invalid_blocks"), Posted("1.1"))
    assert (first["ts"], second["ts"], second["tries"], second["ambiguous"]) == ("1.1", None, 0, False)
    _, _, second = await teller.tells(Posted("2.2"))
    assert second["ts"] == "2.2"


@pytest.mark.parametrize(
    ("error", "lost"), [("message_not_found", True), ("cant_update_message", False), ("is_archived", False)]
)
async def test_a_card_is_lost_only_where_it_is_not_there(
    ledger: Ledger, teller: Teller, error: str, lost: bool
) -> None:
    """One that cannot be changed any more still has its thread, in which replies are told."""
    payment = await to_show_anew(ledger)
    card, *_ = await teller.tells(Rejected(error))
    assert card["given_up"] == error
    found = await ledger.payment(payment.id)
    assert found is not None
    assert found.request.cards.lost is lost


@pytest.mark.parametrize("ended", [False, True])
async def test_where_no_card_can_stand_the_requester_hears_of_it(
    ledger: Ledger, teller: Teller, ended: bool
) -> None:
    """What was asked for ends; and who asked hears that there is no card also where it had ended before."""
    payment = await to_tell(ledger)
    if ended:
        await moved(ledger, payment, State.CANCELLED, announce=None)
    _, told = await teller.tells(Rejected("not_in_channel"))
    found = await ledger.payment(payment.id)
    assert found is not None
    assert found.state is State.CANCELLED
    assert found.reason == (None if ended else "the card could not be posted")
    assert (told["kind"], told["channel"]) == (Kind.DIRECT.value, "U1")
    assert (await ledger.event(told["event_id"])).what == NO_CARD


NO_CARD = NoCard("the card could not be posted", "not_in_channel", "C1")
TYPED_AT = "https://hooks.slack.com/commands/1"


@pytest.mark.parametrize(
    ("seconds", "takes", "what", "posted"),
    [
        (29 * 60 - 1, True, NO_CARD, [TYPED_AT]),
        # It might end while it is on its way.
        (29 * 60, True, NO_CARD, ["chat.postMessage"]),
        (0, False, NO_CARD, [TYPED_AT, "chat.postMessage"]),
        (0, True, happened("denied"), ["chat.postMessage"]),
    ],
)
async def test_that_there_is_no_card_is_told_where_the_command_was_typed(
    ledger: Ledger,
    clock: Clock,
    teller: Teller,
    seconds: int,
    takes: bool,
    what: DomainEvent,
    posted: list[str],
) -> None:
    """For as long as Slack takes that, and if it does; otherwise, and all else, in a direct message."""
    payment = await request(ledger, response_url=TYPED_AT)
    async with ledger.transaction() as transaction:
        event_id = await transaction.record(what, actor="test", request=payment.request)
        await transaction.outbox.add(payment.request, Kind.DIRECT, event_id=event_id)
    clock.advance(seconds=seconds)
    teller.takes = takes
    by_post = "chat.postMessage" in posted
    (told,) = await teller.tells(*[Posted("1.1")] * by_post)
    assert (teller.posted, told["ts"]) == (posted, "1.1" if by_post else "response_url")


class TestInVain:
    """Tried for days: told in another way, but only while Slack is well."""

    @pytest.fixture
    def timing(self) -> Timing:
        return Timing(deliver_for=timedelta(seconds=1))

    async def test_what_slack_does_not_take_while_it_is_well_is_given_up(
        self, ledger: Ledger, clock: Clock, teller: Teller
    ) -> None:
        """It was well before this try, and after it; that is asked only when the days are over."""
        await to_tell(ledger, Kind.INVITATION)
        for asked in ([], [WELL], [WELL]):
            (told, *_) = await teller.tells(failed("odd"), asked=asked)
            clock.advance(minutes=5)
        assert teller.asked == ["auth.test"] * 2
        assert (told["given_up"], told["tries"]) == ("odd", 0)

    async def test_while_slack_is_not_well_it_is_tried_on(
        self, ledger: Ledger, clock: Clock, teller: Teller
    ) -> None:
        """No other way is better then; and it has to be well twice in a row."""
        await to_tell(ledger, Kind.INVITATION)
        for asked in ([], [failed()], [WELL], [failed()], [WELL]):
            (told, *_) = await teller.tells(failed("odd"), asked=asked)
            assert told["given_up"] is None
            clock.advance(minutes=5)

    @pytest.mark.parametrize("answer", [failed("invalid_auth"), failed("ratelimited", 1)])
    async def test_what_has_another_reason_is_never_given_up(
        self, ledger: Ledger, clock: Clock, teller: Teller, answer: Later
    ) -> None:
        """A token is mended by somebody, and a limit by time."""
        await to_tell(ledger, Kind.INVITATION)
        for _ in range(4):
            (told, *_) = await teller.tells(answer)
            assert told["given_up"] is None
            teller.pace = teller._announcer.pace = Pace()
            clock.advance(minutes=5)
        assert teller.asked == []

    async def test_what_was_to_be_told_with_it_is_told_by_itself(
        self, ledger: Ledger, clock: Clock, teller: Teller
    ) -> None:
        """At once: only the first was tried for days. It may stand there all the same."""
        await two_replies(ledger)
        for asked in ([], [WELL, WELL], [WELL, WELL]):
            _, first, second, *_ = await teller.tells(failed("odd", ambiguous=True), asked=asked)
            clock.advance(minutes=5)
        assert first["given_up"] == "odd"
        assert (second["given_up"], second["tries"], second["ambiguous"]) == (None, 0, True)
        assert second["due_at"] == clock.now - timedelta(minutes=5)
