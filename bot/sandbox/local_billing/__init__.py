"""A billing API on this machine, to try and to test the bot with."""

from bot.sandbox.local_billing.books import InvoiceRow
from bot.sandbox.local_billing.failures import FAILURES, Failure
from bot.sandbox.local_billing.server import LocalBilling
from bot.sandbox.local_billing.service import Call

__all__ = ["FAILURES", "Call", "Failure", "InvoiceRow", "LocalBilling"]
