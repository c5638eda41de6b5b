"""Cards: within Slack's limits and harmless, whatever stands in them; clear at a glance."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.domain.payment import WITHDRAWN, Invoice, InvoiceRef, State
from bot.sandbox.local_slack.blocks import checked_blocks
from bot.slack.card import (
    APPROVE,
    ASK_AGAIN,
    DENY,
    WAS_NOT_PAID,
    WAS_PAID,
    WITHDRAW,
    Scene,
    approval_card,
    invitation,
    request_card,
)
from bot.slack.text import STATES
from tests.slack.scenes import (
    check,
    payment_in,
    said,
    scene_of,
    scenes,
)


@given(scenes, st.integers(0, 300))
@settings(max_examples=60)
def test_a_card_is_fit_for_slack(scene: Scene, more: int) -> None:
    """Whatever the API, the requester and the policy put into it."""
    crowd = scene.approvals.may_approve | {f"U{number}" for number in range(100, 100 + more)}
    scene = replace(scene, approvals=replace(scene.approvals, may_approve=crowd))
    check(request_card(scene))
    check(approval_card(scene))
    check(invitation(scene))


@pytest.mark.parametrize("state", sorted(State))
def test_the_card_of_what_a_hundred_have_to_approve_is_fit_for_slack(state: State) -> None:
    """With ids as long as a rule takes them; where it were not, it would stand there without buttons."""
    people = [f"U{number:024}" for number in range(100, 250)]
    payment = payment_in(state, approvals_required=100, reason="&" * 500, note="&" * 500)
    scene = scene_of(payment, approvers=people[:99], may_approve=frozenset(people))
    for message in (request_card(scene), approval_card(scene)):
        checked_blocks(message.blocks)


class TestWhatItSays:
    """All there is to know, and nothing that is not so."""

    @pytest.mark.parametrize("state", sorted(State))
    def test_every_state_has_a_card(self, state: State) -> None:
        """With an emoji of its own and its words, in the blocks and in the text."""
        message = request_card(scene_of(payment_in(state)))
        emoji, words = STATES[state]
        assert f"{emoji} *{words}*" in said(message)
        assert message.text.endswith(words)
        assert {other for other in STATES.values() if other[0] == emoji} == {(emoji, words)}

    def test_the_card_tells_all_there_is_to_know(self) -> None:
        """Who, which invoice, how much, until when, what for."""
        message = request_card(scene_of(payment_in(State.PAID, note="for <June>")))
        for word in (
            "#42",
            "vps invoice 10101",
            "10.00 USD",
            "Due 9 Mar 2026",
            "KVM Linux VPS",
            "<@U1>",
            "<June>",
        ):
            assert word in said(message)
        assert message.text == "Payment request #42 · vps invoice 10101, 10.00 USD, by <@U1>: Paid"

    def test_an_overdue_invoice_is_called_so(self) -> None:
        """From the day after it was due, until it is paid."""
        late, today = date(2026, 3, 1), date(2026, 3, 2)
        for due, state, overdue in (
            (late, State.APPROVED, True),
            (today, State.APPROVED, False),
            (late, State.DENIED, True),
            (late, State.PAID, False),
        ):
            invoice = Invoice(InvoiceRef("vps", 1), "", Decimal(1), "USD", due)
            card = request_card(scene_of(payment_in(state, invoice=invoice)))
            assert ("(overdue)" in said(card)) is overdue

    def test_an_amount_that_was_not_told_is_called_so(self) -> None:
        """And whether the invoice was in the list at all."""
        card = request_card(scene_of(payment_in(State.APPROVED, invoice=None, listed=None)))
        assert "amount unknown" in said(card)
        assert "Not in the list" not in said(card)
        card = request_card(scene_of(payment_in(State.APPROVED, invoice=None, listed=False)))
        assert "Not in the list of unpaid invoices" in said(card)

    def test_a_crowd_is_counted(self) -> None:
        """Who would not fit into the paragraph is not named one by one."""
        crowd = frozenset(f"U{number}" for number in range(100, 200))
        card = request_card(scene_of(payment_in(State.PENDING_APPROVAL), may_approve=crowd))
        assert "or 50 others" in said(card)
        assert "<@U149>" in said(card)
        assert "<@U150>" not in said(card)

    def test_who_approved_is_not_asked_again(self) -> None:
        """Nor is anybody mentioned twice in what is posted."""
        scene = scene_of(
            payment_in(State.PENDING_APPROVAL), approvers=["U2"], may_approve=frozenset({"U2", "U3", "S1"})
        )
        card = request_card(scene)
        assert "Needs 1 more approval from <!subteam^S1> or <@U3>\nApproved so far by <@U2>" in said(card)
        mentioned = re.findall(r"<[@!][^>|]*>", said(card))
        assert len(mentioned) == len(set(mentioned))

    def test_what_is_denied_says_who_and_that_nothing_was_paid(self) -> None:
        """And why."""
        scene = scene_of(payment_in(State.DENIED, reason="too dear"), approvers=[])
        scene = replace(scene, approvals=replace(scene.approvals, denied_by="U3"))
        assert ":no_entry: *Denied; nothing was paid*\nDenied by <@U3>\n> too dear" in said(
            request_card(scene)
        )

    @pytest.mark.parametrize("reason", [WITHDRAWN, "cancelled by its requester"])
    def test_what_was_taken_back_is_withdrawn(self, reason: str) -> None:
        """Also where an earlier version took it back; what the rules cancel is called cancelled."""
        card = request_card(scene_of(payment_in(State.CANCELLED, reason=reason)))
        assert ":heavy_minus_sign: *Withdrawn; nothing was paid*" in said(card)
        assert "requester" not in said(card)
        card = request_card(scene_of(payment_in(State.CANCELLED, reason="the amount changed")))
        assert "*Cancelled; nothing was paid*\n> the amount changed" in said(card).replace(
            "\nApproved by <@U2>", ""
        )


def question(scene: Scene) -> str:
    """What Approve asks before it counts."""
    (approve, _, _) = request_card(scene).blocks[2]["elements"]
    text = str(approve["confirm"]["text"]["text"])
    assert len(text) <= 300
    return text


class TestTheQuestion:
    """Approve asks once more, with what follows from a yes."""

    @pytest.mark.parametrize(
        ("required", "approvers", "follows"),
        [
            (1, [], "It is paid at once and cannot be undone."),
            (2, [], "You are 1 of 2; it is paid after one more."),
            (2, ["U2"], "You are 2 of 2; it is paid at once and cannot be undone."),
            (4, ["U2"], "You are 2 of 4; it is paid after 2 more."),
            (1, ["U2"], "You are 2 of 2; it is paid at once and cannot be undone."),
        ],
    )
    def test_it_says_the_total_and_whether_this_is_the_last_approval(
        self, required: int, approvers: list[str], follows: str
    ) -> None:
        scene = scene_of(payment_in(State.PENDING_APPROVAL, approvals_required=required), approvers=approvers)
        assert question(scene) == f"Pay 10.00 USD for vps invoice 10101?\n{follows}"

    def test_an_amount_that_nobody_knows_is_asked_about_as_such(self) -> None:
        payment = payment_in(State.PENDING_APPROVAL, approvals_required=1, invoice=None)
        assert question(scene_of(payment, approvers=[])) == (
            "Pay vps invoice 10101, whatever its amount is?\n"
            "It is paid at once and cannot be undone.\n"
            "If its amount can be read by then, you are asked again."
        )


class TestButtons:
    """Where there is something to decide, and nowhere else."""

    def test_only_what_waits_has_buttons(self) -> None:
        """Or what a person has to settle. A card in any other state offers nothing to press."""
        for state in State:
            blocks = request_card(scene_of(payment_in(state))).blocks
            actions = [
                element["action_id"]
                for block in blocks
                for element in block.get("elements", ())
                if "action_id" in element
            ]
            expected = {
                State.PENDING_APPROVAL: [APPROVE, DENY, WITHDRAW],
                State.UNKNOWN: [WAS_PAID, WAS_NOT_PAID],
                **{one: [ASK_AGAIN] for one in (State.DECLINED, State.DENIED, State.EXPIRED)},
            }
            assert actions == expected.get(state, [])

    def test_the_buttons_stand_where_approvals_are_given(self) -> None:
        """With an approval channel, the requester's card keeps only the button to withdraw it."""
        payment = payment_in(State.PENDING_APPROVAL, approval_channel="C2", approval_ts="1700000000.000002")
        own, other = request_card(scene_of(payment)), approval_card(scene_of(payment))
        assert "https://acme.slack.com/archives/C2/p1700000000000002" in said(own)
        assert "https://acme.slack.com/archives/C1/p1700000000000001" in said(other)
        assert [each["action_id"] for each in own.blocks[2]["elements"]] == [WITHDRAW]
        assert [each["action_id"] for each in other.blocks[2]["elements"]] == [APPROVE, DENY]
