"""The form to ask for payments: opened by `/pay` alone, by the shortcut or by a button, and submitted.

It opens at once and says that it reads; the invoices come in when the billing API has told them. What was
entered by then is kept, and a reading that comes after the form was changed or closed is dropped. A module
that is picked is never dropped. The form is acknowledged when the ledger has committed what came of it;
what can be mended stands under the input it belongs to.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from functools import partial

import structlog
from slack_bolt.async_app import AsyncAck, AsyncApp

from bot.domain.payment import InvoiceRef
from bot.domain.policy import Reason, Refusal
from bot.domain.schedule import PayOn
from bot.domain.typed_words import Misunderstood
from bot.errors import DirectoryError, LedgerUnavailable
from bot.payments.answers import AlreadyRequested, Requested
from bot.payments.authority import Person
from bot.payments.proposals import Asked
from bot.payments.worker import TaskPool
from bot.slack import replies
from bot.slack.blocks import View, error_under, notice, showing
from bot.slack.delivered import identifier_in, understanding
from bot.slack.directory import within
from bot.slack.inbound import (
    BEFORE_A_FORM,
    Body,
    Response,
    Services,
    clicker,
    closes,
    delivery_of,
    outcome_of,
    submitted,
)
from bot.slack.pay_form_button import OPEN_FORM, PAY_SEVERAL, Several
from bot.slack.pay_form_entered import Entered
from bot.slack.pay_form_fill import Filling
from bot.slack.pay_form_view import (
    CHANNEL,
    DUE_SOON,
    INVOICES,
    MODULES,
    NUMBERS,
    OVERDUE,
    PAY_FORM,
    SOON,
    Memory,
    Origin,
    PayForm,
    Wanted,
    modules_offered,
    opened_with,
)
from bot.slack.preview import failed, requested
from bot.slack.respond import open_view, respond_to, update_view
from bot.slack.schedule_text import DAY
from bot.slack.text import escape

log = structlog.get_logger()

SHORTCUT = "pay_invoice"
"""The shortcut's callback id in the manifest."""

_AS_TYPED_S = 600
"""Seconds for which a form counts as typed where its command was: a form that stays open may outlast that."""

_AFTER_ACK_S = 0.5
"""Seconds for Slack to show what a form was acknowledged with, before it shows what came of it."""


@dataclass(slots=True)
class PayForms:
    """Opens the form, changes it, and requests by the desk what is submitted."""

    services: Services
    filling: Filling = field(init=False)

    def __post_init__(self) -> None:
        self.filling = Filling(self.services)

    @property
    def pool(self) -> TaskPool[str]:
        """The forms that are being filled in."""
        return self.filling.pool

    def register(self, app: AsyncApp) -> None:
        """Listen for what opens the form, for what changes in it, and for the form."""
        app.shortcut(SHORTCUT)(self._shortcut)
        app.action(OPEN_FORM)(self._pressed)
        app.action(PAY_SEVERAL)(self._pressed_several)
        app.action(MODULES)(self._modules_chosen)
        app.action(OVERDUE)(self._all_overdue)
        app.action(DUE_SOON)(self._all_due_soon)
        app.action(INVOICES)(self.filling.picked)
        app.options(INVOICES)(self.filling.looked_for)
        app.view(PAY_FORM)(self._submitted)

    async def _shortcut(self, ack: AsyncAck, shortcut: Body) -> None:
        async with self.services.gate.entered():
            trigger_id = str(shortcut["trigger_id"])
            opening = self.open(clicker(shortcut), trigger_id, Origin(None, None))
            reply = await outcome_of(opening)
            if reply is not None:
                await open_view(self.services.client, trigger_id, notice(reply))
            await ack()

    async def _pressed(self, ack: AsyncAck, body: Body) -> None:
        await self._open_from(ack, body, None)

    async def _pressed_several(self, ack: AsyncAck, body: Body, action: Body) -> None:
        await self._open_from(ack, body, Several.of(action.get("value")))

    async def _open_from(self, ack: AsyncAck, body: Body, several: Several | None) -> None:
        """Somebody may see a channel, and press a button there, without being in it: so they pick one."""
        async with self.services.gate.entered():
            with understanding():
                suggested = (body.get("channel") or {}).get("id")
                origin = Origin(None, None, suggested=None if suggested is None else identifier_in(suggested))
            reply = await outcome_of(self.open(clicker(body), str(body["trigger_id"]), origin, several))
            await ack()
            if reply is not None:
                await respond_to(self.services.client, body, reply)

    async def open(
        self, person: Person, trigger_id: str, origin: Origin, several: Several | None = None
    ) -> str | None:
        """Open the form; what to tell the person where it did not open.

        several: what to begin with; None: with the module that they asked for last.
        Raises DirectoryError, LedgerUnavailable.
        """
        authority, ledger = self.services.authority, self.services.ledger
        with within(BEFORE_A_FORM):
            choice = await authority.choice_of(person, origin.channel, self.services.catalogue.modules)
        if isinstance(choice, Refusal):
            await self.services.desk.record_refusal(person, choice, "form")
            return replies.refused(choice)
        if several is not None:
            chosen = several.among(choice.modules)
        else:
            latest = await ledger.recent(requester=person.id, limit=1)
            usual = latest[0].first.ref.module if latest else ""
            chosen = (usual if usual in choice.modules else choice.modules[0],)
        form = PayForm(
            memory=Memory(
                replace(origin, suggested=choice.channel or origin.suggested, at=self._now()),
                wanted=Wanted(due_by=several.due_by if several else None),
            ),
            modules=choice.modules,
            opened_with=chosen,
            chosen=chosen,
            listing=None,
            today=self.services.desk.today,
        )
        shown = await open_view(self.services.client, trigger_id, form.view())
        if shown is None:
            return replies.NO_FORM
        self.filling.begin(person, form, shown)
        return None

    async def _modules_chosen(self, ack: AsyncAck, body: Body) -> None:
        await self._make_anew(ack, body, None)

    async def _all_overdue(self, ack: AsyncAck, body: Body) -> None:
        await self._make_anew(ack, body, timedelta(days=-1))

    async def _all_due_soon(self, ack: AsyncAck, body: Body) -> None:
        await self._make_anew(ack, body, SOON)

    async def _make_anew(self, ack: AsyncAck, body: Body, due_within: timedelta | None) -> None:
        """The menu of invoices, for other modules or with other picks. due_within: None keeps the picks."""
        await ack()
        async with self.services.gate.entered():
            shown, today = body["view"], self.services.desk.today
            entered = Entered.of(shown)
            wanted = entered.kept if due_within is None else Wanted(due_by=today + due_within)
            form, person = _anew(shown, entered, wanted, today), clicker(body)
            try:
                refused = await self._refused(person)
            except (DirectoryError, LedgerUnavailable) as error:
                log.info("a form stays as it is", error=str(error))
                return
            if refused is None:
                await self.filling.remake(person, form, body)
            else:
                await update_view(self.services.client, shown, notice(refused), unless_changed=False)

    async def _refused(self, person: Person) -> str | None:
        """Why they may not see invoices any more. Raises DirectoryError, LedgerUnavailable."""
        with within(BEFORE_A_FORM):
            refusal = await self.services.authority.may_see(person)
        if refusal is None:
            return None
        await self.services.desk.record_refusal(person, refusal, "form")
        return replies.refused(refusal)

    async def _submitted(self, ack: AsyncAck, body: Body, view: View) -> None:
        work = self._requested(clicker(body), view, delivery_of(body))
        told_late = partial(self._told_late, view)
        await submitted(self.services.gate, ack, work, block=MODULES, told_late=told_late)

    async def _told_late(self, view: View, outcome: Response | str) -> None:
        """The form is closed by then; what was entered in it is told with the reason."""
        if isinstance(outcome, str):
            told = notice(outcome)
        elif "errors" in outcome:
            told = notice(*(escape(text) for text in outcome["errors"].values()))
        elif outcome.get("view", {}).get("callback_id") == PAY_FORM:
            told = notice("Amounts are not what you picked, and nothing is requested.\nOpen the form again.")
        else:
            told = outcome.get("view") or notice("That is requested; its card follows in the channel.")
        await asyncio.sleep(_AFTER_ACK_S)
        await update_view(self.services.client, view, told, unless_changed=False)

    async def _requested(self, person: Person, view: View, delivery: str | None) -> Response:
        entered, origin = Entered.of(view), Memory.of(view).origin
        refs = entered.invoices(self.services.catalogue.modules)
        if isinstance(refs, Misunderstood):
            return error_under(NUMBERS if entered.typed else entered.menu or NUMBERS, refs.problem)
        if entered.wanted != Wanted():
            # Nobody sees now what is picked, nor what it costs.
            still = "The invoices are still being read. Try again in a moment, or pick the modules anew."
            return error_under(MODULES, still)
        if not refs:
            return error_under(entered.menu or NUMBERS, "Which invoices? Pick them, or type their numbers.")
        channel = origin.channel or entered.channel
        if channel is None:
            return error_under(CHANNEL, "Pick the channel where the payment is asked for.")
        pay_on = entered.pay_on
        if isinstance(pay_on, str):
            return error_under(DAY, pay_on)
        asking = self._asked(person, view, entered, refs, channel, pay_on, delivery)
        return await self.services.desk.once(delivery, asking, closes)

    async def _asked(
        self,
        person: Person,
        view: View,
        entered: Entered,
        refs: Sequence[InvoiceRef],
        channel: str,
        pay_on: PayOn | None,
        delivery: str | None,
    ) -> Response:
        """Ask for what was entered, where it costs what it shows."""
        origin = Memory.of(view).origin
        if changed := await self._changed(person, view, entered):
            return {"response_action": "update", "view": changed}
        what = repr((sorted(map(str, refs)), str(pay_on)))
        what = hashlib.sha256(what.encode()).hexdigest()[:16]
        asked = await self.services.proposals.request(
            person,
            channel,
            refs,
            # Sent again, it is the same requests; with other invoices or another day, it is others.
            trigger=f"view:{view['id']}:{what}",
            delivery=delivery,
            typed_there=origin.channel is not None and abs(self._now() - origin.at) <= _AS_TYPED_S,
            response_url=origin.response_url,
            note=entered.note,
            pay_on=pay_on,
            seen={one.ref: f"{one.cost[0]:f} {one.cost[1]}" for one in entered.picks if one.cost is not None},
        )
        if not any(isinstance(one.outcome, Requested) for one in asked):
            return error_under(_place(asked, entered, origin), _nothing(asked))
        if all(isinstance(one.outcome, Requested) and not one.outcome.held for one in asked):
            return {}
        told = requested(asked, self.services.workspace.url)
        return {"response_action": "update", "view": showing(told)}

    def _now(self) -> int:
        return int(self.services.ledger.clock().timestamp())

    async def _changed(self, person: Person, shown: View, entered: Entered) -> View | None:
        """The form with what the invoices cost now; None where that is what it shows.

        An amount that was shown and cannot be read now is another one: what is asked for then is asked for
        at any amount. What is not listed any more is told by the look-up.
        Raises DirectoryError, LedgerUnavailable.
        """
        if not entered.picks or await self.services.authority.may_see(person) is not None:
            return None  # whoever may not see it any more is refused next
        listing = await self.services.unpaid.of(entered.modules)
        costs = {
            one.invoice.ref: (one.invoice.amount, one.invoice.currency)
            for one in listing.invoices
            if one.requested is None
        }
        changed = tuple(
            one
            for one in entered.picks
            if one.cost is not None
            and (listing.tells_nothing_of(one.ref) or costs.get(one.ref, one.cost) != one.cost)
        )
        if not changed:
            return None
        form = _anew(shown, entered, entered.kept, self.services.desk.today)
        filled = await self.filling.filled(person, form, listing, entered.channel)
        return replace(filled, changed=changed).view()


def _anew(shown: View, entered: Entered, wanted: Wanted, today: date) -> PayForm:
    """The form with another menu of invoices, which begins with what is wanted."""
    memory = Memory.of(shown)
    with understanding():
        offered, begun = modules_offered(shown), opened_with(shown)
    chosen = tuple(one for one in offered if one in entered.modules)
    return PayForm(
        memory=Memory(memory.origin, memory.serial + 1, wanted if chosen else Wanted()),
        modules=offered,
        opened_with=begun,
        chosen=chosen,
        listing=None,
        today=today,
    )


def _place(asked: Sequence[Asked], entered: Entered, origin: Origin) -> str:
    """The input under which it belongs that nothing was requested."""
    for outcome in (one.outcome for one in asked):
        if isinstance(outcome, Refusal):
            if outcome.reason is Reason.DAY:
                return DAY
            about_it = outcome.reason in (Reason.CHANNEL, Reason.NOT_IN_CHANNEL)
            return CHANNEL if about_it and origin.channel is None else MODULES
    return NUMBERS if entered.typed or entered.menu is None else entered.menu


def _nothing(asked: Sequence[Asked]) -> str:
    """Why nothing was requested: plain text."""
    told: list[str] = []
    for one in asked:
        outcome = one.outcome
        if isinstance(outcome, AlreadyRequested) and len(one.refs) > 1:
            told.append(f"All {len(one.refs)} were requested already, the first by {outcome.payment.number}.")
        elif isinstance(outcome, AlreadyRequested | Refusal):
            told.append(replies.in_plain_words(outcome))
        elif not isinstance(outcome, Requested):
            told.append(failed(outcome))
    return " ".join(dict.fromkeys(told))
