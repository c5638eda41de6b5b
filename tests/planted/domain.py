"""Faults in bot/domain: the tables of moves, what evidence proves, who may and who must."""

from __future__ import annotations

from tests.planted.breaks import Break

_PAYMENT, _RULE = "domain/payment.py", "domain/policy/rule.py"

BREAKS = (
    Break(
        "what-is-unknown-is-sent-again",
        _PAYMENT,
        "State.UNKNOWN: frozenset({State.PAID, State.DECLINED}),",
        "State.UNKNOWN: frozenset({State.PAID, State.DECLINED, State.APPROVED}),",
        seen_by="domain:test_after_a_lost_answer_nothing_is_ever_sent_again",
    ),
    Break(
        "what-is-paid-lets-its-invoice-go",
        _PAYMENT,
        "RELEASED = frozenset({State.DECLINED,",
        "RELEASED = frozenset({State.PAID, State.DECLINED,",
        seen_by="domain:test_a_paid_invoice_is_never_released",
    ),
    Break(
        "a-move-is-not-looked-up",
        _PAYMENT,
        "if not (CORRECTIONS.get(current) is to if correction else to in MOVES[current]):",
        "if correction and CORRECTIONS.get(current) is not to:",
        seen_by="ledger:test_an_unlisted_move_raises_and_writes_nothing",
        case="sqlite",
    ),
    Break(
        "a-correction-goes-by-no-table",
        _PAYMENT,
        "if not (CORRECTIONS.get(current) is to if correction else to in MOVES[current]):",
        "if not correction and to not in MOVES[current]:",
        seen_by="domain:test_a_correction_goes_by_its_own_table",
    ),
    Break(
        "true-is-an-invoice-number",
        _PAYMENT,
        "if type(self.number) is not int or",
        "if not isinstance(self.number, int) or",
        seen_by="domain:test_an_invoice_number_that_servers_would_bend_is_refused",
    ),
    Break(
        "an-empty-list-is-a-proof",
        _PAYMENT,
        "return Proof.ABSENCE if self.gone else None",
        "return Proof.ABSENCE",
        seen_by="payments:test_two_empty_lists_settle_nothing",
    ),
    Break(
        "rows-that-contradict-each-other-prove",
        _PAYMENT,
        "if self.unclear:\n            return None",
        "if self.unclear:\n            pass",
        seen_by="billing:test_rows_that_contradict_each_other_prove_nothing",
    ),
    Break(
        "still-unpaid-outweighs-a-payment-row",
        _PAYMENT,
        "return None if self.paid_flag or self.payment is not None else Proof.STILL_UNPAID",
        "return Proof.STILL_UNPAID",
        seen_by="payments:test_a_payment_row_of_an_invoice_that_is_still_unpaid_settles_nothing",
    ),
    Break(
        "what-was-deleted-was-paid",
        _PAYMENT,
        "if self.paid_flag is False:",
        "if self.paid_flag is False and self.payment is None and not self.gone:",
        seen_by="payments:test_an_invoice_that_was_deleted_is_not_called_paid",
    ),
    Break(
        "a-payment-row-is-weak-evidence",
        _PAYMENT,
        "WEAK = frozenset({Proof.ABSENCE, Proof.STILL_UNPAID})",
        "WEAK = frozenset(Proof)",
        seen_by="payments:test_what_a_payment_row_proves_is_not_corrected",
    ),
    Break(
        "numbers-are-joined-across-what-nobody-sees",
        "domain/typed_words.py",
        'spaced = "".join(" " if _parts_words(char) else char for char in plain)',
        'spaced = plain = "".join(char for char in plain if char.isspace() or not _parts_words(char))',
        seen_by="domain:test_an_invisible_character_never_joins_two_numbers",
    ),
    Break(
        "the-requester-approves",
        _RULE,
        "if approver_id == requester_id:",
        "if not approver_id:",
        seen_by="domain:test_nobody_approves_their_own_request",
    ),
    Break(
        "somebody-elses-id-among-the-principals-counts",
        _RULE,
        "{each for each in approver_principals if is_group(each)}",
        "set(approver_principals)",
        seen_by="domain:test_the_id_of_an_approver_among_somebody_elses_principals_does_not_count",
    ),
    Break(
        "an-unknown-amount-is-below-every-threshold",
        _RULE,
        "if known is None:\n            return self.most_approvals",
        "if known is None:\n            return self.tiers[0].required",
        seen_by="domain:test_an_amount_in_doubt_asks_for_as_many_approvals_as_any_amount",
    ),
    Break(
        "a-negative-amount-is-below-every-threshold",
        _RULE,
        " or not amount.is_finite() or amount < 0:",
        " or not amount.is_finite():",
        seen_by="domain:test_an_amount_in_doubt_asks_for_as_many_approvals_as_any_amount",
    ),
    Break(
        "an-amount-in-another-currency-is-compared",
        _RULE,
        "return amount if accepted is None or currency in accepted else None",
        "return amount",
        seen_by="domain:test_a_rule_that_names_a_currency_accepts_it_in_its_thresholds",
    ),
    Break(
        "a-limit-leaves-this-payment-out",
        _RULE,
        "if limit is not None and today + amount > limit:",
        "if limit is not None and today > limit:",
        seen_by="domain:test_what_the_limits_let_pass_is_within_every_limit",
    ),
    Break(
        "an-unknown-amount-passes-the-limits",
        _RULE,
        "if known is None or currency is None:\n            return self._refuse(",
        "if known is None or currency is None:\n            return None\n            self._refuse(",
        seen_by="domain:test_an_amount_in_doubt_passes_no_limit",
    ),
    Break(
        "a-rule-holds-in-every-channel",
        "domain/policy/policy.py",
        "if _fits(rule, module, channel):\n                return rule",
        "if _fits_module(rule, module):\n                return rule",
        seen_by="domain:test_the_first_rule_that_fits_decides",
    ),
    Break(
        "an-approval-counts-for-true-people",
        "domain/events.py",
        " or (isinstance(value, bool) and bool not in (hint, *get_args(hint))):",
        ":",
        seen_by="domain:test_what_cannot_be_read_is_kept_as_it_is",
    ),
)
