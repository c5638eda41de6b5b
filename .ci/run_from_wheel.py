"""`python -m bot run` from the wheel, between the local Slack and the local billing API that came with it."""

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


async def main() -> None:
    """Start it, pay an invoice from Slack, and stop it."""
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
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "bot", "run", cwd=folder, env=settings
            )
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
