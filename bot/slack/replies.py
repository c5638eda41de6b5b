"""What one person is told at once, and nobody else: what is wrong, and in the next line how to go on."""

from __future__ import annotations

from bot.domain.batch import Batch
from bot.domain.payment import PaymentRequest, State
from bot.domain.policy import OF_AMOUNTS, Reason, Refusal
from bot.domain.typed_words import Misunderstood
from bot.domain.wording import too_late_to_pause
from bot.errors import CommitLost, LedgerUnavailable
from bot.payments import answers
from bot.payments.pausing import Paused, Resumed
from bot.slack.text import (
    asking,
    cost_of,
    escape,
    link,
    mention,
    mentions,
    moment,
    person_or_operator,
    places,
    standing,
    standing_of,
    subject,
    subject_of,
)

TRY_AGAIN = "That did not work just now, and nothing was done.\nTry again in a minute."
NOT_KNOWN = (
    "The answer of my own record was lost, so it is not known whether that was done.\n"
    "Look before you do it again: type `/pay mine`, or see the card. An invoice is never paid twice."
)
TAKES_LONGER = (
    "This takes longer than it should, and goes on.\n"
    "If nothing comes of it within a minute, do it again; an invoice is never paid twice."
)
SLACK_SILENT = (
    "Slack did not say in time whether you may do that, so nothing was done.\nTry again in a minute."
)

BUSY = "Too much is being read just now, so this was not.\nTry again in a minute."
NOT_UNDERSTOOD = (
    "Nothing was done: I do not know this button or form; perhaps another version of me made it.\n"
    "Open it again, or type `/pay help`."
)
NO_FORM = (
    "The form did not open, and nothing was done.\n"
    "Try again in a minute, or type `/pay &lt;module&gt; &lt;invoice&gt;`."
)


def unavailable(error: LedgerUnavailable) -> str:
    """The record could not be reached. "Nothing was done" is said only where that is known."""
    return NOT_KNOWN if isinstance(error, CommitLost) else TRY_AGAIN


def said(answer: answers.Answer, team_url: str) -> str | None:  # noqa: PLR0911 - a case an answer
    """What came of it; None where the card says it all."""
    match answer:
        case answers.Requested():
            return None
        case answers.Done(batch):
            return f"{subject_of(batch)}: {_state(batch)}.\n{_where(batch.request, team_url)}"
        case answers.AlreadyRequested(payment):
            past = "paid" if payment.state is State.PAID else "requested"
            return (
                f"{payment.ref.module} invoice {payment.ref.number} was already {past}; it is"
                f" {payment.number}.\n{' '.join(standing(payment))}. {_where(payment.request, team_url)}"
            )
        case answers.NotFound(request_id):
            return not_found(request_id)
        case answers.Forgotten(request):
            return (
                f"Nothing was done: {request.number} is another request now than the one that you see.\n"
                "My record was set back since then; ask for the invoice again if it is still to be paid."
            )
        case answers.NotYours(batch):
            return (
                f"Nothing was done: {subject_of(batch)} was asked for by somebody else.\n"
                f"Only {mention(batch.request.requester)} can do that."
            )
        case answers.TooEarly(payment, until):
            return (
                f"The call for {subject(payment)} may still be carried out, so it cannot be called not paid"
                f" yet.\nLook again after {moment(until)}; if it was paid, you can say so now."
            )
        case answers.WhichInvoice(batch):
            unknown = batch.within((State.UNKNOWN,))
            return (
                f"{len(unknown)} payments of {batch.number} are unknown, so it is not clear which you mean.\n"
                f"Name the invoice, as in `/pay resolve {batch.request.id} {unknown[0].ref} paid`."
            )
        case answers.AlreadyApproved(batch, approvals):
            people = "1 more person" if approvals.awaited == 1 else f"{approvals.awaited} more people"
            return (
                f"You approved {subject_of(batch)} before; each person counts once.\nIt waits for {people}."
            )
        case answers.Outdated(batch):
            return (
                f"{subject_of(batch)} is {cost_of(batch)}, which what you clicked did not show;"
                " your approval was not counted.\nLook at the card again, and approve it there."
            )
        case answers.AlreadyDecided(batch):
            return (
                f"Nothing was done: {subject_of(batch)} is past that.\n"
                f"{_state(batch)}. {_where(batch.request, team_url)}"
            )
        case Refusal():
            return refused(answer)


def in_plain_words(answer: answers.Answer) -> str:
    """The same for a place that takes plain text only: no mentions, no links, nothing escaped."""
    match answer:
        case Refusal(text=text, remedy=remedy):
            return f"{text} {remedy or 'Ask somebody who may pay more.'}"
        case answers.AlreadyRequested(payment):
            past = "paid" if payment.state is State.PAID else "requested"
            return f"It was already {past}: {subject(payment)}. {standing(payment)[1]}."
        case answers.TooEarly(payment):
            return f"{subject(payment)}: {standing(payment)[1]}."
        case answers.NotFound(request_id):
            return f"There is no payment #{request_id}."
        case answers.Forgotten(request):
            return f"{request.number} is another request now."
        case _:
            return f"{subject_of(answer.batch)}: {standing_of(answer.batch)[1]}."


def misunderstood(command: Misunderstood) -> str:
    """What is wrong with what was typed, and how to go on."""
    return f"{escape(command.problem)}\n{escape(command.remedy)}"


def refused(refusal: Refusal) -> str:
    """Why not, and whom to ask."""
    lines = [escape(refusal.text), escape(refusal.remedy)]
    if refusal.channels:
        lines[1] += f" {places(refusal.channels)}"
    if refusal.reason in OF_AMOUNTS:
        lines[1] = asking(refusal.remedy, refusal.ask)
    elif refusal.ask:
        decision = refusal.reason in (Reason.OWN_REQUEST, Reason.NOT_APPROVER)
        lines[1] += f" {mentions(refusal.ask)} may {'approve it' if decision else 'know'}."
    return "\n".join(lines)


def _state(batch: Batch) -> str:
    return " ".join(standing_of(batch))


def _where(request: PaymentRequest, team_url: str) -> str:
    if request.cards.ts is None:
        return "Its card follows."
    return f"<{link(team_url, request.channel, request.cards.ts)}|See its card>."


def of_pausing(answer: Paused | Resumed | Refusal) -> str:
    """What came of stopping all sending, or of letting it go on."""
    match answer:
        case Refusal():
            return refused(answer)
        case Paused(pause, before, sending):
            why = f", who said: {escape(pause.reason)}" if pause.reason else ""
            since = f"It was paused {moment(pause.at)} by {person_or_operator(pause.by)}{why}."
            first = since if before else "Sending is paused: no payment is begun from now on, anywhere."
            late = f"\n{too_late_to_pause(sending)}" if sending else ""
            go_on = "Requests and approvals go on and wait. Type `/pay resume` to let them be paid."
            return f"{first}{late}\n{go_on}"
        case Resumed(None):
            return "Sending was not paused.\nType `/pay pending` to see what waits for approval."
        case Resumed(pause):
            assert pause is not None, "bug: the case above"
            return (
                f"Sending goes on; it was paused since {moment(pause.at)}"
                f" by {person_or_operator(pause.by)}.\n"
                "What is approved is paid now, or on its day, unless its time is over."
            )


def unexpected(reference: str) -> str:
    """Something broke that should not; the reference stands in the log as well."""
    return (
        "Something went wrong, and it is not your fault.\n"
        f"Ask the people who run this bot; reference {reference}."
    )


def not_found(request_id: int) -> str:
    """There is no such payment."""
    return f"There is no payment #{request_id}.\nType `/pay mine` to see your own."
