"""The module names: asked for seldom, kept through an outage, and never waited for."""

from __future__ import annotations

import structlog.testing
from pydantic import SecretStr

from bot.billing.client import BillingClient
from bot.domain.payment import DOCUMENTED_MODULES
from bot.domain.policy import Policy, Rule
from bot.payments.catalogue import REFRESH_S, RETRY_S, Catalogue
from bot.sandbox.local_billing import nusoap
from tests.billing.scripted import MODULES, PASSWORD, scripted


def known(catalogue: Catalogue) -> tuple[str, ...]:
    return catalogue.modules


async def test_what_was_told_last_serves_until_the_api_tells_again() -> None:
    """The documented ten serve before; an API that gives no answer is asked again in a minute."""
    async with scripted() as server:
        client = BillingClient(wsdl_url=server.url, username="me", password=SecretStr(PASSWORD), timeout=2.0)
        catalogue = Catalogue(client, Policy(()))
        server.answers[MODULES] = b"<html/>"
        assert await catalogue.refresh() == RETRY_S
        assert known(catalogue) == DOCUMENTED_MODULES

        names = (nusoap.simple(name, "item") for name in ("vps", "tapes"))
        server.answers[MODULES] = nusoap.response(MODULES, nusoap.array("xsd:string", names))
        assert await catalogue.refresh() == REFRESH_S
        assert known(catalogue) == ("vps", "tapes")

        server.answers[MODULES] = b"<html/>"
        assert await catalogue.refresh() == RETRY_S
        assert known(catalogue) == ("vps", "tapes")
        await client.close(grace=5.0)


async def test_a_rule_for_a_module_that_is_not_there_is_warned_of() -> None:
    """Once; what was meant falls to the rules below it, which may let it go without an approval."""
    async with scripted() as server:
        client = BillingClient(wsdl_url=server.url, username="me", password=SecretStr(PASSWORD), timeout=2.0)
        rule = Rule("servers", frozenset({"U1"}), modules=frozenset({"vps", "server"}))
        catalogue = Catalogue(client, Policy((rule,)))
        names = (nusoap.simple(name, "item") for name in ("vps", "servers"))
        server.answers[MODULES] = nusoap.response(MODULES, nusoap.array("xsd:string", names))
        with structlog.testing.capture_logs() as logs:
            await catalogue.refresh()
            await catalogue.refresh()
        (warned,) = [one for one in logs if one["log_level"] == "warning"]
        assert (warned["rule"], warned["module"], warned["near"]) == ("servers", "server", "servers")
        await client.close(grace=5.0)
