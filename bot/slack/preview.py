"""Several invoices by one command: only who typed sees them before, with one button that asks for them.

The billing API may be slow, so the preview follows when the lists have been read. Nothing is kept between the
preview and the click but what the button carries; the rules decide anew at the click. Where amounts changed
since, a new preview takes its place. However often it is pressed, it is the same requests.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

from slack_bolt.async_app import AsyncAck, AsyncApp

from bot.domain import command
from bot.domain.batch import MOST_LINES
from bot.domain.command import MAX_NOTE
from bot.domain.payment import InvoiceRef
from bot.domain.policy import Refusal
from bot.domain.schedule import PayOn
from bot.domain.wording import shorten
from bot.errors import DirectoryError, LedgerUnavailable
from bot.payments.answers import AlreadyRequested, Requested
from bot.payments.authority import Person
from bot.payments.proposals import Asked, Group, LeftOut, Line, Proposal, all_requested, mark, prices
from bot.payments.requesting import ANOTHER
from bot.payments.worker import TaskPool
from bot.slack import replies
from bot.slack.blocks import Message, button, paragraph
from bot.slack.delivered import LONGEST_TRIGGER, identifier_in, text_in, understanding
from bot.slack.inbound import Body, Services, clicker, delivery_of, in_time, outcome_of, reading_pool
from bot.slack.listing import fitting, listing
from bot.slack.respond import respond
from bot.slack.schedule_text import OR_AT_ONCE, asked_for
from bot.slack.text import (
    escape,
    invoice_line,
    quote,
    subject_of,
    totals,
    unclear_amounts,
    unescaped,
    when_due,
)

CONFIRM = "request_several"
"""The action id of the button."""

_VALUE = 2000
"""Characters of a button's value that Slack takes."""

_CHANGED = "*Something changed since you looked. Nothing is requested yet.*\n"

_NAMED = 20
"""Invoices that are named one by one where they are left out."""

_LEFT_OUT = 4_000
"""Characters of what is left out and why: each amount may be a reason of its own."""


@dataclass(frozen=True, slots=True)
class Previews:
    """Shows what would be asked for, and asks for it by the desk."""

    services: Services
    pool: TaskPool[str] = field(init=False, default_factory=lambda: reading_pool("previews"))

    def register(self, app: AsyncApp) -> None:
        """Listen for the button."""
        app.action(CONFIRM)(self._confirmed)

    def answer(
        self,
        person: Person,
        channel: str,
        asked: command.Request | command.RequestDue,
        trigger_id: str,
        response_url: str,
    ) -> str | None:
        """What to tell the person at once; None where the preview follows."""
        if trigger_id in self.pool.keys:
            return None  # Slack delivered the command twice
        if self.pool.free <= 0:
            return replies.BUSY
        # A preview that is lost in a crash is asked for again: nothing was requested.
        self.pool.start(trigger_id, self._send(person, channel, asked, trigger_id, response_url))
        return None

    async def _send(
        self,
        person: Person,
        channel: str,
        asked: command.Request | command.RequestDue,
        trigger_id: str,
        response_url: str,
    ) -> None:
        message = await outcome_of(self._message(person, channel, asked, trigger_id))
        told = paragraph(message) if isinstance(message, str) else message
        await respond(self.services.client, response_url, told)

    async def _message(
        self, person: Person, channel: str, asked: command.Request | command.RequestDue, trigger_id: str
    ) -> Message:
        proposals, today = self.services.proposals, self.services.desk.today
        if asked.pay_on is not None and (refusal := self.services.desk.refused_day(asked.pay_on)) is not None:
            return paragraph(replies.refused(refusal))
        if isinstance(asked, command.Request):
            found = await proposals.of_refs(
                person, channel, asked.refs, typed_there=True, pay_on=asked.pay_on
            )
        else:
            due_by = today + timedelta(days=-1 if asked.within is None else asked.within)
            modules = asked.modules or self.services.catalogue.modules
            found = await proposals.of_listed(person, channel, modules, due_by=due_by, typed_there=True)
        if isinstance(found, Refusal):
            return paragraph(replies.refused(found))
        return preview(found, asked.note, trigger_id, today, asked.pay_on)

    async def _confirmed(self, ack: AsyncAck, body: Body, action: Body) -> None:
        async with self.services.gate.entered():
            reply, late = await in_time(outcome_of(self._request(clicker(body), body, action)), ack)
            if not late:
                await ack()
            # What can be tried again keeps its button.
            failed = isinstance(reply, str)
            message = paragraph(reply) if isinstance(reply, str) else reply
            await respond(self.services.client, str(body.get("response_url")), message, instead=not failed)

    async def _request(self, person: Person, body: Body, action: Body) -> Message:
        with understanding():
            trigger, shown, listed, noted, *day = json.loads(action["value"])
            channel, refs = identifier_in(body["channel"]["id"]), _unpacked(listed)
            if not 1 <= len(text_in(trigger)) <= LONGEST_TRIGGER:
                raise ValueError("no trigger")
            note = None if noted is None else text_in(noted)[:MAX_NOTE]
            pay_on = PayOn.read(day[0]) if day else None
        # They see it because they typed there; that they are in the channel is asked all the same.
        asked = await asked_as_shown(
            self.services,
            person,
            channel,
            refs,
            shown=shown,
            # Pressed again, it is the same requests.
            trigger=f"several:{trigger}",
            note=note,
            pay_on=pay_on,
            body=body,
        )
        return asked if isinstance(asked, Message) else requested(asked, self.services.workspace.url)


async def asked_as_shown(
    services: Services,
    person: Person,
    channel: str,
    refs: Sequence[InvoiceRef],
    *,
    shown: object,
    trigger: str,
    note: str | None,
    pay_on: PayOn | None,
    body: Body,
) -> Message | tuple[Asked, ...]:
    """Ask for invoices as they were shown; a preview, and nothing asked for, of what costs something else.

    shown: as `mark`. trigger: as of `Proposals.request`. body: of the click.
    Raises DirectoryError, LedgerUnavailable: then nothing was requested.
    """
    delivery = delivery_of(body)

    async def asking() -> Message | tuple[Asked, ...]:
        lines = await services.proposals.lines(refs)
        seen = prices(lines)
        if mark(lines) != shown:
            seen = dict.fromkeys(refs, ANOTHER)
            now = await services.proposals.of_refs(person, channel, refs, typed_there=False, pay_on=pay_on)
            # What is requested already may be so by this very button; who may not ask is refused next.
            if not (isinstance(now, Refusal) or (not now.lines and all(one.held for one in now.left_out))):
                return preview(now, note, str(body["trigger_id"]), services.desk.today, pay_on, changed=True)
        return await services.proposals.request(
            person,
            channel,
            refs,
            trigger=trigger,
            delivery=delivery,
            typed_there=False,
            response_url=body.get("response_url"),
            note=note,
            pay_on=pay_on,
            seen=seen,
        )

    return await services.desk.once(
        delivery, asking(), lambda asked: not isinstance(asked, Message) and all_requested(asked)
    )


def preview(
    found: Proposal,
    note: str | None,
    trigger: str,
    today: date,
    pay_on: PayOn | None = None,
    *,
    changed: bool = False,
) -> Message:
    """What would be asked for, with its button; and what would not, and why.

    changed: it takes the place of one that is out of date.
    """
    lines = found.lines
    if not lines:
        heading = "There is nothing to ask for."
        return listing(heading, [], endings=[*_left_out(found.left_out), *_unread(found)])
    sum_up = totals(one.invoice for one in lines)
    heading = f"{_CHANGED if changed else ''}*{_count(lines)} · {sum_up}*"
    if pay_on is not None:
        heading = f"{heading}\n*To be sent {asked_for(pay_on)}{OR_AT_ONCE if pay_on.day == today else ''}*"
    if note:
        heading = f"{heading}\n{quote(note, 600)}"
    told = listing(
        heading,
        list(_grouped(found.groups, today)),
        endings=[*_left_out(found.left_out), *_unread(found), *_more(found)],
    )
    day = [] if pay_on is None else [str(pay_on)]
    refs = _packed(one.ref for one in lines)
    value = json.dumps([trigger, mark(lines), refs, note, *day], ensure_ascii=False)
    if len(value) > _VALUE:
        return paragraph("That is more than one button can carry.\nAsk for fewer, or write a shorter note.")
    label = shorten(f"Request {_count(lines)} · {unescaped(sum_up)}", 75)
    press = {
        "type": "actions",
        "block_id": "several",
        "elements": [button(CONFIRM, label, value, style="primary")],
    }
    return Message(told.text, [*told.blocks, press])


def _count(lines: Sequence[Line]) -> str:
    return "1 payment" if len(lines) == 1 else f"{len(lines)} payments"


def _grouped(groups: Sequence[Group], today: date) -> Iterator[str]:
    """The lines; where they fall under several rules, each request under its own heading."""
    for number, group in enumerate(groups, start=1):
        approvals = {0: "no approval needed", 1: "needs 1 approval"}.get(
            group.approvals, f"needs {group.approvals} approvals"
        )
        if len(groups) > 1:
            sum_up = totals(one.invoice for one in group.lines)
            yield f"*Request {number} of {len(groups)}: {_count(group.lines)} · {sum_up}* · {approvals}"
        for line in group.lines:
            yield invoice_line(str(line.ref), line.invoice, when_due(line.invoice, today))
        if len(groups) == 1:
            yield f"_{approvals.capitalize()}._"


def _left_out(left_out: Sequence[LeftOut]) -> Iterator[str]:
    """What is left out, by reason."""
    by_reason: dict[str, list[str]] = {}
    for one in left_out:
        number = f" ({one.held.request.number})" if one.held is not None else ""
        by_reason.setdefault(escape(one.why), []).append(f"`{one.ref}`{number}")
    if not by_reason:
        return
    lines = []
    for why, refs in by_reason.items():
        more = f" and {len(refs) - _NAMED} more" if len(refs) > _NAMED else ""
        lines.append(f"{', '.join(refs[:_NAMED])}{more}: {why}")
    yield "*Left out:*"
    yield from (kept := fitting(lines, _LEFT_OUT))
    if left := sum(map(len, list(by_reason.values())[len(kept) :])):
        yield f"… and {left} more."


def _unread(found: Proposal) -> Iterator[str]:
    if found.unread:
        yield f"Could not be read now: {escape(', '.join(found.unread))}. Amounts there are not known."
    if found.unclear:
        yield unclear_amounts(found.unclear)


def _more(found: Proposal) -> Iterator[str]:
    if found.more:
        yield f"{found.more:,} more are due; ask again for them when these are requested."


def requested(asked: Sequence[Asked], team_url: str) -> Message:
    """What came of it, request by request; what was not asked for is named."""
    told: list[str] = []
    for one in asked:
        outcome = one.outcome
        if isinstance(outcome, Requested):
            told.append(f"Requested: {subject_of(outcome.batch)}. Its card follows.")
            told += [f"`{held.ref}` was requested already: {held.request.number}." for held in outcome.held]
        elif isinstance(outcome, AlreadyRequested):
            if len(one.refs) > 1:
                told.append(f"{_named(one.refs)} were all requested already.")
            told.append(str(replies.said(outcome, team_url)))
        elif isinstance(outcome, Refusal):
            told.append(f"{_named(one.refs)}:\n{replies.refused(outcome)}")
        else:
            told.append(f"{_named(one.refs)}:\n{failed(outcome)}")
    return listing("", told)


def _named(refs: Sequence[InvoiceRef]) -> str:
    """Invoices as they can be typed, the first of many."""
    more = f" and {len(refs) - _NAMED} more" if len(refs) > _NAMED else ""
    return ", ".join(f"`{ref}`" for ref in refs[:_NAMED]) + more


def failed(error: DirectoryError | LedgerUnavailable) -> str:
    """Why it is not requested, or not known whether it is."""
    return replies.SLACK_SILENT if isinstance(error, DirectoryError) else replies.unavailable(error)


def _packed(refs: Iterable[InvoiceRef]) -> str:
    by_module: dict[str, list[str]] = {}
    for ref in refs:
        by_module.setdefault(ref.module, []).append(str(ref.number))
    return ";".join(f"{module} {' '.join(numbers)}" for module, numbers in by_module.items())


def _unpacked(listed: Any) -> list[InvoiceRef]:
    """Read back. Raises ValueError."""
    found = []
    for part in str(listed).split(";"):
        module, *numbers = part.split(" ")
        found += [InvoiceRef(module, int(number)) for number in numbers]
    if not 1 <= len(found) <= MOST_LINES:
        raise ValueError("none, or more than one may ask for at once")
    return found
