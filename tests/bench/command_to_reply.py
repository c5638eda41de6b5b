"""How long a person waits: from `/pay` to the acknowledgement, and to the API's answer in the thread.

The baseline, measured in the same run, is the same work with nothing kept and nothing checked: one read
and one payment at the billing API, then the card, the reply and the card's update, one after the other.

    python -m tests.bench.command_to_reply [payments]
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import tempfile
import time
from pathlib import Path

from pydantic import SecretStr
from slack_sdk.web.async_client import AsyncWebClient

from bot import app, config
from bot.billing.client import BillingClient
from bot.domain.payment import InvoiceRef
from bot.sandbox.local_billing import LocalBilling
from bot.sandbox.local_slack import LocalSlack
from bot.sandbox.run import quiet
from bot.slack.pace import Pace

CHANNEL = "#payments"


async def bare(slack: LocalSlack, billing: LocalBilling, numbers: list[int]) -> list[float]:
    """The calls alone."""
    client = AsyncWebClient(slack.bot_token, base_url=slack.api_url)
    calls = BillingClient(
        wsdl_url=billing.wsdl_url, username=billing.username, password=SecretStr(billing.password)
    )
    channel = slack.world.channel(CHANNEL).id
    await calls.unpaid_invoices("vps")
    taken = []
    for number in numbers:
        begin = time.perf_counter()
        await calls.unpaid_invoices("vps")
        card = await client.chat_postMessage(channel=channel, text="card")
        outcome = await calls.make_payment(InvoiceRef("vps", number))
        await client.chat_postMessage(channel=channel, text=outcome.status_text or "", thread_ts=card["ts"])
        taken.append(time.perf_counter() - begin)
        await client.chat_update(channel=channel, ts=card["ts"], text="card: paid")
    await calls.close(1)
    return taken


async def with_bot(
    slack: LocalSlack, billing: LocalBilling, numbers: list[int], folder: Path
) -> tuple[list[float], list[float]]:
    """The whole way: acknowledgements, replies."""
    settings = config.load(
        folder / ".env",
        {
            "SLACK_BOT_TOKEN": slack.bot_token,
            "SLACK_APP_TOKEN": slack.app_token,
            "SLACK_API_URL": slack.api_url,
            "BILLING_WSDL_URL": billing.wsdl_url,
            "BILLING_USERNAME": billing.username,
            "BILLING_PASSWORD": billing.password,
            "LEDGER_URL": f"sqlite:///{folder / 'ledger.db'}",
            "PAY_ALLOWED_USERS": slack.person("alice").id,
        },
    )
    alice = slack.person("alice")
    acknowledged, replied = [], []
    async with app.running(settings, pace=Pace(posts=1000, updates=1000)) as bot:
        for number in numbers:
            begin = time.perf_counter()
            await alice.types(CHANNEL, f"/pay vps {number}")
            acknowledged.append(time.perf_counter() - begin)
            card = f"vps invoice {number}"
            await slack.wait_for(
                lambda card=card: any(  # type: ignore[misc]
                    message.thread for message in slack.messages(CHANNEL) if card in message.text
                )
            )
            replied.append(time.perf_counter() - begin)
            await bot.rest(10)
    return acknowledged, replied


async def main(count: int) -> None:
    """Measure both, in turn, and print medians and the ratio."""
    quiet()
    async with LocalSlack() as slack:
        billing = LocalBilling()
        await billing.start()
        first, second = range(50_000, 50_000 + count), range(60_000, 60_000 + count)
        for number in (*first, *second):
            billing.add_invoice("vps", number)
        with tempfile.TemporaryDirectory() as folder:
            calls = await bare(slack, billing, list(first))
            acknowledged, replied = await with_bot(slack, billing, list(second), Path(folder))
        await billing.stop()
    ack, reply, base = map(statistics.median, (acknowledged[1:], replied[1:], calls[1:]))
    print(f"acknowledged       median {ack * 1000:7.1f} ms   worst {max(acknowledged) * 1000:7.1f} ms")
    print(f"reply in thread    median {reply * 1000:7.1f} ms   worst {max(replied) * 1000:7.1f} ms")
    print(f"the calls alone    median {base * 1000:7.1f} ms")
    print(f"ratio reply / calls alone  {reply / base:.2f}")


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 30))
