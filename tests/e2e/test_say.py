"""Approvals in the terminal: lines press buttons, and the transcript shows all that everybody gets to see."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from bot.sandbox import run
from bot.sandbox.conversation import Conversation
from bot.sandbox.local_slack import LocalSlack
from tests.fixture_types import StartBot
from tests.slack.acting import approve, request
from tests.test_readme import POLICIES

ABOVE_100, TWO_FOR_SERVERS = POLICIES[1][0], POLICIES[2][0]
ONE_APPROVAL = """
[[rule]]
name = "all"
requesters = ["U0ALICE001"]
approvers = ["U0BOB00001"]
approvals = 1
"""
REQUEST = "alice: /pay servers 10901"
CALL = "billing API: api_make_payment"


@dataclass(frozen=True, slots=True)
class Said:
    """How a sandbox ended, and what it printed."""

    code: int
    transcript: str

    def lines(self, *beginnings: str) -> list[str]:
        """The lines that begin with one of these."""
        return [line for line in self.transcript.splitlines() if line.startswith(beginnings)]

    def after(self, line: str) -> str:
        """What was printed after the first line that is this one."""
        before, found, after = self.transcript.partition(f"{line}\n")
        assert found, before
        return after


Say = Callable[..., Awaitable[Said]]


@pytest.fixture
def say(tmp_path: Path) -> Say:
    """Says lines under a policy, in this process: a process of its own takes a second longer."""

    async def all_of(policy: str, *lines: str) -> Said:
        file, written = tmp_path / "policy.toml", list[str]()
        file.write_text(policy, encoding="utf-8")
        code = await run.sandbox(port=0, says=lines, fail=None, policy=file, write=written.append)
        return Said(code, "".join(f"{line}\n" for line in written))

    return all_of


async def test_two_people_approve_and_it_is_paid(say: Say) -> None:
    """Each press with the question that it answers, each change of the card, and one call."""
    said = await say(TWO_FOR_SERVERS, REQUEST, "bob: approve", "carol: approve")
    assert said.code == 0
    question = "    Slack asks: Approve this payment? Pay 349.00 USD for servers invoice 10901? You are"
    assert said.lines("  bob presses", "  carol presses", "    Slack asks", "      ↳") == [
        *("  bob presses [Approve]", f"{question} 1 of 2; it is paid after one more."),
        "  bob presses [Approve]",
        "      ↳ invoice-pay: Approved by @bob (1 of 2)",
        *("  carol presses [Approve]", f"{question} 2 of 2; it is paid at once and cannot be undone."),
        "  carol presses [Approve]",
        "      ↳ invoice-pay: Approved by @carol (2 of 2). That is all it needs.",
        "      ↳ invoice-pay: Sending it to the billing API now.",
        "      ↳ invoice-pay: ✅ Paid",
    ]
    assert said.lines("      ·") == ["      · billing API: api_make_payment servers 10901: paid"]
    assert "          > Payment of 349.00 USD for Invoice 10901 Successful.\n" in said.transcript
    changes = said.lines("  invoice-pay (the card #1 changes): ")
    assert changes[0].endswith(": Needs 1 more approval from @carol")
    assert changes[-1].endswith(": ✅ Paid")
    assert said.transcript.count("    (its buttons are gone)\n") == 1


async def test_a_denial_shows_the_form_and_what_was_entered(say: Say) -> None:
    """The form with its texts and buttons, the reason, and where everybody reads it."""
    said = await say(TWO_FOR_SERVERS, REQUEST, "bob: deny too expensive")
    assert said.code == 0
    after = said.after("  bob presses [Deny]")
    assert after.startswith(
        "  (a form opens for bob: Deny this payment)\n"
        "      #1 · servers invoice 10901 · 349.00 USD\n"
        "      Asked for by @alice\n"
        "      Why?: […]\n"
        "      Everybody in the channel will see it.\n"
        "      [Deny] [Go back]\n"
        "  bob fills in the form and presses [Deny]\n"
        "      Why? → too expensive\n"
    )
    # The card may change first.
    assert after.count("  (the form closes for bob)\n") == 1
    denied = (
        "  invoice-pay (the card #1 changes): ⛔ Denied; nothing was paid\n"
        "    Denied by @bob\n    > too expensive\n    [Ask again]\n"
    )
    assert denied in said.transcript
    assert (
        "      ↳ invoice-pay: Denied by @bob. Nothing was paid.\n          > too expensive\n"
        in said.transcript
    )


async def test_the_requester_takes_it_back(say: Say) -> None:
    """Slack asks once more, and the card and the thread say that nothing was paid."""
    said = await say(TWO_FOR_SERVERS, REQUEST, "alice: withdraw")
    assert said.code == 0
    after = said.after("  alice presses [Withdraw]")
    assert "#1 · servers invoice 10901 will not be paid." in after
    assert "  alice presses [Withdraw]\n" in after
    assert "      ↳ invoice-pay: Withdrawn by @alice, who asked for it. Nothing was paid.\n" in after


async def test_several_are_asked_for_confirmed_cut_down_and_approved(say: Say) -> None:
    """The preview that only Alice sees, its button, the form that takes one out, and one yes for the rest."""
    said = await say(
        ONE_APPROVAL,
        "alice: /pay vps 10101 10102 10103",
        "alice: confirm",
        "alice: remove vps 10102 not ours",
        "bob: approve",
    )
    assert said.code == 0
    assert "  invoice-pay (only alice sees this): 3 payments · 179.99 USD\n" in said.transcript
    assert "    [Request 3 payments · 179.99 USD]\n" in said.transcript
    assert "  alice presses [Request 3 payments · 179.99 USD]\n" in said.transcript
    after = said.after("  alice presses [Remove…]")
    assert "        · vps 10102 · 49.99 USD · " in after
    filled_in = after[after.index("  alice fills in the form and presses [Remove]") :].splitlines()[1:3]
    assert filled_in[0].startswith("      Which are not to be paid? → vps 10102 · 49.99 USD")
    assert filled_in[1] == "      Why? → not ours"
    assert "What is left costs 130.00 USD." in after
    asked = "    Slack asks: Approve 2 payments? Pay 130.00 USD for 2 invoices? They are paid at once"
    assert said.lines("    Slack asks") == [f"{asked} and cannot be undone."]
    assert {line.split(": ")[1] for line in said.lines("      · billing API")} == {
        "api_make_payment vps 10101",
        "api_make_payment vps 10103",
    }
    assert said.transcript.rstrip().endswith(
        "      ↳ invoice-pay: #1 is done: 3 payments · 179.99 USD\n"
        "          Paid: 2 · 130.00 USD\n          Cancelled or left out: 1 · 49.99 USD"
    )


async def test_what_is_overdue_is_asked_for_and_denied(say: Say) -> None:
    """By as many lines as it takes by hand."""
    said = await say(ONE_APPROVAL, "alice: /pay vps overdue", "alice: confirm", "bob: deny no money")
    assert said.code == 0
    assert "(a form opens for bob: Deny these payments)" in said.transcript
    assert "      ↳ invoice-pay: Denied by @bob. Nothing was paid.\n          > no money\n" in said.transcript
    assert CALL not in said.transcript


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("alice: confirm", "there is no button Confirm"),
        ("alice: remove vps 4711 not ours", "vps 4711 is not among those that can be chosen"),
    ],
)
async def test_what_cannot_be_pressed_or_chosen_is_said(say: Say, line: str, why: str) -> None:
    """And nothing comes of it."""
    asked = ["alice: /pay vps 10101 10102", "alice: confirm"] if "remove" in line else []
    said = await say(ONE_APPROVAL, *asked, line)
    assert said.code == 1
    assert f"  ({line}: not done, as {why})\n" in said.transcript


async def test_every_refusal_is_seen_before_the_next_line(say: Say) -> None:
    """Own request, no say in it, somebody else's request: each told to that person, and nothing is paid."""
    lines = ("alice: approve", "alice: deny no", "mallory: approve", "mallory: deny", "bob: withdraw")
    said = await say(TWO_FOR_SERVERS, REQUEST, *lines)
    assert said.code == 0
    told = [line for line in said.lines("  ") if " presses " in line or "sees this" in line]
    own = "  invoice-pay (only alice sees this): You asked for this payment, so you cannot approve it."
    others = "  invoice-pay (only mallory sees this): You are not among those who may approve this payment."
    assert told == [
        *("  alice presses [Approve]", "  alice presses [Approve]", own),
        *("  alice presses [Deny]", own),
        *("  mallory presses [Approve]", "  mallory presses [Approve]", others),
        *("  mallory presses [Deny]", others),
        *("  bob presses [Withdraw]", "  bob presses [Withdraw]"),
        "  invoice-pay (only bob sees this): Nothing was done: #1 · servers invoice 10901 was asked for by"
        " somebody else.",
    ]
    assert "    Somebody else has to decide. @bob or @carol may approve it.\n" in said.transcript
    assert "(a form opens" not in said.transcript
    assert CALL not in said.transcript


async def test_somebody_of_another_organization_is_refused(say: Say) -> None:
    """In a shared channel Xena sees the card, presses its buttons, and is told why not."""
    policy = ABOVE_100.replace("C0APPROVAL", "C0PARTNER1")
    said = await say(policy, "alice: /pay vps 10103", "xena: approve", "xena: deny", "bob: approve")
    assert said.code == 0
    refusal = "  invoice-pay (only xena sees this): Only people of this workspace can do that.\n"
    assert said.transcript.count(refusal) == 2
    assert CALL in said.after("  bob presses [Approve]")


async def test_both_cards_and_the_direct_message_are_shown(say: Say) -> None:
    """Under the name of the place where they stand; a click counts where it was made."""
    policy = ABOVE_100.replace('"S0FINANCE1"', '"S0FINANCE1", "U0MALLORY1"')
    said = await say(policy, "alice: /pay vps 10103", "bob: approve")
    assert said.code == 0
    lines = said.transcript.splitlines()
    assert lines[0] == "#payments"
    asked = lines[: lines.index("  bob presses [Approve]")]
    assert asked.count("    [Withdraw]") == asked.count("    [Approve] [Deny]") == 1
    assert "    Needs 1 more approval in #approvals" in asked
    assert "    Needs 1 more approval from @finance or @mallory" in asked
    direct = asked[asked.index("direct messages of mallory") :]
    assert direct[1:3] == [
        "  invoice-pay: @alice asks for your approval of #1 · vps invoice 10103, 120.00 USD.",
        "    Decide on its card in #approvals, or on my Home tab.",
    ]
    places = [line for line in asked if line.startswith(("#", "direct"))]
    assert places[-1] == "#approvals"
    assert sum("(the card #1 changes): ✅ Paid" in line for line in lines) == 2


async def test_the_form_of_the_command_alone_is_shown(say: Say) -> None:
    """With its inputs, and with the invoices that come in when they have been read."""
    said = await say(ABOVE_100, "alice: /pay")
    assert said.code == 0
    assert "  (a form opens for alice: Pay invoices)\n      Modules: [domains]\n" in said.transcript
    after = said.after("  (the form changes for alice)")
    assert after.startswith("      [All overdue (1)] [All due within 7 days (2)]\n")
    assert "[Pick, or type to search]\n        · domains 10002 · 17.50 EUR · due " in after


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("alice: approve", "alice is not in #approvals, where the button is"),
        ("xena: withdraw", "xena is not in #payments, where the button is"),
        ("xena: hello", "xena is not in #payments"),
        ("xena: /pay vps 10101", "Slack said not_in_channel"),
        ("alice: /paid vps 10101", "Slack said invalid_command"),
    ],
)
async def test_what_somebody_cannot_do_ends_with_code_1(say: Say, line: str, why: str) -> None:
    """The transcript says what was not done and why, and nothing that comes after it is said."""
    said = await say(ABOVE_100, "alice: /pay vps 10103", line, "bob: approve")
    assert said.code == 1
    assert said.transcript.endswith(f"  ({line}: not done, as {why})\n")


async def test_what_is_done_on_the_page_is_told_as_well(slack: LocalSlack, start_bot: StartBot) -> None:
    """The Home tab with what changes there, choices in a form, and what is wrong under an input."""
    bot, written = await start_bot(PAY_APPROVALS_REQUIRED="1"), list[str]()
    await request(slack, bot)
    Conversation(slack, written.append).start()
    alice, bob = slack.person("alice"), slack.person("bob")
    await bob.opens_home()
    await slack.wait_for(lambda: slack.home("bob"))
    home = slack.home("bob")
    assert home
    await approve(slack, home, "bob")
    await slack.wait_for(lambda: slack.home("bob") != home)
    await alice.uses_shortcut("pay_invoice")
    assert await bot.rest(5)
    await alice.clicks(slack.views("alice")[0], "modules", ["mail"])
    assert await bot.rest(5)
    await alice.submits(slack.views("alice")[0], {})
    await alice.closes(slack.views("alice")[0])
    in_order = iter(written)
    for line in (
        "  bob opens the Home tab",
        "  (the Home tab of bob)",
        "      [Approve] [Deny]",
        "  bob presses [Approve]",
        "    Slack asks: Approve this payment? Pay 10.00 USD for vps invoice 10101?",
        "  (the Home tab of bob)",
        "      Nothing waits for you.",
        "  (a form opens for alice: Pay invoices)",
        "      Channel: […]",
        "  alice chooses in the form",
        "      Modules → mail",
        "  (the form changes for alice)",
        "        · mail 10301 · 1.00 USD · due",
        "  (the form is not accepted from alice)",
        "      Under Channel: Please complete this required field.",
        "  (the form closes for alice)",
    ):
        assert any(one.startswith(line) for one in in_order), line


async def test_a_bot_that_still_answers_somebody_is_not_at_rest(
    slack: LocalSlack, start_bot: StartBot
) -> None:
    """A refusal that Slack takes slowly has arrived when the bot has come to rest."""
    bot = await start_bot(PAY_APPROVALS_REQUIRED="1")
    asked = await request(slack, bot)
    slack.fail("response_url", "slow", seconds=0.3)
    await approve(slack, asked, "mallory")
    assert slack.ephemerals("mallory") == []
    assert await bot.rest(5)
    assert len(slack.ephemerals("mallory")) == 1
