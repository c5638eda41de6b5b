"""A request and a payment as the ledger gives them, made without one."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from bot.domain.payment import Cards, InvoiceRef, Payment, PaymentRequest

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)


def request_with(**fields: Any) -> PaymentRequest:
    """A request of these fields; the others are those of one that needs one approval and has no card yet."""
    whole: dict[str, Any] = {
        "id": 42,
        "team": "T1",
        "channel": "C1",
        "requester": "U1",
        "note": None,
        "trigger_id": "1.2",
        "response_url": None,
        "rule": "default",
        "approvals_required": 1,
        "size": 1,
        "cards": Cards(),
        "created_at": NOW,
        "expires_at": NOW + timedelta(days=3),
        "pay_on": None,
    }
    return PaymentRequest(**(whole | fields))


def payment_with(**fields: Any) -> Payment:
    """A payment of these fields; the others are those of one that was looked up, and nothing else yet."""
    whole: dict[str, Any] = {name: None for name in Payment.__dataclass_fields__}
    whole |= {
        "id": 42,
        "line": 1,
        "ref": InvoiceRef("vps", 10101),
        "version": 1,
        "looked_up_at": NOW,
        "listed": True,
        "tries": 0,
        "updated_at": NOW,
        "due_at": NOW,
    }
    return Payment(**(whole | fields))
