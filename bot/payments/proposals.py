"""Several invoices at once: which of them may be asked for, by which requests, and what is left out and why.

It is for people to look at before they ask. What they then ask for is decided by the desk, as of one invoice.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal

from bot.domain.batch import MOST_LINES
from bot.domain.payment import Invoice, InvoiceRef, Payment, State
from bot.domain.policy import Refusal, Rule
from bot.domain.schedule import PayOn
from bot.errors import DirectoryError, LedgerUnavailable
from bot.ledger.store import Ledger
from bot.payments.answers import AlreadyRequested, Requested
from bot.payments.approvals import frozen_by
from bot.payments.authority import Authority, Person
from bot.payments.desk import Desk
from bot.payments.requesting import Seen
from bot.payments.unpaid import Listing, UnpaidInvoices

_NOTHING = Decimal(0)


@dataclass(frozen=True, slots=True)
class Line:
    """An invoice to ask for. invoice: as it is listed now; None where that cannot be read."""

    ref: InvoiceRef
    invoice: Invoice | None


@dataclass(frozen=True, slots=True)
class LeftOut:
    """An invoice that is not asked for. why: in plain words. held: the payment that holds it, if one does."""

    ref: InvoiceRef
    why: str
    held: Payment | None = None


@dataclass(frozen=True, slots=True)
class Group:
    """What one request would hold: lines under one rule."""

    rule: Rule
    lines: tuple[Line, ...]

    @property
    def approvals(self) -> int:
        """How many people would have to approve it, as far as its amounts are known."""
        return frozen_by((one.invoice for one in self.lines), self.rule)


@dataclass(frozen=True, slots=True)
class Proposal:
    """What would be asked for, a request a rule.

    unread: modules whose invoices cannot be read now. unclear: what is unpaid as well, and its amount cannot
        be read. more: how many there are beyond what one may ask for at once.
    """

    groups: tuple[Group, ...]
    left_out: tuple[LeftOut, ...]
    unread: tuple[str, ...] = ()
    more: int = 0
    unclear: tuple[InvoiceRef, ...] = ()

    @property
    def lines(self) -> tuple[Line, ...]:
        """All that would be asked for."""
        return tuple(line for group in self.groups for line in group.lines)


Outcome = Requested | AlreadyRequested | Refusal | DirectoryError | LedgerUnavailable
"""What came of one request of several; an error where it is not made, or not known whether it was."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What was asked for by one request, and what came of it."""

    refs: tuple[InvoiceRef, ...]
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class Proposals:
    """Says what may be asked for, and asks for it."""

    desk: Desk
    authority: Authority
    ledger: Ledger
    unpaid: UnpaidInvoices

    async def of_refs(
        self,
        person: Person,
        channel: str,
        refs: Sequence[InvoiceRef],
        *,
        typed_there: bool,
        pay_on: PayOn | None = None,
    ) -> Proposal | Refusal:
        """These invoices, at most `MOST_LINES`; a refusal where none of them may be asked for.

        pay_on: the day on which they are to be sent; None: at once.
        Raises DirectoryError, LedgerUnavailable.
        """
        modules = tuple(dict.fromkeys(ref.module for ref in refs))
        rules = await self._rules(person, channel, modules, typed_there=typed_there)
        allowed = [module for module in modules if isinstance(rules[module], Rule)]
        if not allowed:
            return await self._refused(person, rules[modules[0]], refs)
        listing = await self.unpaid.of(allowed)
        # An empty list may be all that this account ever gets to see, or one in which no amount can be read.
        telling = {one.invoice.ref.module for one in listing.invoices}
        holding = telling | {ref.module for ref in listing.unclear}
        listed = {one.invoice.ref: one.invoice for one in listing.invoices}
        held = {
            payment.ref: payment
            for module in allowed
            for payment in (
                await self.ledger.live(module, [ref.number for ref in refs if ref.module == module])
            ).values()
        }
        lines: list[Line] = []
        left_out: list[LeftOut] = []
        for ref in refs:
            rule, found = rules[ref.module], listed.get(ref)
            if isinstance(rule, Refusal):
                left_out.append(LeftOut(ref, rule.text))
            elif ref in held:
                left_out.append(_held(held[ref]))
            elif ref in listing.unclear and ref.module in telling:
                left_out.append(LeftOut(ref, "its amount cannot be read"))
            elif found is None and ref.module in holding and ref not in listing.unclear:
                left_out.append(LeftOut(ref, "it is not in the list of unpaid invoices"))
            elif found is not None and found.due is None and pay_on == PayOn():
                left_out.append(LeftOut(ref, "it has no due date; name a day, or none to pay at once"))
            else:
                lines.append(Line(ref, found))
        return _proposal(lines, left_out, rules, listing)

    async def of_listed(
        self,
        person: Person,
        channel: str,
        modules: Sequence[str],
        *,
        due_by: date,
        typed_there: bool,
    ) -> Proposal | Refusal:
        """What is unpaid of these modules and due by then, the longest due first; or why nothing may be.

        Raises DirectoryError, LedgerUnavailable.
        """
        rules = await self._rules(person, channel, modules, typed_there=typed_there)
        allowed = [module for module in modules if isinstance(rules[module], Rule)]
        if not allowed:
            return await self._refused(person, rules[modules[0]], modules)
        listing = await self.unpaid.of(allowed)
        due = [one for one in listing.invoices if one.invoice.due is not None and one.invoice.due <= due_by]
        lines = [Line(one.invoice.ref, one.invoice) for one in due if one.requested is None]
        left_out = [_held(one.requested) for one in due if one.requested is not None]
        return replace(_proposal(lines, left_out, rules, listing), unclear=listing.unclear)

    async def lines(self, refs: Sequence[InvoiceRef]) -> list[Line]:
        """These as they are listed now. Raises LedgerUnavailable."""
        listing = await self.unpaid.of(tuple(dict.fromkeys(ref.module for ref in refs)))
        listed = {one.invoice.ref: one.invoice for one in listing.invoices}
        return [Line(ref, listed.get(ref)) for ref in refs]

    async def _refused(self, person: Person, rule: Rule | Refusal, what: Sequence[object]) -> Refusal:
        assert isinstance(rule, Refusal), "bug: nothing of it is allowed"
        await self.desk.record_refusal(person, rule, f"request {', '.join(map(str, what))}")
        return rule

    async def _rules(
        self, person: Person, channel: str, modules: Iterable[str], *, typed_there: bool
    ) -> dict[str, Rule | Refusal]:
        return {
            module: await self.authority.may_request(person, module, channel, typed_there=typed_there)
            for module in modules
        }

    async def request(
        self,
        person: Person,
        channel: str,
        refs: Sequence[InvoiceRef],
        *,
        trigger: str,
        delivery: str | None,
        typed_there: bool,
        response_url: str | None = None,
        note: str | None = None,
        pay_on: PayOn | None = None,
        seen: Seen,
    ) -> tuple[Asked, ...]:
        """Ask for these invoices by a request a rule, and say what came of each.

        trigger: of what was clicked; the same again is the same requests. delivery: of this one click; None
        where Slack does not tell it. Of that, and seen, see `Desk.request`.
        Raises DirectoryError, LedgerUnavailable: then nothing was requested.
        """
        modules = dict.fromkeys(ref.module for ref in refs)
        rules = await self._rules(person, channel, modules, typed_there=typed_there)
        groups: dict[str, list[InvoiceRef]] = {}
        for ref in dict.fromkeys(refs):
            rule = rules[ref.module]
            key = f"rule {rule.name}" if isinstance(rule, Rule) else f"module {ref.module}"
            groups.setdefault(key, []).append(ref)
        asked: list[Asked] = []
        for key, theirs in groups.items():
            try:
                outcome: Outcome = await self.desk.request(
                    person,
                    channel,
                    theirs,
                    trigger_id=f"{trigger}:{hashlib.sha256(key.encode()).hexdigest()[:12]}",
                    delivery=delivery,
                    typed_there=typed_there,
                    response_url=response_url,
                    note=note,
                    pay_on=pay_on,
                    seen=seen,
                )
            except (DirectoryError, LedgerUnavailable) as error:
                if not asked:
                    raise
                outcome = error
            asked.append(Asked(tuple(theirs), outcome))
        return tuple(asked)


def all_requested(asked: Sequence[Asked]) -> bool:
    """Whether all of it is asked for now."""
    return all(isinstance(one.outcome, Requested) for one in asked)


def prices(lines: Iterable[Line]) -> Seen:
    """What they cost, of those whose amount is known."""
    return {one.ref: one.invoice.price for one in lines if one.invoice}


def mark(lines: Sequence[Line]) -> str:
    """What tells these invoices at these amounts from the same at others, short enough for a button."""
    known = prices(lines)
    told = {str(one.ref): known.get(one.ref) for one in lines}
    return hashlib.sha256(repr(sorted(told.items())).encode()).hexdigest()[:16]


def _held(payment: Payment) -> LeftOut:
    paid = payment.state is State.PAID
    return LeftOut(payment.ref, f"it {'was paid' if paid else 'is requested'} already", payment)


def _proposal(
    lines: Sequence[Line],
    left_out: Sequence[LeftOut],
    rules: dict[str, Rule | Refusal],
    listing: Listing,
) -> Proposal:
    groups: dict[str, list[Line]] = {}
    refused: list[LeftOut] = []
    for line in lines[:MOST_LINES]:
        rule = rules[line.ref.module]
        against = rule if isinstance(rule, Refusal) else _over_limit(line, rule)
        if against is not None:
            refused.append(LeftOut(line.ref, against.text))
        else:
            groups.setdefault(_name(rule), []).append(line)
    return Proposal(
        tuple(Group(_rule(rules[found[0].ref.module]), tuple(found)) for found in groups.values()),
        (*left_out, *refused),
        listing.unread,
        max(len(lines) - MOST_LINES, 0),
    )


def _over_limit(line: Line, rule: Rule) -> Refusal | None:
    """What refuses this amount whatever else was asked for today."""
    invoice = line.invoice
    amount, currency = (invoice.amount, invoice.currency) if invoice else (None, None)
    return rule.check_limits(amount, currency, _NOTHING, _NOTHING)


def _rule(rule: Rule | Refusal) -> Rule:
    assert isinstance(rule, Rule), "bug: what is refused is in no group"
    return rule


def _name(rule: Rule | Refusal) -> str:
    return _rule(rule).name
