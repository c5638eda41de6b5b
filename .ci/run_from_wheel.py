"""`python -m bot setup` and `run` from the wheel, between the local Slack and billing API that are in it."""

from __future__ import annotations

import asyncio
import sys
import tempfile

import bot
from bot.sandbox.local_billing import LocalBilling
from bot.sandbox.local_slack import LocalSlack
from bot.sandbox.local_slack import identifiers as ids

LONGEST = 30.0
"""Seconds for each step."""


async def started(folder: str, *arguments: str, **variables: str) -> asyncio.subprocess.Process:
    """A command of the bot in that folder, with these variables and no others."""
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bot", *arguments, cwd=folder, env=variables
    )


async def main() -> None:
    """Set it up, start it as it was set up, pay an invoice from Slack, and stop it."""
    assert "site-packages" in bot.__file__, f"this is not the wheel: {bot.__file__}"
    billing = LocalBilling()
    await billing.start()
    with tempfile.TemporaryDirectory() as folder:
        async with LocalSlack() as slack:
            settings = {
                "SLACK_BOT_TOKEN": slack.bot_token,
                "SLACK_APP_TOKEN": slack.app_token,
                "SLACK_API_URL": slack.api_url,
                "BILLING_WSDL_URL": billing.wsdl_url,
                "BILLING_USERNAME": billing.username,
                "BILLING_PASSWORD": billing.password,
                "PAY_ALLOWED_USERS": ids.ALICE,
            }
            setting_up = await started(folder, "setup", "--non-interactive", **settings)
            assert await asyncio.wait_for(setting_up.wait(), LONGEST) == 0
            process = await started(folder, "run")
            try:
                await slack.wait_for(lambda: slack.sockets.connections, LONGEST)
                assert (await slack.person("alice").types("#payments", "/pay vps 10101")).ok
                await slack.wait_for(lambda: any(one.thread for one in slack.messages("#payments")), LONGEST)
                process.terminate()
                code = await asyncio.wait_for(process.wait(), LONGEST)
            finally:
                if process.returncode is None:
                    process.kill()
    await billing.stop()
    assert (code, billing.payments_received("vps", 10101)) == (0, 1)


asyncio.run(main())
