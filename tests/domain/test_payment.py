"""The table of moves, walked at random: what it must never allow."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from bot.domain.payment import (
    FINAL,
    MAX_INVOICE,
    MOVES,
    RELEASED,
    IllegalMove,
    InvoiceEvidence,
    InvoiceRef,
    Proof,
    State,
    Verdict,
    move,
)


class OnePayment(RuleBasedStateMachine):
    """A payment to which anything is tried in any order, and what was provably or possibly sent."""

    def __init__(self) -> None:
        super().__init__()
        self.state = State.REQUESTED
        self.may_have_been_sent = 0
        self.was_final: State | None = None

    @rule(to=st.sampled_from(State))
    def try_to_move(self, to: State) -> None:
        if to not in MOVES[self.state]:
            with pytest.raises(IllegalMove, match=f"bug: {self.state} -> {to}"):
                move(self.state, to)
            return
        self.state = move(self.state, to)
        if to is State.SENDING:
            self.may_have_been_sent += 1
        if to is State.NOT_SENT:
            self.may_have_been_sent -= 1
        if self.state in FINAL and self.was_final is None:
            self.was_final = self.state

    @rule()
    def walk_on(self) -> None:
        """Random tries seldom get far; this takes the first way that leads on."""
        if following := sorted(MOVES[self.state]):
            self.try_to_move(following[0])

    @rule()
    def lose_the_answer(self) -> None:
        if self.state is State.SENDING:
            self.try_to_move(State.UNKNOWN)

    @invariant()
    def nothing_is_sent_twice(self) -> None:
        assert self.may_have_been_sent in (0, 1)

    @invariant()
    def nothing_is_sent_unless_it_was_approved(self) -> None:
        assert self.may_have_been_sent == (
            self.state in {State.SENDING, State.UNKNOWN, State.PAID, State.DECLINED}
        )

    @invariant()
    def a_final_state_stays(self) -> None:
        assert self.was_final in (None, self.state)

    @invariant()
    def an_invoice_that_may_have_been_paid_is_not_released(self) -> None:
        if self.may_have_been_sent and self.state is not State.DECLINED:
            assert self.state not in RELEASED


TestOnePayment = OnePayment.TestCase
TestOnePayment.settings = settings(max_examples=60, stateful_step_count=25)


def reachable(start: State, without: State | None = None) -> set[State]:
    """Every state that can follow, not looking past `without`."""
    seen: set[State] = set()
    ahead = [start]
    while ahead:
        for state in MOVES[ahead.pop()] - seen:
            seen.add(state)
            if state is not without:
                ahead.append(state)
    return seen


def test_every_state_is_in_the_table_and_can_be_reached() -> None:
    """No state is forgotten, and none is there that a payment could never be in."""
    assert set(MOVES) == set(State)
    assert reachable(State.REQUESTED) | {State.REQUESTED} == set(State)


def test_every_payment_can_come_to_rest() -> None:
    """From every state that is not final a final one can be reached."""
    for state in set(State) - FINAL:
        assert reachable(state) & FINAL


def test_after_a_lost_answer_nothing_is_ever_sent_again() -> None:
    """UNKNOWN leads neither to APPROVED nor to SENDING, by whatever way."""
    assert reachable(State.UNKNOWN) == {State.PAID, State.DECLINED}


def test_a_second_attempt_needs_the_proof_that_nothing_was_sent() -> None:
    """From SENDING the only way back to SENDING leads through NOT_SENT."""
    assert State.SENDING in reachable(State.SENDING)
    assert State.SENDING not in reachable(State.SENDING, without=State.NOT_SENT)


def test_a_paid_invoice_is_never_released() -> None:
    """Every released state is final, and PAID is not among them."""
    assert FINAL - {State.PAID} == RELEASED


@pytest.mark.parametrize("current", State)
def test_a_move_goes_by_the_table(current: State) -> None:
    """Whatever is in it can be done, and nothing else: a correction is no move."""
    for to in State:
        if to in MOVES[current]:
            assert move(current, to) is to
        else:
            with pytest.raises(IllegalMove, match=f"bug: {current} -> {to}"):
                move(current, to)


@pytest.mark.parametrize("current", State)
@pytest.mark.parametrize("to", State)
def test_a_correction_goes_by_its_own_table(current: State, to: State) -> None:
    """What was called paid becomes declined, or the other way round; it is no way round the moves."""
    if (current, to) in {(State.PAID, State.DECLINED), (State.DECLINED, State.PAID)}:
        assert move(current, to, correction=True) is to
        return
    with pytest.raises(IllegalMove):
        move(current, to, correction=True)


@pytest.mark.parametrize("gone", [True, False])
@pytest.mark.parametrize("payment", [7, None])
@pytest.mark.parametrize("paid_flag", [True, False, None])
@pytest.mark.parametrize("unpaid", [True, False])
def test_what_readings_prove(unpaid: bool, paid_flag: bool | None, payment: int | None, gone: bool) -> None:
    """Rows that contradict each other prove nothing; of those that agree the strongest counts."""
    says_paid = paid_flag is True or payment is not None
    if unpaid:
        proof = None if says_paid else Proof.STILL_UNPAID
    elif paid_flag is False:
        proof = None
    elif payment is not None:
        proof = Proof.PAYMENT_ROW
    elif paid_flag:
        proof = Proof.PAID_FLAG
    else:
        proof = Proof.ABSENCE if gone else None
    assert InvoiceEvidence(unpaid, paid_flag, payment, gone).proof is proof
    assert InvoiceEvidence(unpaid, paid_flag, payment, gone, unclear=True).proof is None


def test_every_verdict_is_a_move_that_sending_allows() -> None:
    """What a call can end in is what the table lists for SENDING, no more and no less."""
    assert {verdict.state for verdict in Verdict} == MOVES[State.SENDING]


@given(st.integers(1, MAX_INVOICE))
def test_an_invoice_is_said_as_it_is_typed(number: int) -> None:
    """The text of a reference is what stands after /pay."""
    assert str(InvoiceRef("floating_ips", number)) == f"floating_ips {number}"


@pytest.mark.parametrize("number", [0, -1, MAX_INVOICE + 1, True, 10003.7, "1e4", "5", None])
def test_an_invoice_number_that_servers_would_bend_is_refused(number: object) -> None:
    """zeep sends whatever it is given, and the API pays something for each of these."""
    with pytest.raises(ValueError, match="whole number"):
        InvoiceRef("vps", number)  # type: ignore[arg-type]


@pytest.mark.parametrize("module", ["", "VPS", "v p s", "vps\n", "1vps", "vps;", "vpś", "v" * 65])
def test_a_module_that_is_no_plain_name_is_refused(module: str) -> None:
    """The name becomes part of an operation's name, so nothing but a plain name gets there."""
    with pytest.raises(ValueError, match="lower-case"):
        InvoiceRef(module, 1)
