"""A billing API on this machine, to try and to test the bot with."""

from bot.sandbox.billing.books import InvoiceRow
from bot.sandbox.billing.failures import FAILURES, Failure
from bot.sandbox.billing.server import LocalBilling
from bot.sandbox.billing.service import Call

__all__ = ["FAILURES", "Call", "Failure", "InvoiceRow", "LocalBilling"]
