"""The step of Workflow Builder: who asks, by which rules, once a run, and how it ends."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web

from bot import app
from bot.domain.payment import State
from bot.sandbox.local_billing import Failure, LocalBilling, nusoap
from bot.sandbox.local_billing.failures import Exchange
from bot.sandbox.local_billing.service import PAYMENT
from bot.sandbox.local_slack import LocalSlack
from bot.sandbox.local_slack import identifiers as ids
from bot.sandbox.local_slack.errors import NotThere
from bot.sandbox.local_slack.workspace import Execution
from bot.slack.workflow_step import STEP
from tests.fixture_types import QUICK, NewSettings, StartBot
from tests.optional_step import with_the_step
from tests.slack.acting import VAIN, approve, at_rest, card, deny, direct, posts, shown
from tests.slack.gateway import Gateway, Said, no

INPUTS = {"module": "vps", "invoice": "10101", "channel": ids.PAYMENTS}


@pytest.fixture
async def slack() -> AsyncIterator[LocalSlack]:
    """A local Slack with the app installed as its manifest's optional part says."""
    async with LocalSlack(manifest=with_the_step(), event_retry_delays=(0.3, 0.3)) as running:
        yield running


async def ended(slack: LocalSlack, run: Execution) -> Execution:
    """The run, when it has ended."""
    await slack.wait_for(lambda: run.status != "running")
    return run


async def test_a_step_ends_with_the_payment(
    slack: LocalSlack, billing: LocalBilling, start_bot: StartBot
) -> None:
    """It completes when the invoice is paid, with what the billing API said; the card names who asked."""
    bot = await start_bot(PAY_APPROVALS_REQUIRED="1")
    run = await slack.run_workflow_step(STEP, INPUTS | {"note": "from\nthe <flow>"}, by="alice")
    await at_rest(bot)
    assert run.status == "running"
    assert "Asked for by <@U0ALICE001>" in shown(card(slack))
    assert "> from the &lt;flow&gt;" in shown(card(slack))
    await approve(slack, card(slack), "bob")
    await ended(slack, run)
    assert run.status == "completed"
    assert run.outputs == {
        "state": "PAID",
        "status_text": "Payment of 10.00 USD for Invoice 10101 Successful.",
        "payment_id": 1,
    }
    await at_rest(bot)
    assert billing.payments_made("vps", 10101) == 1


async def test_who_started_the_workflow_cannot_approve_it(slack: LocalSlack, start_bot: StartBot) -> None:
    """Bob may ask and may approve: through a workflow, too, never his own request."""
    bot = await start_bot(PAY_ALLOWED_USERS=ids.BOB, PAY_APPROVALS_REQUIRED="1")
    await slack.run_workflow_step(STEP, INPUTS, by="bob")
    await at_rest(bot)
    await approve(slack, card(slack), "bob")
    payment = await bot.ledger.payment(1)
    assert payment is not None
    assert payment.state is State.PENDING_APPROVAL


async def test_a_denial_fails_the_step(slack: LocalSlack, start_bot: StartBot) -> None:
    """With the reason, harmless; so a workflow that looks at no output mistakes nothing for a payment."""
    bot = await start_bot(PAY_APPROVALS_REQUIRED="1")
    run = await slack.run_workflow_step(STEP, INPUTS, by="alice")
    await at_rest(bot)
    await deny(slack, card(slack), "bob", "<!channel> no")
    await ended(slack, run)
    assert run.status == "failed"
    assert run.error == "#1 · vps invoice 10101: Denied; nothing was paid. &lt;!channel&gt; no"


async def test_what_the_api_says_stays_text_in_a_workflow(
    slack: LocalSlack, billing: LocalBilling, start_bot: StartBot
) -> None:
    """A workflow may make a message of an output: nothing in it may mention or link anything there."""
    said = {"status": "ok", "status_text": "Paid. <!channel>"}

    async def mention(_: Exchange) -> web.StreamResponse:
        answer = nusoap.response(PAYMENT, nusoap.struct("make_payment_return", said))
        return web.Response(body=answer, headers={"Content-Type": nusoap.CONTENT_TYPE})

    billing.fail(Failure("an answer that mentions a channel", mention, carried_out=True))
    await start_bot()
    run = await ended(slack, await slack.run_workflow_step(STEP, INPUTS, by="alice"))
    assert run.status == "completed", run.error
    assert "&lt;!channel&gt;" in run.outputs["status_text"]
    assert "<" not in run.outputs["status_text"]


async def test_a_declined_payment_fails_the_step(
    slack: LocalSlack, billing: LocalBilling, start_bot: StartBot
) -> None:
    """The billing API's words are in it."""
    billing.fail("declined")
    await start_bot()
    run = await ended(slack, await slack.run_workflow_step(STEP, INPUTS, by="alice"))
    assert run.status == "failed"
    assert "Declined; nothing was paid." in run.error
    assert "The Credit Card on file was declined." in run.error


REFUSED: tuple[tuple[str | None, dict[str, Any], str], ...] = (
    ("mallory", {}, "You are not among those who may request payments."),
    ("gil", {}, "Guests, deactivated people and bots cannot do that."),
    ("xena", {}, "Guests, deactivated people and bots cannot do that."),
    (None, {}, "Nobody started this step whom Slack can name"),
    ("alice", {"channel": ids.RANDOM}, "in this channel"),
    ("alice", {"channel": None}, "The step names no channel."),
    ("alice", {"invoice": "10101 10102"}, "That is not one invoice."),
    # A step pays at once, so a day is not left away.
    ("alice", {"invoice": "10101 on due date"}, "That is not one invoice."),
    ("alice", {"module": "list", "invoice": "vps"}, "That is not one invoice."),
    ("alice", {"module": "resolve", "invoice": "1 paid x"}, "That is not one invoice."),
    ("alice", {"module": "<@U0BOB00001>"}, "a link, a mention or a bracket"),
    ("alice", {"channel": "C> <!channel>"}, "in this channel"),
)


async def test_a_step_that_may_not_ask_fails_at_once(slack: LocalSlack, start_bot: StartBot) -> None:
    """The rules decide about the person whom Slack names; what an author writes is only read."""
    people = f"{ids.ALICE},{ids.GIL},{ids.XENA}"
    bot = await start_bot(PAY_ALLOWED_USERS=people, PAY_ALLOWED_CHANNELS=ids.PAYMENTS)
    for by, inputs, why in REFUSED:
        run = await ended(slack, await slack.run_workflow_step(STEP, INPUTS | inputs, by=by))
        assert run.status == "failed"
        assert why in run.error
        assert "<" not in run.error
    assert await bot.ledger.recent() == []


async def test_a_step_names_no_channel_that_its_person_is_not_in(
    slack: LocalSlack, start_bot: StartBot
) -> None:
    """The author wrote the channel: whoever runs the workflow gets no rule by that which is not theirs."""
    bot = await start_bot()
    for channel in (ids.APPROVALS, ids.FINANCE_PRIVATE, "D0ALICE001", "C0NOWHERE1"):
        run = await ended(
            slack, await slack.run_workflow_step(STEP, INPUTS | {"channel": channel}, by="alice")
        )
        assert run.status == "failed"
        assert "You are not in that channel" in run.error
    assert await bot.ledger.recent() == []


async def test_no_author_can_say_who_asks(slack: LocalSlack, start_bot: StartBot) -> None:
    """The input is Slack's to fill in; and where a manifest makes it a text, the bot refuses the step."""
    with pytest.raises(NotThere):
        await slack.run_workflow_step(STEP, INPUTS | {"requester": {"id": ids.ALICE}}, by="mallory")
    bot = await start_bot()
    weak = slack._workspace.manifest.functions[STEP]["input_parameters"]["requester"]
    for kind in ("string", "slack#/types/user_id"):
        weak["type"] = kind
        for written in (ids.ALICE, {"id": ids.ALICE}):
            run = await slack.run_workflow_step(STEP, INPUTS | {"requester": written}, by="mallory")
            assert "whom Slack can name" in (await ended(slack, run)).error
    assert await bot.ledger.recent() == []


async def test_an_invoice_that_is_requested_already_fails_the_step(
    slack: LocalSlack, start_bot: StartBot
) -> None:
    """And the request that is there goes on."""
    bot = await start_bot(PAY_APPROVALS_REQUIRED="1")
    await slack.person("alice").types("#payments", "/pay vps 10101")
    run = await ended(slack, await slack.run_workflow_step(STEP, INPUTS, by="alice"))
    assert "It was already requested: #1 · vps invoice 10101." in run.error
    assert len(await bot.ledger.recent()) == 1


async def test_an_event_that_comes_twice_asks_once(slack: LocalSlack, start_bot: StartBot) -> None:
    """The run's id is the request's trigger."""
    bot = await start_bot()
    slack.duplicate_next(1)
    run = await ended(slack, await slack.run_workflow_step(STEP, INPUTS, by="alice"))
    assert run.status == "completed"
    await at_rest(bot)
    assert len(await bot.ledger.recent()) == 1


async def test_a_step_that_was_told_to_have_failed_is_never_paid(
    slack: LocalSlack, billing: LocalBilling, start_bot: StartBot
) -> None:
    """What stood in its way is gone when Slack repeats the event; people saw it fail."""
    bot = await start_bot(PAY_APPROVALS_REQUIRED="1")
    await slack.person("alice").types("#payments", "/pay vps 10101")
    await at_rest(bot)
    slack.fail("functions.completeError", "drop-after", 1)
    run = await ended(slack, await slack.run_workflow_step(STEP, INPUTS, by="alice"))
    first = run.error
    assert "It was already requested: #1" in first
    await deny(slack, card(slack), "bob", "no")
    await slack.wait_for(lambda: len(posts(slack, "functions.completeError")) == 2)
    await at_rest(bot)
    assert (run.status, run.error) == ("failed", first)
    assert len(await bot.ledger.recent()) == 1
    assert billing.payments_received("vps", 10101) == 0


async def test_an_event_is_left_to_slack_until_it_can_be_decided(
    slack: LocalSlack, start_bot: StartBot
) -> None:
    """Slack did not say who somebody is: it is not acknowledged, so Slack repeats it, and it counts."""
    slack.fail("users.info", "error:internal_error", 1)
    slack.sockets.ack_deadline = 0.5
    await start_bot()
    run = await ended(slack, await slack.run_workflow_step(STEP, INPUTS, by="alice"))
    assert run.status == "completed"


async def test_the_end_is_told_when_slack_takes_it(slack: LocalSlack, start_bot: StartBot) -> None:
    """A lost answer is told again; that the run had ended by then is no error."""
    bot = await start_bot()
    slack.fail("functions.completeSuccess", "drop-after", 1)
    run = await ended(slack, await slack.run_workflow_step(STEP, INPUTS, by="alice"))
    assert run.status == "completed"
    await at_rest(bot)
    assert await bot.ledger.undelivered() == 0


async def test_the_step_waits_through_a_restart(
    slack: LocalSlack, settings: NewSettings, start_bot: StartBot
) -> None:
    """Another process ends what the first took up: the ledger remembers whose payment it is."""
    async with app.running(settings(PAY_APPROVALS_REQUIRED="1"), timing=QUICK) as first:
        run = await slack.run_workflow_step(STEP, INPUTS, by="alice")
        await at_rest(first)
    await start_bot(PAY_APPROVALS_REQUIRED="1")
    await approve(slack, card(slack), "bob")
    assert (await ended(slack, run)).status == "completed"


class TestAnAilingSlack:
    """The step ends whatever is answered first, or somebody is told that it cannot be ended."""

    @pytest.mark.parametrize(
        "answer",
        [
            no("function_execution_not_found", 502),
            no("temporarily_unavailable"),
            no("internal_error", arrives=True),
            Said(200, b"<html></html>"),
        ],
    )
    async def test_a_step_ends_whatever_is_answered_first(
        self, slack: LocalSlack, gateway: Gateway, start_bot: StartBot, answer: Said
    ) -> None:
        bot = await start_bot(SLACK_API_URL=gateway.url)
        gateway.says("functions.completeSuccess", [answer, answer])
        run = await ended(slack, await slack.run_workflow_step(STEP, INPUTS, by="alice"))
        assert run.status == "completed"
        await at_rest(bot)
        assert await bot.ledger.not_told() == 0

    async def test_a_step_that_cannot_be_ended_is_told_of_at_last(
        self, slack: LocalSlack, gateway: Gateway, start_bot: StartBot
    ) -> None:
        bot = await start_bot(timing=VAIN, SLACK_API_URL=gateway.url)
        gateway.says_always("functions.completeSuccess", no("parameter_validation_failed"))
        await slack.run_workflow_step(STEP, INPUTS, by="alice")
        await at_rest(bot)
        (told,) = direct(slack)
        assert "Paid" in told
        assert "end the workflow's step" in told
        assert await bot.ledger.not_told() == 1
