"""`python -m bot check`: one line for each thing that was looked at."""

from __future__ import annotations

import asyncio
import json
import logging
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import click
import structlog

from bot import logs
from bot.checks.findings import Finding, Verdict, note
from bot.checks.local import Local, look
from bot.config import Settings
from bot.domain.policy import Policy
from bot.domain.policy.words import describe
from bot.leaving import BROKEN_OFF, leave, written_or_exit
from bot.options import ENV_FILE


@click.command()
@ENV_FILE
@click.option(
    "--online",
    is_flag=True,
    help="Also ask Slack, the billing API and the ledger. Nothing is posted, paid or changed.",
)
@click.option("--policy", is_flag=True, help="Also say in words who may do what.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object in place of lines.")
def check(env_file: Path | None, online: bool, policy: bool, as_json: bool) -> None:
    """Check what the bot was told. Exit code 1 if anything is wrong; each line says the remedy.

    2: it could not be found out, or not be said.
    """
    quiet()
    local = look(env_file)
    try:
        found = asyncio.run(_told(local, online, as_json))
    except KeyboardInterrupt:
        leave(BROKEN_OFF)
    with written_or_exit():
        sys.exit(_said(local, found, policy, as_json))


def _said(local: Local, found: list[Finding], policy: bool, as_json: bool) -> int:
    """Say what is left to be said; the exit code."""
    words = describe(local.policy) if policy and local.policy is not None else []
    well = all(finding.verdict is not Verdict.WRONG for finding in found)
    if as_json:
        document = {"ok": well, "checks": [one.as_json() for one in found], "policy": words}
        click.echo(json.dumps(document, indent=2))
    else:
        for line in words:
            click.echo(logs.printable(line))
    return 0 if well else 1


def quiet() -> None:
    """What is found is said in lines of its own; a log between them would say it twice."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    logging.getLogger().addHandler(logging.NullHandler())


async def _told(local: Local, online: bool, as_json: bool) -> list[Finding]:
    """Everything that is found, each told as soon as it is known."""
    secrets = [] if local.settings is None else logs.secrets_of(local.settings)
    logs.keep_secret(secrets)
    found = []
    async for raw in _all(local, online):
        finding = raw.cleaned(lambda text: logs.printable(logs.harmless(text)))
        found.append(finding)
        if not as_json:
            with written_or_exit():
                click.echo(str(finding))
    return found


async def _all(local: Local, online: bool) -> AsyncIterator[Finding]:
    for finding in local.findings:
        yield finding
    if not online:
        return
    if local.settings is None or local.policy is None:
        yield note("Slack, billing API, ledger", "not asked", "Put the settings right first.")
        return
    async for finding in _online(local.settings, local.policy):
        yield finding


async def _online(settings: Settings, policy: Policy) -> AsyncIterator[Finding]:
    from bot.checks import of_billing, of_ledger, of_slack  # noqa: PLC0415  (the local look need not load them)

    answered = False
    async for finding in of_slack.look(settings, policy):
        answered = answered or (finding.where, finding.verdict) == ("SLACK_BOT_TOKEN", Verdict.OK)
        yield finding
    login = (settings.billing_wsdl_url, settings.billing_username, settings.billing_password)
    async with of_billing.opened(*login, settings.billing_timeout) as api:
        async for finding in of_billing.look(api, policy):
            yield finding
    team = await of_slack.team_of(settings) if answered else None
    for finding in await of_ledger.look(settings.ledger_url.get_secret_value(), team):
        yield finding
