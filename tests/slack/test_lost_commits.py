"""The answer to a COMMIT is lost while somebody waits: they are told what is true, and never a guess."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass

import pytest

from bot import app
from bot.domain.payment import State
from bot.sandbox.local_billing import LocalBilling
from bot.sandbox.local_billing.service import PAYMENT
from bot.sandbox.local_slack import LocalSlack
from bot.sandbox.local_slack import identifiers as ids
from bot.slack.pay_form import SHORTCUT
from bot.slack.pay_form_view import NUMBERS
from bot.slack.workflow_step import STEP
from tests.fixture_types import NewDatabase, StartBot
from tests.lost_commits import CommitWire, commit_wire
from tests.optional_step import with_the_step
from tests.postgresql import Databases
from tests.slack.acting import approve, at_rest, card, press_deny, request, shown, text, withdraw
from tests.slack.filling import in_channel, opened

NOTHING = "nothing was done"
NOT_KNOWN = "it is not known whether that was done"


@pytest.fixture
async def wire(databases: Databases) -> AsyncIterator[CommitWire]:
    async with commit_wire(databases) as opened_wire:
        yield opened_wire


@pytest.fixture
async def slack() -> AsyncIterator[LocalSlack]:
    """With the workflow step; the machine may be busy, so Slack is patient."""
    delays = (0.5, 0.5)
    async with LocalSlack(manifest=with_the_step(), event_retry_delays=delays, ack_deadline=6.0) as running:
        yield running


@pytest.fixture
async def bot(wire: CommitWire, new_postgresql: NewDatabase, start_bot: StartBot) -> app.Bot:
    """Every payment needs one approval; the ledger is behind the wire."""
    url = wire.behind(new_postgresql(migrated=True))
    return await start_bot(LEDGER_URL=url, PAY_APPROVALS_REQUIRED="1")


@dataclass(frozen=True)
class Act:
    """What a person does, and the word in the trail for it. It leads to one of these states.

    does: returns what is said under an input of a form.
    """

    marker: str
    done: tuple[State, ...]
    does: Callable[[LocalSlack], Awaitable[str]]


async def _types(slack: LocalSlack) -> str:
    assert (await slack.person("alice").types("#payments", "/pay vps 10102")).ok
    return ""


async def _submits(slack: LocalSlack) -> str:
    await slack.person("alice").uses_shortcut(SHORTCUT)
    entered = text(NUMBERS, "10102") | in_channel(ids.PAYMENTS)
    result = await slack.person("alice").submits(await opened(slack), entered)
    return "\n".join(result.errors.values())


async def _approves(slack: LocalSlack) -> str:
    await approve(slack, card(slack), "bob")
    return ""


async def _denies(slack: LocalSlack) -> str:
    await press_deny(slack, card(slack), "bob")
    view = (await slack.wait_for(lambda: slack.views("bob")))[-1]
    result = await slack.person("bob").submits(view, text("reason", "no"))
    return "\n".join(result.errors.values())


async def _cancels(slack: LocalSlack) -> str:
    await withdraw(slack, card(slack), "alice")
    return ""


async def _resolves(slack: LocalSlack) -> str:
    assert (await slack.person("bob").types("#payments", "/pay resolve 1 paid seen on the statement")).ok
    return ""


async def told_after(act: Act, slack: LocalSlack, bot: app.Bot) -> str:
    """Do it, and return all that anybody alone is told then: under an input, or by an ephemeral message."""
    under = await act.does(slack)
    assert await bot.services.gate.emptied(10)
    alone = [one for person in ("alice", "bob") for one in slack.ephemerals(person)]
    return "\n".join([under, *map(shown, alone)])


ACTS = {
    "command": Act("requested", (State.REQUESTED, State.PENDING_APPROVAL), _types),
    "form": Act("requested", (State.REQUESTED, State.PENDING_APPROVAL), _submits),
    "approve": Act("approved", (State.APPROVED, State.SENDING, State.PAID), _approves),
    "deny": Act("denied", (State.DENIED,), _denies),
    "cancel": Act("cancelled", (State.CANCELLED,), _cancels),
    "resolve": Act("resolved", (State.PAID,), _resolves),
}


async def prepare(slack: LocalSlack, billing: LocalBilling, bot: app.Bot, name: str) -> State | None:
    """What has to be there before it; returns the state of the payment that it is about."""
    if name in ("command", "form"):
        return None
    await request(slack, bot)
    if name != "resolve":
        return State.PENDING_APPROVAL
    billing.fail("reset-after", times=1)
    billing.on_call = lambda call: billing.fail("unreadable") if call.operation == PAYMENT else None
    await approve(slack, card(slack), "bob")
    await slack.wait_for(lambda: "Unknown" in shown(card(slack)))
    await at_rest(bot)
    return State.UNKNOWN


async def state_of(bot: app.Bot) -> State | None:
    latest = await bot.ledger.recent(limit=1)
    return latest[0].first.state if latest else None


@pytest.mark.parametrize("name", ACTS)
async def test_what_was_done_is_not_called_nothing(
    name: str, slack: LocalSlack, billing: LocalBilling, bot: app.Bot, wire: CommitWire
) -> None:
    """It arrived, only its answer was lost: it counts, and goes on, and nobody hears of the trouble."""
    act = ACTS[name]
    await prepare(slack, billing, bot, name)
    wire.lose("after", act.marker)
    said = await told_after(act, slack, bot)
    assert wire.lost.is_set()
    assert NOTHING not in said
    assert NOT_KNOWN not in said
    assert await state_of(bot) in act.done


@pytest.mark.parametrize("name", ACTS)
async def test_nothing_was_done_is_said_where_that_is_known(
    name: str, slack: LocalSlack, billing: LocalBilling, bot: app.Bot, wire: CommitWire
) -> None:
    """It did not arrive, which was read again; doing it again works."""
    act = ACTS[name]
    before = await prepare(slack, billing, bot, name)
    wire.lose("before", act.marker)
    said = await told_after(act, slack, bot)
    assert wire.lost.is_set()
    assert NOTHING in said
    assert await state_of(bot) is before


@pytest.mark.parametrize("name", ACTS)
async def test_where_nobody_can_know_that_is_said(
    name: str, slack: LocalSlack, billing: LocalBilling, bot: app.Bot, wire: CommitWire
) -> None:
    """The record is out of reach: the person is told so, and how to look; here it was done."""
    act = ACTS[name]
    await prepare(slack, billing, bot, name)
    wire.lose("after", act.marker, and_all=True)
    said = await told_after(act, slack, bot)
    assert wire.lost.is_set()
    assert NOT_KNOWN in said
    assert "/pay mine" in said
    assert NOTHING not in said
    await wire.heal()
    assert await state_of(bot) in act.done


@pytest.mark.parametrize("loss", ["before", "after"])
async def test_a_workflows_step_is_asked_for_once(
    loss: str, slack: LocalSlack, bot: app.Bot, wire: CommitWire
) -> None:
    """Slack repeats what was not acknowledged, and what was done by then is the same request."""
    wire.lose("before" if loss == "before" else "after", "requested")
    inputs = {"module": "vps", "invoice": "10101", "channel": ids.PAYMENTS}
    run = await slack.run_workflow_step(STEP, inputs, by="alice")
    await slack.wait_for(lambda: [one for one in slack.messages("#payments") if one.metadata], timeout=20)
    assert wire.lost.is_set()
    assert run.status == "running"
    assert len(await bot.ledger.recent()) == 1
