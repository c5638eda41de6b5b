"""The billing API as it is: its description, the login, and the lists of unpaid invoices. Nothing is paid."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Protocol

from pydantic import SecretStr

from bot.billing.client import BillingClient
from bot.checks.findings import Finding, note, ok, wrong
from bot.checks.local import of_modules
from bot.domain.payment import DOCUMENTED_MODULES
from bot.domain.policy import Policy
from bot.domain.unpaid_list import UnpaidList
from bot.errors import AnswerLost, BillingError, CannotPay, NeverSent, NotOffered

_NAMED = 5
"""Invoices that are named one by one."""

_NO_RULES = Policy(())
"""Where nobody says which."""


class ReadingApi(Protocol):
    """What is asked of the billing API here: that of `BillingApi` which pays nothing."""

    async def prepare(self) -> None:
        """Load the description, and log in."""

    async def modules(self) -> tuple[str, ...]:
        """The names of the modules; this takes no login."""

    async def unpaid_invoices(self, module: str) -> UnpaidList:
        """What the list of a module's unpaid invoices says."""


@asynccontextmanager
async def opened(
    wsdl_url: str, username: str, password: SecretStr, timeout: float
) -> AsyncIterator[ReadingApi]:
    """The billing API, to be read. timeout: seconds for one call."""
    client = BillingClient(wsdl_url=wsdl_url, username=username, password=password, timeout=timeout)
    try:
        yield client
    finally:
        await client.close(0.0)


async def look(api: ReadingApi, policy: Policy = _NO_RULES) -> AsyncIterator[Finding]:
    """Its description, the modules that rules name, the login, the lists."""
    modules: tuple[str, ...] = DOCUMENTED_MODULES
    try:
        modules = await api.modules()
        for finding in of_modules(policy, modules, wrong, "which the billing API does not have"):
            yield finding
    except (AnswerLost, CannotPay) as error:
        yield note("billing API", f"its modules are not told ({error}); the documented ones serve")
    except NeverSent as error:
        remedy = "Check BILLING_WSDL_URL and this machine's network."
        yield wrong("BILLING_WSDL_URL", str(error), remedy)
        return
    try:
        await api.prepare()
    except CannotPay as error:
        yield wrong("BILLING_WSDL_URL", str(error), "Nothing can be paid with this description.")
        return
    except BillingError as error:
        yield wrong("BILLING_USERNAME, BILLING_PASSWORD", str(error), "Try them at my.interserver.net.")
        return
    yield ok("billing API", f"has all operations, and takes the login; {len(modules)} modules")
    async for finding in _look_at_lists(api, modules):
        yield finding


async def _look_at_lists(api: ReadingApi, modules: tuple[str, ...]) -> AsyncIterator[Finding]:
    async def read(module: str) -> UnpaidList | BillingError:
        try:
            return await api.unpaid_invoices(module)
        except BillingError as error:
            return error

    answers = dict(zip(modules, await asyncio.gather(*map(read, modules)), strict=True))
    lists = [one for one in answers.values() if isinstance(one, UnpaidList)]
    not_offered = [module for module, answer in answers.items() if isinstance(answer, NotOffered)]
    for said in dict.fromkeys(str(one) for one in answers.values() if isinstance(one, BillingError)):
        unread = [module for module, answer in answers.items() if str(answer) == said]
        if unread != not_offered:
            remedy = "Amounts are unknown without them. Give the account the right to read its invoices."
            yield wrong("unpaid invoices", f"{', '.join(unread)}: {said}", remedy)
    if not_offered:
        yield note("unpaid invoices", f"the API has no list for {', '.join(not_offered)}")
    if unclear := [str(ref) for one in lists for ref in one.unclear]:
        named = ", ".join([*unclear[:_NAMED], *(["…"] if len(unclear) > _NAMED else [])])
        yield note("unpaid invoices", f"the amount of {len(unclear)} of them cannot be read: {named}")
    if lists:
        number = sum(len(one.invoices) for one in lists)
        yield ok("unpaid invoices", f"can be read: {number} in {len(lists)} modules")
