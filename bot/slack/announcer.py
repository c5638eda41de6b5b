"""The announcer: the outbox relay, which brings Slack in line with the ledger.

A delivery is done when Slack's ts is stored. A post whose answer was lost may have arrived: it is looked
for by its metadata before it is repeated, where the app may read the history; where it may not, it is
posted again, because a reply that comes twice is better than one that never comes.

What Slack does not take is tried for days; what it will not take is told to the requester in another way.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import InitVar, dataclass, field
from datetime import timedelta
from typing import Any

import structlog

from bot.about import about_number, go_on_about
from bot.domain.batch import Batch
from bot.domain.events import NoCard
from bot.domain.payment import PaymentRequest
from bot.ledger.outbox import Lane
from bot.ledger.rows import Delivery, Kind
from bot.ledger.store import Ledger
from bot.payments.cards import Undeliverable
from bot.payments.executor import Checkpoint, no_checkpoint
from bot.payments.timing import RESPONSE_URL_LASTS, Timing
from bot.payments.worker import TaskPool
from bot.slack.blocks import Message
from bot.slack.holding import Holding
from bot.slack.pace import Pace
from bot.slack.post_search import Searches, metadata, thread_of
from bot.slack.rendering import Rendered, Renderer, is_said_plainly, ways_to_say
from bot.slack.respond import respond
from bot.slack.web_api import (
    CONTENT,
    WRONG_TOKEN,
    Answer,
    Client,
    Later,
    Posted,
    Rejected,
    post_message,
    query,
)
from bot.slack.workflow_step import end_step

log = structlog.get_logger()

DECIDED = "decided before it was told"
"""Why it was given up to ask for what nobody has to do any more: see `Rendered`."""

_TOGETHER = 20
"""Replies that are told together with the one before them in a thread."""

_ON_ITS_WAY = timedelta(minutes=1)
"""So long before a response_url ends nothing is begun there."""

_REFUSED = (
    "not delivered yet: Slack refuses SLACK_BOT_TOKEN; copy it anew from OAuth & Permissions, with every"
    " scope of the manifest, and start the bot again"
)


@dataclass(slots=True)
class Announcer:
    """Delivers what the outbox holds.

    wake: set when it holds something new. size: deliveries at once.
    """

    ledger: Ledger
    client: Client
    renderer: Renderer
    timing: Timing
    pace: Pace
    instance: str
    wake: InitVar[asyncio.Event]
    checkpoint: Checkpoint = no_checkpoint
    size: InitVar[int] = 32
    pool: TaskPool[Lane] = field(init=False)
    _undeliverable: Undeliverable = field(init=False)
    _holding: Holding = field(init=False)
    _searches: Searches = field(init=False)
    # What may be given up at its next try: Slack was well after this one.
    _reachable: set[int] = field(default_factory=set, init=False)

    def __post_init__(self, wake: asyncio.Event, size: int) -> None:
        self.pool = TaskPool("announcer", size, wake)
        self._undeliverable = Undeliverable(self.ledger)
        self._searches = Searches(self.client, self.renderer.workspace.bot_id, self.ledger.identity)
        self._holding = Holding(self.ledger, self.timing)

    async def poll_once(self) -> None:
        """Take what is due and may go now, one a lane, so that a slow channel holds up no other.

        What has to wait for its turn is left where it is: it holds no place here, and no lease.
        """
        if self.pool.free <= 0:
            return
        paused = {(channel, updating) for channel in self.pace.paused for updating in (False, True)}
        full = {(channel, False) for channel in self.pace.full}
        began = self.ledger.boottime()
        async with self.ledger.transaction() as transaction:
            first = await transaction.outbox.claim(
                owner=self.instance,
                lease=self.timing.lease,
                busy=paused | full | self.pool.keys,
                limit=self.pool.free,
                updates=self.pace.updates,
                lately=self.pace.lately,
            )
            due = [
                (
                    one,
                    await transaction.outbox.claim_with(
                        one, owner=self.instance, lease=self.timing.lease, limit=_TOGETHER
                    ),
                )
                for one in first
            ]
        self.pool.queues = transaction.outbox.left
        for delivery, following in due:
            self._holding.begins((delivery, *following), began, transaction.outbox.taken_over)
            if delivery.ts is not None:
                self.pace.updated()
            elif delivery.kind is not Kind.STEP:
                self.pace.posted(delivery.channel)
            with about_number(delivery.request_id):
                self.pool.start((delivery.channel, delivery.ts is not None), self._one(delivery, following))

    async def _one(self, delivery: Delivery, following: Sequence[Delivery]) -> None:
        batch = await self.ledger.of_request(delivery.request_id)
        if batch is None:
            log.warning("left untold: the ledger was set back, and knows of no such request any more")
            return
        go_on_about(batch)
        if delivery.kind is Kind.STEP:
            await self._end_step(delivery, batch)
            return
        rendered = await self.renderer.render(delivery, batch)
        if rendered.pointless:
            async with self.ledger.transaction() as transaction:
                await transaction.outbox.give_up(delivery, DECIDED)
            await self._leave(following)
        elif delivery.ts is not None:
            await self._update(delivery, batch, rendered)
        else:
            if delivery.ambiguous:
                missing = await self._missing(delivery, batch, rendered, following)
                if missing is None:
                    return
                following = missing
            gathered, together = await self.renderer.gathered(rendered, following, batch)
            await self._leave(following[len(together) :])
            if not await self._post(delivery, batch, gathered, together):
                # Each says something that a plain line for all of them would lose.
                await self._leave(together)
                await self._post(delivery, batch, rendered, ())

    async def _leave(
        self, left: Sequence[Delivery], *, ambiguous: bool = False, wait: timedelta = timedelta(0)
    ) -> None:
        """These are told by the next messages. ambiguous: or stand there already. wait: until then."""
        if left:
            async with self.ledger.transaction() as transaction:
                for one in left:
                    due = transaction.now + wait
                    await transaction.outbox.retry_at(one, due_at=due, ambiguous=ambiguous, counted=False)

    async def _end_step(self, delivery: Delivery, batch: Batch) -> None:
        answer = await end_step(self.client, batch.first)
        if isinstance(answer, Rejected):
            # Somebody cancelled the workflow's run, or it was told before and the answer was lost.
            log.info("a workflow step had ended", payment=batch.number, error=answer.error)
            async with self.ledger.transaction() as transaction:
                await transaction.outbox.give_up(delivery, answer.error)
            return
        await self._store(delivery, batch, answer)

    async def _send(
        self,
        delivery: Delivery,
        batch: Batch,
        method: str,
        message: Message,
        together: Sequence[Delivery] = (),
        **arguments: Any,
    ) -> Answer | None:
        """Send it as well as Slack will have it; several only if it takes all. None: another has it now."""
        refused = ""
        plainly = is_said_plainly(delivery)
        for text, blocks, marked in ways_to_say(message, batch, several=bool(together), plainly=plainly):
            if not await self._holding.all_ours((delivery, *together)):
                return None
            answer = await post_message(
                self.client,
                method,
                text=text,
                **({"blocks": blocks} if blocks or method == "chat.update" else {}),
                channel=delivery.channel,
                **({"metadata": metadata(self.ledger.identity, delivery, together)} if marked else {}),
                **arguments,
            )
            if not isinstance(answer, Rejected) or answer.error not in CONTENT:
                return answer
            # A bug of ours must not cost anybody the reply: the text alone says the same.
            refused = answer.error
            log.error("Slack refuses what it says", payment=batch.number, kind=delivery.kind, error=refused)
        return Rejected(refused) if together else Later(refused, None, ambiguous=False)

    async def _update(self, delivery: Delivery, batch: Batch, rendered: Rendered) -> None:
        answer = await self._send(delivery, batch, "chat.update", rendered.message, ts=delivery.ts)
        if isinstance(answer, Rejected):
            card_lost = answer.error == "message_not_found"
            await self._undeliverable.no_update(delivery, batch.request, answer.error, card_lost=card_lost)
        elif answer is not None:
            await self._store(delivery, batch, answer, rendered)

    async def _post(
        self, delivery: Delivery, batch: Batch, rendered: Rendered, together: Sequence[Delivery]
    ) -> bool:
        """Post it, with those that are told together with it. False: Slack does not take them together."""
        request = batch.request
        in_its_thread = delivery.kind is Kind.THREAD_REPLY and delivery.channel == request.channel
        if in_its_thread and request.cards.lost:
            for one in (delivery, *together):
                await self._undeliverable.directly(one, request, "card_lost")
            return True
        if delivery.kind is Kind.DIRECT and await self._responded(delivery, request, rendered):
            return True
        is_reply = delivery.kind is Kind.THREAD_REPLY
        arguments = {"thread_ts": thread_of(delivery, request)} if is_reply else {}
        await self.checkpoint(f"posting {delivery.kind}", batch.first.id)
        answer = await self._send(
            delivery,
            batch,
            "chat.postMessage",
            rendered.message,
            together,
            unfurl_links=False,
            unfurl_media=False,
            **arguments,
        )
        if isinstance(answer, Rejected):
            if together and answer.error in CONTENT:
                return False
            for one in (delivery, *together):
                await self._undeliverable.refused(one, request, answer.error)
        elif answer is not None:
            await self._store(delivery, batch, answer, rendered, together)
        return True

    async def _store(
        self,
        delivery: Delivery,
        batch: Batch,
        answer: Posted | Later,
        rendered: Rendered | None = None,
        together: Sequence[Delivery] = (),
        *,
        earlier: bool = False,
    ) -> None:
        """Store that it was told; whoever cannot see the card is asked once it stands.

        together: what was told by the same message. earlier: it was found, so it was posted at an earlier
        try.
        """
        if isinstance(answer, Later):
            await self._later(delivery, batch.request, answer, together)
            return
        self._reachable.discard(delivery.id)
        async with self.ledger.transaction() as transaction:
            outbox = transaction.outbox
            if earlier:
                ours = await outbox.mark_found(delivery, ts=answer.ts)
            else:
                ours = await outbox.mark_delivered(delivery, ts=answer.ts, late=self.timing.late)
            for one in together:
                await outbox.mark_delivered(one, ts=answer.ts)
            for person in rendered.invited if rendered and ours else ():
                await outbox.add(batch.request, Kind.INVITATION, channel=person)

    async def _later(
        self, delivery: Delivery, request: PaymentRequest, answer: Later, together: Sequence[Delivery]
    ) -> None:
        """Try again, after growing pauses; or tell it in another way, where that has been tried for days."""
        if answer.ambiguous:
            self._holding.lost((delivery, *together))
        # Who is told when to come back is not kept waiting by a failure.
        told_when = answer.error == "ratelimited" and answer.after is not None
        pause = self.timing.backoff(delivery.tries).total_seconds()
        wait = answer.after or 0.0 if told_when else max(pause, answer.after or 0.0)
        if answer.error == "ratelimited":
            if delivery.ts is None:
                self.pace.pause(delivery.channel, wait)
            else:
                self.pace.pause_updates(wait)
        if not told_when and await self._in_vain(delivery, answer):
            await self._undeliverable.in_vain(delivery, request, answer.error)
            await self._leave(together, ambiguous=answer.ambiguous)
            return
        _log_later("not delivered yet", delivery, answer, wait)
        async with self.ledger.transaction() as transaction:
            due = transaction.now + max(
                timedelta(seconds=wait), self.timing.visible_within if answer.ambiguous else timedelta(0)
            )
            await transaction.outbox.retry_at(
                delivery,
                due_at=due,
                ambiguous=answer.ambiguous or delivery.ambiguous,
                counted=not told_when,
            )
            for one in together:
                await transaction.outbox.retry_at(one, due_at=due, ambiguous=answer.ambiguous, counted=False)

    async def _look_again(self, delivery: Delivery, answer: Later) -> None:
        """Look again later. Always counted: no limit on reading may hold a reply for ever.

        That a history may not be read now says nothing about posting.
        """
        pause = max(self.timing.backoff(delivery.tries), timedelta(seconds=answer.after or 0.0))
        _log_later("not known yet", delivery, answer, pause.total_seconds())
        async with self.ledger.transaction() as transaction:
            await transaction.outbox.retry_at(delivery, due_at=transaction.now + pause, ambiguous=True)

    async def _in_vain(self, delivery: Delivery, answer: Later) -> bool:
        """Whether it was tried for days, and Slack was well before this try and after it.

        While Slack is not, no other way is better: then it is tried until it is, however long that takes.
        """
        if self.timing.tried_for(delivery.tries) < self.timing.deliver_for or answer.error in WRONG_TOKEN:
            return False
        reachable_before = delivery.id in self._reachable
        self._reachable.discard(delivery.id)
        if not isinstance(await query(self.client, "auth.test"), dict):
            return False
        if not reachable_before:
            self._reachable.add(delivery.id)
        return reachable_before

    async def _responded(self, delivery: Delivery, request: PaymentRequest, rendered: Rendered) -> bool:
        """Tell the person that there is no card where the command was typed, while Slack still takes that."""
        fresh = self.ledger.clock() - request.created_at < RESPONSE_URL_LASTS - _ON_ITS_WAY
        no_card = rendered.event is not None and isinstance(rendered.event.what, NoCard)
        if request.response_url is None or not fresh or not no_card:
            return False
        if not await respond(self.client, request.response_url, rendered.message):
            return False
        async with self.ledger.transaction() as transaction:
            await transaction.outbox.mark_delivered(delivery, ts="response_url")
        return True

    async def _missing(
        self, delivery: Delivery, batch: Batch, rendered: Rendered, following: Sequence[Delivery]
    ) -> Sequence[Delivery] | None:
        """It may stand in Slack already, and so may those that follow it, which were to be told with it.

        Those of them that are to be told with it now; None where it stands there, or is to be looked for
        again, or for the first time when it must have arrived if it does.
        """
        if wait := self._holding.may_arrive_within((delivery, *following)):
            await self._leave((delivery, *following), ambiguous=True, wait=wait)
            return None
        age = self.ledger.clock() - delivery.created_at
        sought, found = await self._searches.find(delivery, following, batch.request, age)
        if isinstance(found, Later):
            await self._leave(following, ambiguous=True)
            if self.timing.may_repost(delivery.tries):
                self._searches.forget(delivery)  # what is posted now is newer than what was read
                return ()
            await self._look_again(delivery, found)
            return None
        await self._leave([one for one in following if one not in sought], ambiguous=True)
        async with self.ledger.transaction() as transaction:
            for one in sought:
                if one.id in found:
                    await transaction.outbox.mark_found(one, ts=found[one.id].ts)
        missing = [one for one in sought if one.id not in found]
        if delivery.id not in found:
            return missing
        await self._store(delivery, batch, found[delivery.id], rendered, earlier=True)
        await self._leave(missing)
        return None


def _log_later(what: str, delivery: Delivery, answer: Later, wait: float) -> None:
    """wait: seconds until it is tried again. A refused token is loud, as an operator has to mend it."""
    wrong_token = answer.error in WRONG_TOKEN
    level, text = (log.error, _REFUSED) if wrong_token else (log.warning, what)
    level(text, kind=delivery.kind, error=answer.error, wait=wait)
