"""The billing API, which is only read, and the ledger, which is made once everything else is answered."""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import SecretStr

from bot import config
from bot.checks import of_billing, of_ledger
from bot.checks.findings import Finding, Verdict
from bot.domain.problem import Problem
from bot.errors import AnswerLost, BillingError, BotError, CannotPay, ConfigError
from bot.ledger import database
from bot.ledger.opening import open_ledger
from bot.logs import passwords_in
from bot.setup.draft import Draft
from bot.setup.terminal import Terminal

CALL_TIMEOUT_S = 20.0
"""Seconds for one call: somebody sits there and waits."""


@dataclass(frozen=True, slots=True)
class Description:
    """Where the billing API's description is."""

    draft: Draft
    variables = ("BILLING_WSDL_URL",)

    def needed(self) -> tuple[str, ...]:
        """Never: there is a default."""
        return ()

    def wanted(self) -> bool:
        """Always."""
        return True

    def ask(self, terminal: Terminal) -> None:
        """MyAdmin's unless said otherwise."""
        default = self.draft.setting("BILLING_WSDL_URL")
        self.draft.set("BILLING_WSDL_URL", terminal.ask("Address of the billing API's WSDL", default))

    async def check(self) -> list[str]:
        """It can be loaded. Otherwise whoever is asked again need not find what was there before."""
        try:
            return await self._loaded()
        except ConfigError:
            self.draft.take_back("BILLING_WSDL_URL")
            raise

    async def _loaded(self) -> list[str]:
        self.draft.check("BILLING_WSDL_URL")
        url = self.draft.setting("BILLING_WSDL_URL")
        async with of_billing.opened(url, "", SecretStr(""), CALL_TIMEOUT_S) as api:
            try:
                return [f"modules: {', '.join(await api.modules())}"]
            except (AnswerLost, CannotPay):
                return []  # it was loaded; what it lacks, the login tells
            except BillingError as error:
                remedy = "Check the address, and this machine's network."
                raise ConfigError(Problem("BILLING_WSDL_URL", str(error), remedy)) from None


@dataclass(frozen=True, slots=True)
class Login:
    """The account that pays. It is logged in, and its unpaid invoices are read."""

    draft: Draft
    variables = ("BILLING_USERNAME", "BILLING_PASSWORD")

    def needed(self) -> tuple[str, ...]:
        """Always."""
        return self.variables

    def wanted(self) -> bool:
        """Always."""
        return True

    def ask(self, terminal: Terminal) -> None:
        """The second one hidden."""
        draft = self.draft
        draft.set("BILLING_USERNAME", terminal.ask("MyAdmin login name", draft.get("BILLING_USERNAME")))
        question = "MyAdmin password or API key"
        draft.set("BILLING_PASSWORD", terminal.ask_secretly(question, draft.get("BILLING_PASSWORD")))

    async def check(self) -> list[str]:
        """Read only: nothing is paid."""
        draft = self.draft
        draft.check(*self.variables)
        login = draft.get("BILLING_USERNAME"), SecretStr(draft.get("BILLING_PASSWORD"))
        async with of_billing.opened(draft.setting("BILLING_WSDL_URL"), *login, CALL_TIMEOUT_S) as api:
            found = [finding async for finding in of_billing.look(api)]
        return _said(found)


@dataclass(frozen=True, slots=True)
class LedgerPlace:
    """Where the record is kept. It is looked at here, and made by `make_ledger`."""

    draft: Draft
    variables = ("LEDGER_URL",)

    def needed(self) -> tuple[str, ...]:
        """Never: there is a default."""
        return ()

    def wanted(self) -> bool:
        """Always."""
        return True

    def ask(self, terminal: Terminal) -> None:
        """An address with a password in it is not shown."""
        url = self.draft.setting("LEDGER_URL")
        shown = url
        if "@" in url or passwords_in(url):
            # Of one that is wrong nobody can say what is the password, and what the server.
            shown = "" if config.problem_of("LEDGER_URL", url) else database.place(url)
        question = "Where is the ledger kept? (sqlite:///FILE, or postgresql://USER@HOST/DATABASE)"
        answer = terminal.ask(question, shown)
        self.draft.set("LEDGER_URL", url if answer == shown else answer)

    async def check(self) -> list[str]:
        """What is there fits, or can be made."""
        self.draft.check("LEDGER_URL")
        return _said(await of_ledger.look(self.draft.setting("LEDGER_URL")))


async def make_ledger(draft: Draft) -> list[str]:
    """Make the ledger or bring it up to date, where it is not; then try it. Raises ConfigError."""
    url = draft.setting("LEDGER_URL")
    if all(one.verdict is Verdict.OK for one in await of_ledger.look(url)):
        return []
    try:
        with database.one_process(url):
            async with open_ledger(url):
                pass
    except ConfigError:
        raise
    except BotError as error:
        raise ConfigError(Problem("LEDGER_URL", str(error), "Nothing was written to .env.")) from None
    return _said(await of_ledger.look(url))


def _said(found: list[Finding]) -> list[str]:
    """What was found, in words. Raises ConfigError where anything of it is wrong."""
    if flaws := [one for one in found if one.verdict is Verdict.WRONG]:
        raise ConfigError(*(Problem(one.where, one.what, one.remedy) for one in flaws))
    return [f"{one.where}: {one.what}" for one in found]
