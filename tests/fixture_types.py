"""What the fixtures give and take: types, the bot's shortened patience, and what .env holds in tests."""

from __future__ import annotations

from collections.abc import Awaitable
from datetime import UTC, datetime, timedelta
from typing import Protocol

from bot import app
from bot.config import Settings
from bot.payments.timing import Timing
from bot.sandbox.local_billing import LocalBilling
from bot.sandbox.local_slack import LocalSlack
from bot.sandbox.local_slack import identifiers as ids
from bot.slack.pace import Pace

QUICK = Timing(
    lease=timedelta(seconds=2),
    look_up=1.0,
    hold=timedelta(seconds=0.2),
    not_sent=(timedelta(seconds=0.05),) * 3,
    reconcile_first=timedelta(seconds=0.1),
    deliver_first=timedelta(seconds=0.1),
    late=timedelta(seconds=0.3),
    deliver_most=timedelta(seconds=0.2),
    visible_within=timedelta(seconds=0.1),
    poll=0.1,
)
"""The bot's patience, shortened: seconds for what takes minutes."""


class Clock:
    """A ledger's clock and the one that nobody sets, moved by hand. boottime: what the latter shows."""

    def __init__(self) -> None:
        self.now = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
        self.elapsed = 0.0

    def __call__(self) -> datetime:
        return self.now

    def boottime(self) -> float:
        """Seconds on the clock that nobody sets."""
        return self.elapsed

    def advance(self, **span: float) -> None:
        """Let time pass: the arguments are those of `timedelta`."""
        self.set(**span)
        self.elapsed += timedelta(**span).total_seconds()

    def until(self, moment: datetime) -> None:
        """Let time pass until then."""
        self.advance(seconds=(moment - self.now).total_seconds())

    def set(self, **span: float) -> None:
        """Somebody sets the ledger's clock by so much; no time passes."""
        self.now += timedelta(**span)


class NewDatabase(Protocol):
    """Makes databases of its kind, and drops them at the end of the test."""

    def __call__(self, *, migrated: bool) -> str:
        """The LEDGER_URL of a new database: an empty one, or one whose tables are there already."""


class NewSettings(Protocol):
    """Makes settings for the local Slack and the local billing API."""

    def __call__(self, **variables: str) -> Settings:
        """variables: what is set otherwise; an empty one is not set."""


class StartBot(Protocol):
    """Starts a bot that is stopped at the end of the test."""

    def __call__(
        self, *, timing: Timing = QUICK, pace: Pace | None = None, **variables: str
    ) -> Awaitable[app.Bot]:
        """variables: as for `NewSettings`."""


def environment_of(slack: LocalSlack, billing: LocalBilling, ledger_url: str) -> dict[str, str]:
    """What .env holds. Alice may request; Bob and Carol would approve, but nothing needs approval."""
    return {
        "SLACK_BOT_TOKEN": slack.bot_token,
        "SLACK_APP_TOKEN": slack.app_token,
        "SLACK_API_URL": slack.api_url,
        "BILLING_WSDL_URL": billing.wsdl_url,
        "BILLING_USERNAME": billing.username,
        "BILLING_PASSWORD": billing.password,
        "BILLING_TIMEOUT": "2",
        "LEDGER_URL": ledger_url,
        "PAY_ALLOWED_USERS": ids.ALICE,
        "PAY_APPROVERS": f"{ids.BOB},{ids.CAROL}",
        "PAY_APPROVALS_REQUIRED": "0",
    }
