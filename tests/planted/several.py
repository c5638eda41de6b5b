"""Faults in what keeps requests of several payments safe: the total, joint moves, and who is told what."""

from __future__ import annotations

from tests.planted.breaks import Break

_TRANSACTION, _APPROVALS, _DESK = "ledger/transaction.py", "payments/approvals.py", "payments/desk.py"
_RISK = "payments/test_batches_at_risk"
_BATCHES = "payments/test_batches"

BREAKS = (
    Break(
        "a-decision-moves-some-of-those-that-are-in-a-state",
        _TRANSACTION,
        "if not alone and (others :=",
        "if alone and (others :=",
        seen_by=f"{_BATCHES}:test_a_line_whose_state_was_forged_takes_no_other_along",
        case="PAID",
    ),
    Break(
        "splitting-into-small-ones-helps",
        _APPROVALS,
        "for one in chain(each, totals)), default=0)",
        "for one in each), default=0)",
        seen_by=f"{_BATCHES}:test_the_total_decides_how_many_must_approve",
    ),
    Break(
        "what-was-paid-does-not-count-in-what-the-rest-takes",
        _APPROVALS,
        "frozen_by((one.invoice for one in batch.held), rule))",
        "frozen_by((one.invoice for one in batch.within(('APPROVED', 'PENDING_APPROVAL'))), rule))",
        seen_by=f"{_RISK}:test_what_was_paid_of_it_counts_in_what_the_rest_takes",
    ),
    Break(
        "what-is-asked-about-again-is-not-all-that-an-approval-lets-go",
        "domain/batch.py",
        "return self.within(_MAY_YET_BE_SENT) if self.waiting else ()",
        "return self.waiting",
        seen_by=f"{_RISK}:test_what_was_not_sent_waits_while_the_others_are_asked_about_again",
    ),
    Break(
        "what-was-not-sent-is-cancelled-while-the-others-wait",
        "payments/preflight.py",
        "        if approvals.missing and batch.waiting:\n",
        "        if approvals.missing and not batch.waiting:\n",
        seen_by=f"{_RISK}:test_what_was_not_sent_waits_while_the_others_are_asked_about_again",
    ),
    Break(
        "a-price-that-was-not-shown-is-approved",
        _DESK,
        "                or batch.several\n",
        "",
        seen_by=f"{_BATCHES}:test_a_click_that_shows_no_price_or_another_approves_nothing",
    ),
    Break(
        "a-price-says-nothing-of-how-many-they-are",
        "domain/batch.py",
        'return f"{whole}; {len(lines)} payments"',
        "return whole",
        seen_by=f"{_BATCHES}:test_a_click_that_shows_no_price_or_another_approves_nothing",
    ),
    Break(
        "what-was-approved-stays-where-a-credit-is-taken-out",
        _DESK,
        "                await transaction.void_approvals(batch.request)\n",
        "",
        seen_by=f"{_RISK}:test_taking_a_credit_out_voids_what_was_approved",
    ),
    Break(
        "one-that-was-asked-again-takes-nobody-along",
        "payments/executor.py",
        "asked = [one for one in approved if one.line not in gone]",
        "asked = [one for one in kept if one.id == payment.id]",
        seen_by=f"{_BATCHES}:test_an_amount_that_becomes_known_is_asked_about_again_with_all_of_it",
    ),
    Break(
        "a-part-of-a-request-is-decided-on",
        "ledger/rows.py",
        "    if len(lines) != request.size:\n",
        "    if not request.size:\n",
        seen_by=f"{_RISK}:test_a_request_of_which_rows_are_missing_is_not_decided_on",
        case="2",
    ),
    Break(
        "what-others-hold-is-asked-for-as-well",
        _TRANSACTION,
        "        if await self.holding(refs):\n",
        "        if await self.holding(()):\n",
        seen_by=f"{_BATCHES}:test_what_another_request_holds_is_left_out_and_named",
    ),
    Break(
        "a-payment-counts-twice-in-its-limit",
        "ledger/locked_reads.py",
        "                payments.c.id != except_payment,\n",
        "",
        seen_by="payments/test_limits:test_what_stays_within_the_limits_is_sent",
    ),
    Break(
        "what-may-stand-there-already-is-told-with-what-does-not",
        "ledger/outbox.py",
        "return bool(alike) and free and row.place == place",
        "return free and row.place == place",
        seen_by="ledger/test_outbox:test_what_may_stand_there_is_taken_only_with_what_may_as_well",
    ),
    Break(
        "who-takes-replies-to-tell-waits-for-who-goes-for-the-card",
        "ledger/outbox.py",
        ".with_for_update(skip_locked=True, of=deliveries)\n",
        ".with_for_update(of=deliveries)\n",
        seen_by="payments/test_lock_order:test_who_takes_replies_to_tell_waits_for_nobody",
    ),
    Break(
        "a-reply-is-told-before-one-that-somebody-has",
        "ledger/outbox.py",
        "return bool(alike) and free and row.place == place",
        "return bool(alike) and free",
        seen_by="payments/test_lock_order:test_who_takes_replies_to_tell_passes_over_none",
    ),
    Break(
        "who-waited-for-the-trails-end-takes-it-for-forged",
        "ledger/trail.py",
        "if last and not fits:",
        "if False:",
        seen_by="payments/test_lock_order:test_who_waited_for_the_trails_end_finds_what_it_says",
    ),
    Break(
        "who-ends-an-alert-takes-the-trails-end-after-it",
        "ledger/notices.py",
        "        await self._trail.hold_end()\n        changed = (",
        "        changed = (",
        seen_by="payments/test_lock_order:test_who_ends_an_alert_takes_the_trails_end_before_it",
    ),
    Break(
        "the-limits-are-locked-after-the-trail",
        "payments/look_up.py",
        "            await lock_limits(transaction, ruling.rule)\n",
        "            pass\n",
        seen_by="payments/test_lock_order:test_who_looks_several_up_takes_the_limits_before_the_trail",
    ),
    Break(
        "an-instance-of-before-works-on-several",
        "ledger/migrations/versions/v0008_lines.py",
        "RENAME COLUMN size TO lines",
        "ADD COLUMN lines INTEGER NOT NULL DEFAULT 1",
        seen_by="ledger:test_an_instance_of_an_earlier_release_can_read_and_write_no_request",
        case="sqlite",
    ),
    Break(
        "an-instance-of-before-works-on-what-is-erased",
        "ledger/migrations/versions/v0012_erased.py",
        "RENAME COLUMN lines TO invoices",
        "ADD COLUMN invoices INTEGER NOT NULL DEFAULT 1",
        seen_by="ledger:test_an_instance_of_an_earlier_release_can_read_and_write_no_request",
        case="sqlite",
    ),
)
