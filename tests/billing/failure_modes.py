"""What each way in which the local billing API can fail makes of a call: one row a mode, for all tests."""

from __future__ import annotations

from dataclasses import dataclass

from bot.domain.payment import Verdict
from bot.errors import AnswerLost, BillingError, NeverSent, Unreadable

PAID, DECLINED = Verdict.PAID, Verdict.DECLINED
NOT_SENT, UNKNOWN = Verdict.NOT_SENT, Verdict.UNKNOWN


@dataclass(frozen=True, slots=True)
class Expected:
    """payment: what one becomes over an open session. made: how often it was really made.

    read: what a list of invoices raises, where the mode is applied to it.
    first: what a client's very first call becomes, a payment; None of a mode that concerns payments only.
    hangs: the answer, or a part of it, never comes.
    """

    payment: Verdict
    made: int
    read: type[BillingError] | tuple[type[BillingError], ...] | None
    first: Verdict | None = None
    hangs: bool = False


EXPECTED = {
    "declined": Expected(DECLINED, 0, AnswerLost),
    "timeout-before": Expected(UNKNOWN, 0, AnswerLost, hangs=True),
    "timeout-after": Expected(UNKNOWN, 1, AnswerLost, hangs=True),
    "reset-before": Expected(UNKNOWN, 0, AnswerLost),
    "reset-after": Expected(UNKNOWN, 1, AnswerLost),
    "truncated-after": Expected(UNKNOWN, 1, AnswerLost),
    "bad-xml-after": Expected(UNKNOWN, 1, AnswerLost),
    "html-after": Expected(UNKNOWN, 1, AnswerLost),
    "http-500-before": Expected(UNKNOWN, 0, AnswerLost),
    "http-500-after": Expected(UNKNOWN, 1, AnswerLost),
    "http-503-before": Expected(UNKNOWN, 0, AnswerLost),
    "redirect-before": Expected(UNKNOWN, 0, AnswerLost),
    "redirect-after": Expected(UNKNOWN, 1, AnswerLost),
    "fault-before": Expected(UNKNOWN, 0, Unreadable),
    "fault-after": Expected(UNKNOWN, 1, Unreadable),
    "empty-answer-after": Expected(UNKNOWN, 1, AnswerLost),
    "empty-body-after": Expected(UNKNOWN, 1, AnswerLost),
    "missing-status-after": Expected(UNKNOWN, 1, None),
    "odd-status-after": Expected(UNKNOWN, 1, None),
    "shouted-ok": Expected(PAID, 1, None),
    "unknown-type-after": Expected(UNKNOWN, 1, None),
    # A list is read row by row, so 5 MiB are not too long.
    "huge-after": Expected(UNKNOWN, 1, None),
    "huge-compressed-after": Expected(UNKNOWN, 1, None),
    "dtd-after": Expected(UNKNOWN, 1, AnswerLost),
    # References beside a list are not followed: nothing in the list refers to them.
    "expanding-after": Expected(UNKNOWN, 1, None),
    "echo-after": Expected(PAID, 1, None),
    "drip-after": Expected(UNKNOWN, 1, AnswerLost, hangs=True),
    "drip-head-after": Expected(UNKNOWN, 1, AnswerLost, hangs=True),
    "login-blank": Expected(PAID, 1, None, first=NOT_SENT),
    "login-false": Expected(PAID, 1, None, first=NOT_SENT),
    "login-odd": Expected(PAID, 1, None, first=NOT_SENT),
    "login-fault": Expected(PAID, 1, None, first=NOT_SENT),
    "session-expired": Expected(UNKNOWN, 0, None, first=PAID),
    "unreadable": Expected(PAID, 1, Unreadable, first=PAID),
    "unlisted": Expected(PAID, 1, None, first=PAID),
    "unpayable": Expected(PAID, 1, None, first=NOT_SENT),
    "elsewhere": Expected(PAID, 1, None, first=NOT_SENT),
    "no-wsdl": Expected(PAID, 1, None, first=NOT_SENT),
    # A kept connection may be found closed before the call, or by it.
    "down": Expected(NOT_SENT, 0, (NeverSent, AnswerLost), first=NOT_SENT),
    "slow": Expected(UNKNOWN, 1, AnswerLost, first=NOT_SENT, hangs=True),
    # A call that was given up may end, and take the session with it, just before this one.
    "stall": Expected(UNKNOWN, 0, (NeverSent, AnswerLost), first=NOT_SENT, hangs=True),
}

NO_ANSWER = {"reset-before", "reset-after", "truncated-after"}
"""Modes in which the connection ends before the answer does, beside those that hang."""
