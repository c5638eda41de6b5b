"""`/pay list`, `status`, `mine`, `pending`, `scheduled`: for who may request or approve; others are refused.

Histories and amounts are theirs to see, and nobody else's. What the ledger knows is told at once; the
billing API may be slow, so the list of unpaid invoices follows when it has been read. Every list keeps
Slack's limits, whatever the numbers: it shows the first, and says how many more.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta

from bot.domain import command
from bot.domain.batch import Batch
from bot.errors import DirectoryError, LedgerUnavailable
from bot.ledger.records import Unread, Wanted, records
from bot.ledger.rows import Event
from bot.payments.authority import Choice, Person
from bot.payments.overview import MOST, Pending, Scheduled, Waiting
from bot.payments.unpaid import Listing, Unpaid
from bot.payments.worker import TaskPool
from bot.slack import replies
from bot.slack.blocks import Message, paragraph
from bot.slack.card import line_of
from bot.slack.history_text import history
from bot.slack.inbound import Services, reading_pool
from bot.slack.listing import ROOM, listing
from bot.slack.pay_form_button import Several
from bot.slack.report_view import Summary, month_in_words
from bot.slack.respond import respond
from bot.slack.schedule_text import to_be_sent
from bot.slack.text import (
    cost_of,
    escape,
    invoice_line,
    link,
    mention,
    moment,
    overdue_or_due,
    standing_of,
    subject_of,
    totals,
    unclear_amounts,
)

Asked = (
    command.ListUnpaid
    | command.StatusOfInvoice
    | command.StatusOfPayment
    | command.Mine
    | command.Pending
    | command.Scheduled
    | command.Report
)

_MINE = 15
"""Of their own requests, people see so many."""


@dataclass(frozen=True, slots=True)
class Lists:
    """Answers what is only read."""

    services: Services
    pool: TaskPool[str] = field(init=False, default_factory=lambda: reading_pool("lists"))

    async def answer(
        self, person: Person, asked: Asked, *, trigger_id: str, response_url: str
    ) -> Message | str | None:
        """What to tell the person at once; None where it follows.

        Raises DirectoryError, LedgerUnavailable.
        """
        ledger, team_url = self.services.ledger, self.services.workspace.url
        refusal = await self.services.authority.may_see(person)
        if refusal is not None:
            await self.services.desk.record_refusal(person, refusal, type(asked).__name__)
            return replies.refused(refusal)
        match asked:
            case command.ListUnpaid(module):
                return self._list(person, module, trigger_id, response_url)
            case command.StatusOfInvoice(ref):
                payment = await ledger.latest(ref)
                if payment is None:
                    nobody = f"Nobody has asked for {ref.module} invoice {ref.number} here."
                    return paragraph(f"{nobody}\nType `/pay {ref}` to ask for it.")
                batch = await ledger.of_request(payment.request.id)
                return replies.not_found(payment.request.id) if batch is None else await self._status(batch)
            case command.StatusOfPayment(request_id):
                batch = await ledger.of_request(request_id)
                return replies.not_found(request_id) if batch is None else await self._status(batch)
            case command.Mine():
                return mine(await ledger.recent(requester=person.id, limit=_MINE), team_url)
            case command.Pending():
                return await self._pending(person)
            case command.Report(month):
                return await self._report(month)
            case command.Scheduled():
                return scheduled(await self.services.overview.scheduled(), team_url)

    async def _status(self, batch: Batch) -> Message:
        events = await self.services.ledger.history(batch.request.id)
        today = self.services.desk.today
        return status(batch, events, self.services.workspace.url, today)

    async def _report(self, month: date | None) -> Message:
        begin = (month or self.services.ledger.clock().date()).replace(day=1)
        end = (begin + timedelta(days=32)).replace(day=1)
        since, until = (datetime.combine(day, time(), UTC) for day in (begin, end))
        summary = Summary()
        async with aclosing(records(self.services.ledger, Wanted(since, until))) as found:
            async for record in found:
                if isinstance(record, Unread):
                    summary.unread += record.count
                else:
                    summary.add(record.payment)
        return month_in_words(summary, begin)

    async def _pending(self, person: Person) -> Message:
        overview = self.services.overview
        found = await overview.pending(person)
        first = await overview.standing(found.mine[:MOST], mine=True)
        first += await overview.standing(found.others[: MOST - len(first)], mine=False)
        return pending(found, first, self.services.workspace.url)

    def _list(self, person: Person, module: str | None, trigger_id: str, response_url: str) -> str | None:
        if trigger_id in self.pool.keys:
            return None  # Slack delivered the command twice
        if self.pool.free <= 0:
            return replies.BUSY
        # A list that is lost in a crash is asked for again: it is the one answer that need not last.
        self.pool.start(trigger_id, self._send_list(person, module, response_url))
        return None

    async def _send_list(self, person: Person, module: str | None, response_url: str) -> None:
        modules = (module,) if module else self.services.catalogue.modules
        try:
            found = await self.services.unpaid.of(modules)
        except LedgerUnavailable:
            message = paragraph(replies.TRY_AGAIN)
        else:
            message = unpaid(found, module, self.services.desk.today)
            if any(one.requested is None for one in found.invoices) and await self._may_ask(person, modules):
                pay = {"type": "actions", "block_id": "unpaid", "elements": [Several(module).button()]}
                message = Message(message.text, [*message.blocks, pay])
        await respond(self.services.client, response_url, message)

    async def _may_ask(self, person: Person, modules: Sequence[str]) -> bool:
        """Whether they may ask for any of it; no button is better than one that is refused."""
        try:
            return isinstance(await self.services.authority.choice_of(person, None, modules), Choice)
        except DirectoryError:
            return False


def unpaid(found: Listing, module: str | None, today: date, *, room: int = ROOM) -> Message:
    """The unpaid invoices, what is overdue first. module: the one that was asked for; None for all."""
    of = f" of {escape(module)}" if module else ""
    overdue = [one for one in found.invoices if _is_overdue(one, today)]
    others = [one for one in found.invoices if not _is_overdue(one, today)]
    lines = [
        *_group(":warning: *Overdue", overdue, today),
        *_group("*Due later" if overdue else "", others, today),
    ]
    count = len(found.invoices)
    sum_up = totals(one.invoice for one in found.invoices)
    heading = f"*{count:,} unpaid invoice{'' if count == 1 else 's'}{of} · {sum_up}*"
    if not lines:
        heading = "" if found.unread or found.unclear else f"There is no unpaid invoice{of}."
    problems = []
    if found.unread:
        names = escape(", ".join(found.unread))
        problems.append(f"Could not be read now: {names}.\nTry again in a minute; paying works all the same.")
    if found.unclear:
        problems.append(unclear_amounts(found.unclear))
    remedy = "" if module else " Type `/pay list &lt;module&gt;` to see one module's."
    return listing(heading, lines, remedy, problems, room=room)


def _is_overdue(one: Unpaid, today: date) -> bool:
    return one.invoice.due is not None and one.invoice.due < today


def _group(title: str, invoices: Sequence[Unpaid], today: date) -> Iterator[str]:
    """A line an invoice, and above the first what they add up to."""
    for number, one in enumerate(invoices):
        line = _invoice(one, today)
        if number or not title:
            yield line
        else:
            yield f"{title} · {len(invoices):,} · {totals(each.invoice for each in invoices)}*\n{line}"


def _invoice(one: Unpaid, today: date) -> str:
    """What can be typed for it, and what it is."""
    invoice, requested = one.invoice, one.requested
    usage = f"/pay {invoice.ref}" if requested is None else f"/pay status {invoice.ref}"
    line = invoice_line(usage, invoice, overdue_or_due(invoice.due, today), most=100)
    return line if requested is None else f"{line} · _requested already, {requested.number}_"


def mine(batches: Sequence[Batch], team_url: str) -> Message:
    """Somebody's own requests, the newest first."""
    lines = [_request(one, team_url) for one in batches]
    heading = (
        "*Your latest requests*"
        if lines
        else "You have asked for nothing yet.\nType `/pay &lt;module&gt; &lt;invoice&gt;`."
    )
    return listing(heading, lines)


def pending(found: Pending, first: Sequence[Waiting], team_url: str) -> Message:
    """What waits for approval; what is the reader's to decide, and expires first, comes first.

    first: those of them that are shown; the others are counted.
    """
    lines = []
    for one in first:
        request = one.batch.request
        line = (
            f"{_request(one.batch, team_url)} · asked for by {mention(request.requester)}"
            f" · {one.approvals.awaited} missing · until {moment(request.expires_at)}"
        )
        lines.append(f"*Waits for you* · {line}" if one.mine else line)
    if not lines:
        return listing("Nothing waits for approval.", lines)
    every = [*found.mine, *found.others]
    heading = f"*Waiting for approval: {len(every):,} · {_totals(every)}*"
    if found.mine:
        heading += f"\n*Waiting for you: {len(found.mine):,} · {_totals(found.mine)}*"
    remedy = " Those that wait for you are on my Home tab." if found.mine else ""
    endings = [unsure(found.unsure)] if found.unsure else []
    return listing(heading, lines, remedy, endings, left_out=len(every) - len(lines))


def scheduled(found: Scheduled, team_url: str) -> Message:
    """What is to be paid on a day, what is paid next before the others."""
    lines = [
        f"{_request(one, team_url)} · asked for by {mention(one.request.requester)}" for one in found.approved
    ]
    lines += [
        f"{_request(one, team_url)} · to be sent {to_be_sent(one.waiting)}"
        f" · asked for by {mention(one.request.requester)}"
        for one in found.asked
    ]
    if not lines:
        return listing("Nothing waits for its day.", lines)
    approved = [one for batch in found.approved for one in batch.scheduled]
    heading = f"*Scheduled: {len(found.approved):,}"
    heading += f" · {totals(one.invoice for one in approved)}*" if approved else "*"
    if found.asked:
        heading += f"\n*Waiting for approval before: {len(found.asked):,} · {_totals(found.asked)}*"
    endings = ["Who asked for it can withdraw it on its card until it is sent."]
    return listing(heading, lines, endings=endings)


def unsure(count: int) -> str:
    """Of so many Slack did not say whether they are the reader's to decide."""
    return (
        f"Of {count:,} Slack did not say in time whether they wait for you; try again in a minute, or look at"
        " their cards."
    )


def status(batch: Batch, events: Sequence[Event], team_url: str, today: date) -> Message:
    """How a request stands, and how that came about."""
    heading = f"{_request(batch, team_url)} · asked for by {mention(batch.request.requester)}"
    each = [f"{one.line}. {line_of(one, batch, today)}" for one in batch.payments] if batch.several else []
    return listing(heading, [*each, *history(events)])


def _totals(batches: Sequence[Batch]) -> str:
    return totals(one.invoice for batch in batches for one in batch.asked_about)


def _request(batch: Batch, team_url: str) -> str:
    emoji, words = standing_of(batch)
    what, ts = subject_of(batch), batch.request.cards.ts
    linked = f"<{link(team_url, batch.request.channel, ts)}|{what}>" if ts else what
    return f"{linked} · {cost_of(batch)} · {emoji} {words}"
