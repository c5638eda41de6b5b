"""Faults in bot/payments: the order of a payment, what is asked again before it, and who decides."""

from __future__ import annotations

from tests.planted.breaks import Break

_EXECUTOR, _PREFLIGHT, _PAYABLE = "payments/executor.py", "payments/preflight.py", "payments/payable.py"
_DESK, _APPROVALS, _AUTHORITY = "payments/desk.py", "payments/approvals.py", "payments/authority.py"
_RECONCILER, _SETTLEMENT = "payments/reconciler.py", "payments/settlement.py"
_MAINTENANCE = "payments/maintenance.py"

_INTENT = """\
            try:
                intent = await self._intend(payment, check)
            except Stale:
                log.info("not sent: it moved on", payment=payment.number)
                return
            if isinstance(intent, Cancel | Hold):
                await self._do_not_send(payment, intent)
                return
            sending, attempt = intent
"""
_CALL = """\
            await self.checkpoint("intended", payment.id)
            outcome = await self.billing.make_payment(
                sending.ref, may_begin=self._lease_still_ours(sending, begun)
            )
"""

BREAKS = (
    Break(
        "a-pause-is-not-asked-for-before-the-intent",
        _PREFLIGHT,
        "        if (pause := await transaction.paused()) is not None:\n",
        "        if (pause := await transaction.paused()) is check:\n",
        seen_by="payments:test_a_pause_after_the_check_stops_what_was_about_to_be_sent",
    ),
    Break(
        "anybody-may-stop-all-sending",
        "payments/authority.py",
        "        if await self.principals(person, frozenset(filter(is_group, named))) & named:\n",
        "        if named:\n",
        seen_by="payments:test_only_approvers_may_or_requesters_where_there_are_none",
    ),
    Break(
        "the-commit-comes-after-the-call",
        _EXECUTOR,
        _INTENT + _CALL,
        _CALL.replace("sending", "payment") + _INTENT,
        seen_by="payments:test_the_attempt_is_written_before_the_call",
    ),
    Break(
        "whose-lease-it-is-is-not-asked",
        _EXECUTOR,
        "if current.lease is None or current.lease.owner != self.instance:",
        "if current.lease is None:",
        seen_by="payments:test_who_lost_the_lease_a_moment_ago_does_not_send",
    ),
    Break(
        "what-changed-since-the-check-is-sent",
        _EXECUTOR,
        'if current.version != payment.version:\n                raise Stale(f"{payment.number} moved on")',
        "if current.version < payment.version:\n                raise Stale",
        seen_by="payments:test_what_changed_since_it_was_checked_is_not_sent",
    ),
    Break(
        "a-call-begins-however-old-its-intent-is",
        _EXECUTOR,
        "may_begin=self._lease_still_ours(sending, begun)",
        "may_begin=lambda: True",
        seen_by="payments:test_who_was_frozen_for_a_lease_sends_nothing",
    ),
    Break(
        "a-lease-is-measured-by-the-wall-clock",
        _EXECUTOR,
        "return slept < lease and now - sending.updated_at < lease and not sending.too_early(now)",
        "return now - sending.updated_at < lease",
        seen_by="payments:test_a_machine_that_slept_sends_nothing",
    ),
    Break(
        "a-lease-is-not-measured-by-the-ledgers-clock",
        _EXECUTOR,
        "return slept < lease and now - sending.updated_at < lease and not sending.too_early(now)",
        "return slept < lease",
        seen_by="payments:test_who_is_late_by_the_ledgers_clock_alone_sends_nothing",
    ),
    Break(
        "a-clock-that-was-set-right-before-the-call-is-not-read-again",
        _EXECUTOR,
        " and not sending.too_early(now)",
        "",
        seen_by="payments:test_a_clock_that_jumped_ahead_and_is_set_right_in_time_sends_nothing",
    ),
    Break(
        "an-intent-is-written-before-its-day",
        _PREFLIGHT,
        "if payment.too_early(transaction.now):",
        "if payment.not_before is None and payment.too_early(transaction.now):",
        seen_by="payments:test_a_clock_that_jumped_ahead_and_is_set_right_in_time_sends_nothing",
    ),
    Break(
        "what-waits-on-its-day-is-given-up-by-its-expiry",
        _EXECUTOR,
        "elif current.too_late(transaction.now):",
        "elif transaction.now >= current.request.expires_at:",
        seen_by="payments:test_what_cannot_be_checked_on_the_day_waits_and_is_given_up",
    ),
    Break(
        "a-day-that-is-over-by-a-clock-that-is-ahead-is-none",
        "payments/look_up.py",
        "not_before = self.mornings.of(day) if day else None",
        "not_before = self.mornings.of(day) if day and self.mornings.of(day) > transaction.now else None",
        seen_by="payments:test_a_clock_that_was_ahead_at_the_look_up_does_not_make_the_day_today",
    ),
    Break(
        "what-is-due-on-a-day-that-nobody-knows-is-paid-at-once",
        "payments/look_up.py",
        "if day is None or not self.mornings.within_reach(day, transaction.now):",
        "if day and not self.mornings.within_reach(day, transaction.now):",
        seen_by="payments:test_whose_due_date_cannot_be_read_now_is_not_paid_at_once",
    ),
    Break(
        "not-sent-settles-what-is-unknown",
        _EXECUTOR,
        "and outcome.verdict in (Verdict.PAID, Verdict.DECLINED)\n        if ours",
        "\n        if ours",
        seen_by="payments:test_not_sent_that_comes_late_leaves_the_unknown_alone",
    ),
    Break(
        "an-answer-is-booked-twice",
        _EXECUTOR,
        "if await transaction.answered(sending):",
        "if False:",
        seen_by="payments:test_an_answer_that_was_stored_already_is_not_booked_on_another_instances_call",
    ),
    Break(
        "a-call-under-way-has-no-heartbeat",
        _EXECUTOR,
        "await transaction.renew(payment.id, owner=self.instance, lease=self.timing.lease)",
        "pass",
        seen_by="payments:test_while_the_call_is_under_way_the_lease_is_kept",
    ),
    Break(
        "who-is-told-to-stop-begins-calls",
        _EXECUTOR,
        "            if self._stopping:\n",
        "            if not payment:\n",
        seen_by="payments:test_who_is_told_to_stop_begins_no_call",
    ),
    Break(
        "an-outcome-that-is-not-stored-is-forgotten",
        _EXECUTOR,
        "await asyncio.sleep(self.timing.poll)",
        "return",
        seen_by="payments:test_an_outcome_is_stored_when_the_ledger_is_back",
    ),
    Break(
        "the-requester-is-not-asked-for-again-before-sending",
        _PREFLIGHT,
        "rule = (await self.authority.rule_of([payment])).rule",
        "rule = self.authority.policy.rule_named(payment.request.rule)"
        " or (await self.authority.rule_of([payment])).rule",
        seen_by="payments:test_a_requester_who_was_removed_pays_nothing",
    ),
    Break(
        "approvals-are-not-counted-again-before-sending",
        _PREFLIGHT,
        "        if approvals.missing:\n",
        "        if approvals.required < 0:\n",
        seen_by="payments:test_an_approver_who_was_removed_does_not_count",
    ),
    Break(
        "a-stale-snapshot-serves",
        _PREFLIGHT,
        "fresh = self.read_at.younger(payment.id, self.timing.fresh)",
        "fresh = True",
        seen_by="payments:test_an_amount_that_changed_is_not_paid",
    ),
    Break(
        "a-snapshot-serves-in-spite-of-an-earlier-call",
        _PREFLIGHT,
        "not precedents.any and (fresh or self._lately_unpaid(payment)):",
        "(fresh or not precedents.any and self._lately_unpaid(payment)):",
        seen_by="payments:test_what_an_earlier_call_may_have_paid_is_read_again_however_fresh",
    ),
    Break(
        "the-trail-is-not-asked-before-sending",
        _PREFLIGHT,
        "if (flaw := await transaction.disproved(payment)) is not None:",
        'if (flaw := await transaction.disproved(payment)) == "":',
        seen_by="payments:test_another_invoice_that_was_written_into_its_row_is_not_paid",
    ),
    Break(
        "what-expired-is-sent",
        _PREFLIGHT,
        "if payment.too_late(transaction.now):",
        "if transaction.now < payment.request.created_at:",
        seen_by="payments:test_what_was_approved_long_ago_is_not_sent",
    ),
    Break(
        "a-check-lasts-for-ever",
        _PREFLIGHT,
        "if timedelta(seconds=self.boottime() - check.begun) >= longest:",
        "if not longest:",
        seen_by="payments:test_a_machine_that_slept_since_the_check_checks_again",
    ),
    Break(
        "a-doubt-that-came-up-since-the-check-is-none",
        _PREFLIGHT,
        "if precedents.any and not check.unpaid:",
        "if precedents.paid and not check.unpaid:",
        seen_by="payments:test_a_doubt_that_came_up_after_the_check_stops_the_intent",
    ),
    Break(
        "limits-are-not-asked-for-again-before-sending",
        _PREFLIGHT,
        "over_limit(transaction, payment, check.rule, self.authority.policy)) is not None:",
        "over_limit(transaction, payment, check.rule, self.authority.policy)) is check:",
        seen_by="payments:test_what_the_rule_as_it_is_now_forbids_is_not_sent",
    ),
    Break(
        "precedents-are-believed-unproved",
        _PREFLIGHT,
        "if (flaw := await transaction.disproved_beside(payment)) is not None:",
        'if (flaw := await transaction.disproved_beside(payment)) == "":',
        seen_by="payments:test_what_another_payment_says_for_it_is_believed_only_where_it_is_proved",
    ),
    Break(
        "another-currency-is-the-same-amount",
        _PREFLIGHT,
        "(frozen.amount, frozen.currency) != (now.amount, now.currency)",
        "frozen.amount != now.amount",
        seen_by="payments:test_a_currency_that_changed_is_not_paid",
    ),
    Break(
        "what-is-not-unpaid-any-more-is-paid",
        _PREFLIGHT,
        "    if now is None:\n",
        "    if now is None and frozen is None:\n",
        seen_by="payments:test_what_was_paid_elsewhere_is_not_paid_again",
    ),
    Break(
        "a-fault-is-an-account-without-a-right",
        _PREFLIGHT,
        "if payment.invoice is None and not await self.ledger.has_listed(evidence):",
        "if payment.invoice is None:",
        seen_by="payments:test_a_fault_where_invoices_were_read_before_is_no_account_without_a_right",
    ),
    Break(
        "what-the-api-called-paid-is-sent-again",
        _PAYABLE,
        "    if precedents.paid:\n",
        "    if precedents.paid and not listed:\n",
        seen_by="payments:test_what_a_call_was_answered_as_paid_for_is_never_sent_again",
    ),
    Break(
        "what-left-the-list-after-a-lost-answer-is-sent",
        _PAYABLE,
        "if precedents.in_doubt and listed is False:",
        "if precedents.in_doubt and listed:",
        seen_by="payments:test_what_left_the_list_after_an_attempt_in_doubt_is_not_sent_again",
    ),
    Break(
        "an-invoice-that-is-not-listed-is-taken",
        "payments/look_up.py",
        "(not found.empty or listing or await transaction.has_listed())",
        "(listing or await transaction.has_listed())",
        seen_by="payments:test_what_is_not_listed_has_no_amount",
    ),
    Break(
        "what-was-not-shown-is-approved",
        _DESK,
        "if seen != batch.price and (",
        "if not batch.price and (",
        seen_by="payments:test_a_click_on_what_did_not_show_the_amount_approves_nothing",
    ),
    Break(
        "what-expired-is-approved",
        _DESK,
        "if batch.request.expires_at <= transaction.now:",
        "if batch.request.expires_at <= batch.request.created_at:",
        seen_by="payments:test_what_expired_cannot_be_approved",
    ),
    Break(
        "who-may-approve-is-not-asked",
        _DESK,
        "        if refusal is None:\n            return _Decidable(batch, ruling.rule)",
        "        if refusal is None or refusal:\n            return _Decidable(batch, ruling.rule)",
        seen_by="payments:test_who_may_not_approve_is_refused_and_recorded",
    ),
    Break(
        "anybody-takes-a-request-back",
        "payments/desk_part.py",
        "return (person.id, person.team) == (batch.request.requester, batch.request.team)",
        "return person.team == batch.request.team",
        seen_by="payments:test_nobody_else_may",
    ),
    Break(
        "the-same-id-of-another-team-takes-a-request-back",
        "payments/desk_part.py",
        "return (person.id, person.team) == (batch.request.requester, batch.request.team)",
        "return person.id == batch.request.requester",
        seen_by="payments:test_nobody_else_may",
    ),
    Break(
        "approvals-that-do-not-count-any-more-count-at-a-click",
        _APPROVALS,
        "return _status(batch, rule, given, before.void)",
        "return _status(batch, rule, given)",
        seen_by="payments:test_an_approval_that_no_longer_counts_is_not_counted",
    ),
    Break(
        "a-rule-that-got-stricter-does-not-count",
        _APPROVALS,
        "return max(batch.request.approvals_required, frozen_by((one.invoice for one in batch.held), rule))",
        "return batch.request.approvals_required",
        seen_by="payments:test_how_many_are_missing_is_the_same_wherever_it_is_told",
    ),
    Break(
        "a-rule-that-got-laxer-counts",
        _APPROVALS,
        "return max(batch.request.approvals_required, frozen_by((one.invoice for one in batch.held), rule))",
        "return frozen_by((one.invoice for one in batch.held), rule)",
        seen_by="payments:test_a_rule_that_got_stricter_counts",
    ),
    Break(
        "who-approved-twice-is-two-people",
        _APPROVALS,
        "tuple(dict.fromkeys(one for one in given if one not in void)),",
        "tuple(one for one in given if one not in void),",
        seen_by="payments:test_whoever_is_asked_again_counts_once",
    ),
    Break(
        "an-approval-of-what-nobody-knew-stays-where-nobody-has-to-approve",
        _EXECUTOR,
        "if await transaction.approvers(request.id):",
        "if not request.id:",
        seen_by="payments:test_no_rule_counts_an_approval_of_what_nobody_knew_for_what_is_known_now",
    ),
    Break(
        "people-of-another-team-ask",
        _AUTHORITY,
        "if person.team != self.team:\n            return OTHER_TEAM\n"
        "        alone = frozenset({person.id})\n        groups = self.policy",
        "alone = frozenset({person.id})\n        groups = self.policy",
        seen_by="payments:test_another_team_is_refused_before_anything_else",
    ),
    Break(
        "people-of-another-team-approve",
        _AUTHORITY,
        "if person.team != self.team:\n            return OTHER_TEAM\n"
        "        alone = frozenset({person.id})\n        if person.id in rule",
        "alone = frozenset({person.id})\n        if person.id in rule",
        seen_by="payments:test_another_team_is_refused_before_anything_else",
    ),
    Break(
        "a-guest-in-a-group-approves",
        _AUTHORITY,
        "return refusal\n        return None if await self.directory.full_member(person.id)",
        "return refusal\n        return None if await self.directory.full_member(person.id) or True",
        seen_by="payments:test_an_approver_by_group_is_a_full_member",
    ),
    Break(
        "a-guest-in-a-group-asks",
        _AUTHORITY,
        "        if await self.directory.full_member(person.id):\n            return answer\n",
        "        if answer:\n            return answer\n",
        seen_by="payments:test_a_group_lets_no_guest_in",
    ),
    Break(
        "a-channel-is-named-by-whoever-is-not-in-it",
        _AUTHORITY,
        "or typed_there or await self.directory.is_in(person.id, channel):",
        "or typed_there or channel:",
        seen_by="payments:test_a_channel_is_named_only_by_who_is_in_it",
    ),
    Break(
        "the-settling-time-is-not-waited-for",
        _RECONCILER,
        "case Proof.STILL_UNPAID if waited >= self.settling.lasts:",
        "case Proof.STILL_UNPAID:",
        seen_by="payments:test_still_unpaid_counts_only_after_the_settling_time",
    ),
    Break(
        "absence-proves-of-what-was-never-listed",
        _RECONCILER,
        "case Proof.ABSENCE if payment.listed and waited >= timedelta(0):",
        "case Proof.ABSENCE if waited >= timedelta(0):",
        seen_by="payments:test_an_invoice_that_was_in_no_list_proves_nothing_by_not_being_there",
    ),
    Break(
        "absence-from-the-lists-of-another-account-proves",
        _RECONCILER,
        "sent.account in (None, self.account)",
        "True",
        seen_by="payments:test_what_is_in_no_list_of_another_account_was_not_paid_for_that",
    ),
    Break(
        "half-the-evidence-is-believed-as-soon",
        _RECONCILER,
        "waited = age if found.history else age - self.settling.lasts",
        "waited = age",
        seen_by="payments:test_without_the_list_of_all_what_is_unpaid_is_believed_a_settling_time_later",
    ),
    Break(
        "the-settling-time-goes-by-the-wall-clock",
        "payments/settling.py",
        "return own if by_ledger < timedelta(0) else min(own, by_ledger)",
        "return own if by_ledger < timedelta(0) else by_ledger",
        seen_by="payments:test_a_clock_that_steps_forward_settles_no_lost_answer",
    ),
    Break(
        "not-paid-is-said-too-early",
        _SETTLEMENT,
        "if not paid and (left := settling.left(payment, transaction.now)) > timedelta(0):",
        "if not paid and (left := settling.left(payment, transaction.now)) > settling.lasts:",
        seen_by="payments:test_not_paid_is_refused_until_the_call_cannot_be_carried_out_any_more",
    ),
    Break(
        "a-correction-makes-two-live-payments",
        _SETTLEMENT,
        "if paid and correction and (live := await transaction.live(payment.ref)) is not None:",
        "if not paid and correction and (live := await transaction.live(payment.ref)) is not None:",
        seen_by="payments:test_declined_is_not_corrected_while_a_new_request_holds_the_invoice",
    ),
    Break(
        "what-the-api-called-paid-is-corrected",
        _SETTLEMENT,
        "if to is State.DECLINED and await transaction.answered_paid(payment.id):",
        "if to is State.PAID and await transaction.answered_paid(payment.id):",
        seen_by="payments:test_what_the_api_answered_late_is_not_corrected",
    ),
    Break(
        "a-second-word-outweighs-the-first",
        _SETTLEMENT,
        "return settled.actor == actor or actor.startswith(OPERATOR)",
        "return True",
        seen_by="payments:test_a_slip_is_corrected_by_whoever_made_it_or_by_the_operator",
    ),
    Break(
        "a-correction-waits-for-no-request",
        _SETTLEMENT,
        '            await transaction.lock("request")\n',
        "            pass\n",
        seen_by="payments:test_a_correction_to_paid_and_a_new_request_come_one_after_the_other",
    ),
    Break(
        "a-call-of-the-dead-was-not-sent",
        _MAINTENANCE,
        "State.UNKNOWN,\n            LeaseRanOut(",
        "State.NOT_SENT,\n            LeaseRanOut(",
        seen_by="payments:test_a_lease_that_ran_out_leaves_it_unknown",
    ),
    Break(
        "a-call-of-our-own-is-given-up",
        _MAINTENANCE,
        "if payment.id in self.sending():",
        "if payment.id in ():",
        seen_by="payments:test_an_own_call_is_no_orphan",
    ),
    Break(
        "who-starts-takes-over-from-the-living",
        _MAINTENANCE,
        "if not self.ledger.shared:",
        "if self.ledger:",
        seen_by="payments:test_who_shares_the_ledger_takes_nothing_over",
    ),
    Break(
        "what-is-not-sent-is-tried-for-ever",
        _MAINTENANCE,
        "if self.timing.next_try(payment.tries) is None:",
        "if payment.tries < 0:",
        seen_by="payments:test_what_can_never_be_sent_is_given_up",
    ),
    Break(
        "who-lost-the-delivery-cancels-the-payment",
        "payments/cards.py",
        "if not await transaction.outbox.give_up(delivery, error):\n                return\n"
        "            if at_last:",
        "await transaction.outbox.give_up(delivery, error)\n            if at_last:",
        seen_by="payments:test_who_lost_its_lease_cancels_nothing",
    ),
    Break(
        "two-requests-at-once-share-a-limit",
        "payments/limits.py",
        '        await transaction.lock("limits")\n',
        "        pass\n",
        seen_by="payments:test_two_requests_at_once_do_not_share_what_is_left_of_a_limit",
    ),
    Break(
        "nobody-is-reminded-where-the-rule-does-not-say",
        _APPROVALS,
        "if one > now)",
        "if one < now)",
        seen_by="payments:test_where_the_rule_does_not_say_people_are_reminded_twice",
    ),
    Break(
        "what-the-api-lacks-is-tried-again",
        _EXECUTOR,
        "        except CannotPay as error:\n",
        "        except ZeroDivisionError as error:\n",
        seen_by="payments:test_an_api_that_has_no_payment_is_not_tried_again",
    ),
    Break(
        "what-somebodys-reading-says-against-it-is-passed-over",
        _PREFLIGHT,
        "lately is not None and _compared(payment, Listed(lately[0], empty=False)) is None",
        "lately is not None",
        seen_by="payments:test_another_amount_is_read_again",
    ),
    Break(
        "somebodys-reading-serves-where-an-earlier-call-is-in-doubt",
        _PREFLIGHT,
        "and not precedents.any and (fresh or self._lately_unpaid(payment)):",
        "and (fresh and not precedents.any or self._lately_unpaid(payment)):",
        seen_by="payments:test_what_an_earlier_call_may_have_paid_is_read_again",
    ),
    Break(
        "operators-are-told-again-of-what-is-still-unknown",
        "payments/alarms.py",
        " and one.id not in known)",
        ")",
        seen_by="payments:test_those_of_one_hour_are_told_together",
    ),
    Break(
        "an-old-login-ends-a-refusal-that-came-after-it",
        "payments/alarms.py",
        "if seen > one.created_at]",
        "if one.created_at]",
        seen_by="payments:test_a_refused_login_is_told_once_and_that_it_is_over",
    ),
    Break(
        "an-older-word-overturns-what-was-settled-meanwhile",
        "operating/resolve.py",
        "answer = await settle(correcting=settled_before)",
        "answer = await settle(correcting=True)",
        seen_by="test_resolve:test_what_is_settled_meanwhile_is_not_overturned_by_who_waits",
    ),
)
