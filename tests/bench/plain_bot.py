"""The plain bot: what an honest developer writes in an afternoon, for comparison.

A synchronous Bolt app, one zeep client made at the start, and for each command a card, a login, the payment,
and the reply in the card's thread. No ledger, no approval, no amount.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import zeep
from slack_bolt import App
from slack_bolt.adapter.socket_mode import SocketModeHandler
from slack_sdk import WebClient

from tests.bench.offline import Offline

soap = zeep.Client(os.environ["BILLING_WSDL_URL"], transport=Offline())  # type: ignore[no-untyped-call]
client = WebClient(os.environ["SLACK_BOT_TOKEN"], base_url=os.environ["SLACK_API_URL"])
app = App(client=client)


@app.command("/pay")
def pay(ack: Callable[[], Any], command: dict[str, Any]) -> None:
    """Pay one invoice, and say what the API says."""
    ack()
    module, invoice = command["text"].split()
    channel = command["channel_id"]
    card = client.chat_postMessage(
        channel=channel, text=f"<@{command['user_id']}> pays {module} invoice {invoice}"
    )
    session = soap.service.api_login(os.environ["BILLING_USERNAME"], os.environ["BILLING_PASSWORD"])
    answer = soap.service.api_make_payment(session, module, int(invoice))
    client.chat_postMessage(
        channel=channel, thread_ts=card["ts"], text=f"{answer.status}: {answer.status_text}"
    )


if __name__ == "__main__":
    SocketModeHandler(app, os.environ["SLACK_APP_TOKEN"]).start()  # type: ignore[no-untyped-call]
