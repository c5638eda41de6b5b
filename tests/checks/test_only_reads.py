"""`check` never pays and never posts, whatever it was told and whatever answers."""

from __future__ import annotations

import ast
import random
import re
from pathlib import Path

import pytest

from bot.sandbox.local_billing import FAILURES, LocalBilling
from bot.sandbox.local_slack import LocalSlack
from bot.sandbox.local_slack import identifiers as ids
from tests.checks.looking import looked

READS = {
    *("apps.connections.open", "auth.test", "bots.info", "conversations.info"),
    *("usergroups.list", "users.conversations", "users.info", "users.list"),
}
"""Web API methods that change nothing."""

OPERATIONS = re.compile(r"get_modules|api_login|api_\w+_get_client_unpaid_invoices")
"""Operations of the billing API that change nothing."""

PRINCIPALS = [ids.ALICE, ids.BOB, ids.CAROL, ids.GIL, ids.XENA, "U0NOBODY01", ids.FINANCE_GROUP, "S0NOBODY01"]
CHANNELS = [ids.PAYMENTS, ids.RANDOM, ids.FINANCE_PRIVATE, ids.APPROVALS, "C0NOWHERE1"]
SLACK_FAULTS = ["500", "drop-after", "error:internal_error", "error:missing_scope", "429"]


def drawn(luck: random.Random) -> dict[str, str]:
    """Settings that pay at once, or by approval, or cannot be right at all."""

    def some(of: list[str]) -> str:
        return ",".join(luck.sample(of, luck.randrange(len(of))))

    return {
        "PAY_ALLOWED_USERS": some(PRINCIPALS),
        "PAY_APPROVERS": some(PRINCIPALS),
        "PAY_APPROVALS_REQUIRED": luck.choice(["0", "0", "1", "2", ""]),
        "PAY_ALLOWED_CHANNELS": some(CHANNELS),
        "PAY_APPROVAL_CHANNEL": luck.choice(["", *CHANNELS]),
        "PAY_DIGEST": luck.choice(["", f"{luck.choice(CHANNELS)} daily 00:00 UTC 99d approvers"]),
        "PAY_OPERATORS_CHANNEL": luck.choice(["", *CHANNELS]),
        "PAY_AUDIT_CHANNEL": luck.choice(["", *CHANNELS]),
        "BILLING_PASSWORD": luck.choice(["local-api-key"] * 3 + ["wrong"]),
        "BILLING_TIMEOUT": "1",
    }


@pytest.mark.parametrize("seed", range(6))
async def test_whatever_the_settings(
    seed: int, environment: dict[str, str], slack: LocalSlack, billing: LocalBilling
) -> None:
    """Settings, faults of Slack and failures of the billing API, drawn: nothing but reads arrives."""
    luck = random.Random(seed)
    for _ in range(5):
        if luck.random() < 0.5:
            billing.fail(luck.choice(sorted(FAILURES)), times=luck.choice([1, 3]))
        if luck.random() < 0.5:
            slack.fail("*", luck.choice(SLACK_FAULTS), times=luck.choice([1, 3]), retry_after=0)
        await looked("--online", "--policy", **environment | drawn(luck))
        slack.heal()
        billing.heal()
    assert {call.method for call in slack.calls} <= READS
    assert all(OPERATIONS.fullmatch(call.operation) for call in billing.log)
    assert all(not slack.messages(channel) for channel in slack.world.channels)


POSTS = {"make_payment", "pay", "post_message", "post", "respond", "respond_to", "views_open"}


@pytest.mark.parametrize(
    ("part", "never"), [("checks", POSTS | {"write", "migrate", "open_ledger"}), ("setup", POSTS)]
)
def test_the_code_that_looks_knows_no_way_to_pay_or_post(part: str, never: set[str]) -> None:
    """By name: whoever looks is handed a billing API that cannot pay, and calls nothing that writes."""
    names = {
        node.attr if isinstance(node, ast.Attribute) else node.id
        for path in (Path(__file__).parents[2] / "bot" / part).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute | ast.Name)
    }
    assert "look" in names
    assert names.isdisjoint(never)
