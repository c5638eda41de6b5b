"""The announcer: brings Slack in line with the ledger.

A delivery is done when Slack's ts is stored. A post whose answer was lost may have arrived: it is looked
for by its metadata before it is repeated, where the app may read the history; where it may not, it is
posted again, because a reply that comes twice is better than one that never comes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import structlog
from slack_sdk.web.async_client import AsyncWebClient

from bot.domain.payment import Payment, State
from bot.domain.rule import Rule, stricter_requirement
from bot.errors import DirectoryError
from bot.ledger.outbox import Lane
from bot.ledger.rows import Delivery, Event, Kind
from bot.ledger.store import Ledger
from bot.payments.authority import Authority
from bot.payments.desk import required_now
from bot.payments.executor import Steps, no_steps
from bot.payments.poller import Crew
from bot.payments.timing import Timing
from bot.slack import arrivals, messages
from bot.slack.answers import send
from bot.slack.directory import SlackDirectory
from bot.slack.invitations import absent, asks_for_decisions, invitation
from bot.slack.messages import Message, Scene
from bot.slack.pace import Pace
from bot.slack.wire import Later, Posted, Rejected, Workspace, call
from bot.slack.workflows import end_step

log = structlog.get_logger()

_RESPONSE_URL_LASTS = timedelta(minutes=29)
_SETTLES = timedelta(seconds=2)
"""How long Slack may take to show a message that it has in its history."""
_LONGEST_WAIT = 60.0
_CANCELLABLE = (State.PENDING_APPROVAL, State.APPROVED, State.NOT_SENT)
"""What has no card yet and must therefore not be paid."""


class Announcer:
    """Delivers what the outbox holds."""

    def __init__(
        self,
        ledger: Ledger,
        client: AsyncWebClient,
        authority: Authority,
        directory: SlackDirectory,
        workspace: Workspace,
        timing: Timing,
        pace: Pace,
        *,
        instance: str,
        wake: asyncio.Event,
        size: int = 32,
        steps: Steps = no_steps,
    ) -> None:
        self._ledger = ledger
        self._client = client
        self._authority = authority
        self._directory = directory
        self._workspace = workspace
        self._timing = timing
        self._pace = pace
        self._instance = instance
        self._steps = steps
        self.crew: Crew[Lane] = Crew("announcer", size, wake, queues=True)

    async def look(self) -> None:
        """Take what is due, one a lane, so that a slow channel holds up no other."""
        paused = {(channel, updating) for channel in self._pace.paused for updating in (False, True)}
        busy = paused | self.crew.keys
        if self.crew.free <= 0:
            return
        async with self._ledger.transaction() as transaction:
            due = await transaction.outbox.claim(
                owner=self._instance,
                lease=self._timing.lease,
                busy=busy,
                limit=self.crew.free,
            )
        for delivery in due:
            self.crew.start((delivery.channel, delivery.ts is not None), self._one(delivery))

    async def _one(self, delivery: Delivery) -> None:
        await self._turn(delivery)
        payment = await self._ledger.payment(delivery.payment_id)
        assert payment is not None, "bug: payments are never deleted"
        if delivery.kind is Kind.STEP:
            await self._end_step(delivery, payment)
            return
        event = await self._ledger.event(delivery.event_id) if delivery.event_id is not None else None
        scene = await self._scene(payment)
        if delivery.kind is Kind.INVITATION and payment.state is not State.PENDING_APPROVAL:
            await self._give_up(delivery, "decided before it was told")
            return
        message = _render(delivery, event, scene)
        if delivery.ts is not None:
            await self._update(delivery, message)
        else:
            invited: Sequence[str] = ()
            if asks_for_decisions(delivery, payment):
                invited = await absent(self._directory, delivery.channel, scene)
            await self._post(delivery, payment, event, message, invited)

    async def _turn(self, delivery: Delivery) -> None:
        """Wait until Slack takes another message. What it says is read after this, to be up to date."""
        if delivery.kind is not Kind.STEP:
            await (self._pace.post(delivery.channel) if delivery.ts is None else self._pace.update())

    async def _ours(self, delivery: Delivery) -> bool:
        """Whether we may make a call for it, which takes up to half a lease: no other instance begins one.

        Asks the ledger only if time went by since it was claimed.
        """
        assert delivery.lease_until is not None, "bug: only what was claimed is delivered"
        if delivery.lease_until - self._ledger.clock() > self._timing.lease * 0.75:
            return True
        async with self._ledger.transaction() as transaction:
            ours = await transaction.outbox.renew(delivery, lease=self._timing.lease)
        if not ours:
            log.info("another instance tells it", payment=delivery.payment_id, kind=delivery.kind)
        return ours

    async def _scene(self, payment: Payment) -> Scene:
        approvals = await self._ledger.approvals(payment.id)
        approvers = [approval.approver for approval in approvals if approval.approved]
        rule = next((one for one in self._authority.policy.rules if one.name == payment.rule), None)
        if payment.state is State.PENDING_APPROVAL:
            try:
                # What the card asks for is what the rules ask for now, as they will be asked at the click.
                now = await self._authority.rule_of(payment)
                rule = now if isinstance(now, Rule) else rule
                if rule is not None:
                    counting = await self._authority.still_approved_by(rule, approvers, payment.requester)
                    approvers = [one for one in approvers if one in counting]
                    required = stricter_requirement(payment.approvals_required, required_now(rule, payment))
                    payment = replace(payment, approvals_required=required)
            except DirectoryError:
                log.info("card shows approvals unchecked", payment=payment.id)
        return Scene(
            payment=payment,
            approvers=approvers,
            may_approve=(rule.approvers - {payment.requester}) if rule else frozenset(),
            today=self._ledger.clock().date(),
            team_url=self._workspace.url,
            bot_name=self._workspace.bot_name,
        )

    async def _end_step(self, delivery: Delivery, payment: Payment) -> None:
        answer = await end_step(self._client, payment)
        if isinstance(answer, Rejected):
            # Somebody cancelled the workflow's run, or it was told before and the answer was lost.
            log.info("a workflow step had ended", payment=payment.id, error=answer.error)
            await self._give_up(delivery, answer.error)
            return
        await self._settle(delivery, answer)

    async def _give_up(self, delivery: Delivery, why: str) -> None:
        async with self._ledger.transaction() as transaction:
            await transaction.outbox.give_up(delivery, why)

    # -- a message that stands already ------------------------------------------------------------

    async def _update(self, delivery: Delivery, message: Message) -> None:
        assert delivery.ts is not None
        if not await self._ours(delivery):
            return
        answer = await call(
            self._client,
            "chat.update",
            channel=delivery.channel,
            ts=delivery.ts,
            text=message.text,
            blocks=message.blocks,
            metadata=self._metadata(delivery),
        )
        if isinstance(answer, Rejected):
            log.warning("card cannot be updated", payment=delivery.payment_id, error=answer.error)
            async with self._ledger.transaction() as transaction:
                if answer.error == "message_not_found" and delivery.kind is Kind.CARD:
                    await transaction.outbox.card_lost(delivery)
                await transaction.outbox.give_up(delivery, answer.error)
            return
        await self._settle(delivery, answer)

    # -- a new message ----------------------------------------------------------------------------

    async def _post(
        self,
        delivery: Delivery,
        payment: Payment,
        event: Event | None,
        message: Message,
        invited: Sequence[str],
    ) -> None:
        if delivery.ambiguous and (found := await self._arrived(delivery, payment)) is not None:
            await self._settle(delivery, found, invited, earlier=True)
            return
        if delivery.kind is Kind.NOTE and payment.card_lost:
            await self._tell_directly(delivery, payment, "card_lost")
            return
        if delivery.kind is Kind.DIRECT and await self._answered_in_place(delivery, payment, event, message):
            return
        if not await self._ours(delivery):
            return
        await self._steps(f"posting {delivery.kind}", payment.id)
        arguments: dict[str, Any] = {
            "channel": delivery.channel,
            "text": message.text,
            "blocks": message.blocks,
            "metadata": self._metadata(delivery),
            "unfurl_links": False,
            "unfurl_media": False,
        }
        if delivery.kind is Kind.NOTE:
            arguments["thread_ts"] = payment.card_ts
        answer = await call(self._client, "chat.postMessage", **arguments)
        if isinstance(answer, Rejected) and answer.error in ("invalid_blocks", "msg_blocks_too_long"):
            # A bug of ours must not cost anybody the reply: the text alone says the same.
            log.error("blocks refused", payment=payment.id, kind=delivery.kind, error=answer.error)
            del arguments["blocks"]
            if not await self._ours(delivery):
                return
            answer = await call(self._client, "chat.postMessage", **arguments)
        await self._steps(f"posted {delivery.kind}", payment.id)
        if isinstance(answer, Rejected):
            await self._rejected(delivery, payment, answer)
        else:
            await self._settle(delivery, answer, invited)
            await self._steps(f"stored {delivery.kind}", payment.id)

    async def _settle(
        self,
        delivery: Delivery,
        answer: Posted | Later,
        invited: Sequence[str] = (),
        *,
        earlier: bool = False,
    ) -> None:
        """Store that it was told; whoever cannot see the card is asked once it stands.

        earlier: it was found, so it was posted at an earlier try.
        """
        if isinstance(answer, Later):
            await self._later(delivery, answer)
            return
        async with self._ledger.transaction() as transaction:
            stands = transaction.outbox.found if earlier else transaction.outbox.done
            await stands(delivery, ts=answer.ts)
            if not invited:
                return
            payment = await transaction.payment(delivery.payment_id)
            assert payment is not None, "bug: payments are never deleted"
            for person in invited:
                await transaction.outbox.add(payment, Kind.INVITATION, channel=person)

    async def _later(self, delivery: Delivery, answer: Later) -> None:
        wait = (
            answer.after
            if answer.after is not None
            else min(2.0 ** min(delivery.tries, 10), _LONGEST_WAIT) / 2
        )
        if answer.error == "ratelimited":
            self._pace.pause(delivery.channel, wait)
        log.warning(
            "not delivered yet",
            payment=delivery.payment_id,
            kind=delivery.kind,
            error=answer.error,
            wait=wait,
        )
        async with self._ledger.transaction() as transaction:
            due = transaction.now + max(
                timedelta(seconds=wait), _SETTLES if answer.ambiguous else timedelta(0)
            )
            await transaction.outbox.again(
                delivery, due_at=due, ambiguous=answer.ambiguous or delivery.ambiguous
            )

    async def _rejected(self, delivery: Delivery, payment: Payment, answer: Rejected) -> None:
        """It cannot be posted there. No card, no payment; a reply goes to the requester instead."""
        log.warning("not deliverable", payment=payment.id, kind=delivery.kind, error=answer.error)
        if delivery.kind in (Kind.CARD, Kind.APPROVAL_CARD):
            await self._no_card(delivery, payment.id, answer.error)
        elif delivery.kind is Kind.NOTE:
            await self._tell_directly(delivery, payment, answer.error)
        else:
            await self._give_up(delivery, answer.error)

    async def _no_card(self, delivery: Delivery, payment_id: int, error: str) -> None:
        """The requester is told where no card stands, and the thread where only the approvals' is missing."""
        own = delivery.kind is Kind.CARD
        tell, cancellable = (Kind.DIRECT, _CANCELLABLE) if own else (Kind.NOTE, (State.PENDING_APPROVAL,))
        async with self._ledger.transaction() as transaction:
            payment = await transaction.payment(payment_id)
            assert payment is not None, "bug: payments are never deleted"
            await transaction.outbox.give_up(delivery, error)
            reason = "the card could not be posted"
            detail = {"reason": reason, "error": error, "channel": delivery.channel}
            if payment.state in cancellable:
                await transaction.move(
                    payment,
                    State.CANCELLED,
                    action="no_card",
                    actor="announcer",
                    detail=detail,
                    tell=tell,
                    reason=reason,
                )
            elif own and not await transaction.outbox.redirect_notes(payment, error):
                event_id = await transaction.record(
                    "no_card", actor="announcer", payment=payment, detail=detail
                )
                await transaction.outbox.add(payment, Kind.DIRECT, event_id=event_id)

    async def _tell_directly(self, delivery: Delivery, payment: Payment, error: str) -> None:
        async with self._ledger.transaction() as transaction:
            await transaction.outbox.give_up(delivery, error)
            await transaction.outbox.add(payment, Kind.DIRECT, event_id=delivery.event_id)

    async def _answered_in_place(
        self, delivery: Delivery, payment: Payment, event: Event | None, message: Message
    ) -> bool:
        """Tell the person where the command was typed, while Slack still takes that; ephemeral."""
        fresh = self._ledger.clock() - payment.created_at < _RESPONSE_URL_LASTS
        if payment.response_url is None or not fresh or event is None or event.action != "no_card":
            return False
        if not await send(self._client, payment.response_url, message):
            return False
        async with self._ledger.transaction() as transaction:
            await transaction.outbox.done(delivery, ts="response_url")
        return True

    async def _arrived(self, delivery: Delivery, payment: Payment) -> Posted | Later | None:
        return await arrivals.find(
            self._client, self._workspace.bot_id, delivery, payment, self._metadata(delivery)
        )

    def _metadata(self, delivery: Delivery) -> dict[str, Any]:
        return arrivals.metadata(self._ledger.identity, delivery)


def _render(delivery: Delivery, event: Event | None, scene: Scene) -> Message:
    if delivery.kind is Kind.CARD:
        return messages.card(scene)
    if delivery.kind is Kind.APPROVAL_CARD:
        return messages.approval_card(scene)
    if delivery.kind is Kind.INVITATION:
        return invitation(scene)
    assert event is not None, "bug: a note tells an event"
    return messages.note(event, scene) if delivery.kind is Kind.NOTE else messages.direct(event, scene)
