"""The error tree: one class for each thing that whoever catches it does differently.

    BotError
    +-- ConfigError          the environment or the policy is wrong; names every remedy
    +-- LedgerError
    |   +-- LedgerInUse      another process holds this SQLite file
    |   +-- LedgerUnavailable  the database cannot be reached, is full or is read-only
    |       +-- CommitLost       a COMMIT's answer was lost, and what became of it cannot be read
    |   +-- LedgerUnfit      it is of another version, or there is none
    |   +-- LedgerContradicted  its rows are not what its audit trail says
    +-- BillingError
    |   +-- NeverSent        provably nothing of this call was received
    |   |   +-- CannotPay    this installation has no way to do it; trying again does not help
    |   +-- AnswerLost       it may have been received; what became of it is not known
    |   +-- Unreadable       the account, or this installation, cannot read invoices
    |       +-- NotOffered   this installation has no way to list those of a module
    +-- DirectoryError       Slack did not say in time who somebody is

Outside of it stand what a room says to those next door, and what is a bug:

    ValueError
    +-- PolicyError          (domain/policy) the rules contradict themselves; config makes a ConfigError of it
    Exception
    +-- Stale                (ledger/transaction) the payment has moved on meanwhile: read it again
    +-- IllegalMove          (domain/payment) a move that the table of states does not list

The texts are for operators and logs. They never hold a secret, a session id or a body.
"""

from __future__ import annotations

from bot.domain.problem import Problem


class BotError(Exception):
    """Anything this bot raises on purpose."""


class ConfigError(BotError):
    """Start-up is refused. problems: all that is wrong with what the bot was told from outside."""

    def __init__(self, *problems: Problem) -> None:
        self.problems = problems
        super().__init__("\n".join(map(str, problems)))


class LedgerError(BotError):
    """The durable record could not be read or written."""


class LedgerInUse(LedgerError):
    """Another process runs on the same SQLite file."""


class LedgerUnavailable(LedgerError):
    """The database cannot be reached, is full, or is read-only. Nothing of it counts."""


class CommitLost(LedgerUnavailable):
    """All of it counts or nothing does, and which is not known: nobody may call it done or not done."""


class LedgerUnfit(LedgerError):
    """The ledger is of another version than this code, or there is none. Trying again does not help."""


class LedgerContradicted(LedgerError):
    """The rows are not what the audit trail says: somebody changed them past the bot. Nothing was done."""


class BillingError(BotError):
    """A call of the billing API did not give a usable answer."""


class NeverSent(BillingError):
    """Refused before any byte of the call was sent: DNS, connect, TLS, WSDL, login."""


class CannotPay(NeverSent):
    """The API's description lacks an operation that is needed to pay. Trying again does not help."""


class AnswerLost(BillingError):
    """The call went out, or may have; no answer that can be understood came back."""


class Unreadable(BillingError):
    """This account or installation cannot read invoices. Paying still works."""


class NotOffered(Unreadable):
    """The API's description has no operation that lists this module's invoices."""


class DirectoryError(BotError):
    """Slack did not say in time, or at all, who a person is. Authorization fails closed."""
