"""The end of a workflow's step: told when the payment that it asked for has come to rest.

Only PAID completes the step. Everything else fails it, so that a workflow which looks at no output
cannot mistake a refusal for a payment. The bot's own token is used: the one that comes with the step
lasts minutes, and an approval may take days.
"""

from __future__ import annotations

from typing import Any

from slack_sdk.web.async_client import AsyncWebClient

from bot.domain.payment import Payment, State
from bot.slack.text import harmless, state_words, subject
from bot.slack.web_api import Later, Posted, Rejected, act

MOST = 2000
"""Characters of a text that goes into a workflow."""


async def end_step(client: AsyncWebClient, payment: Payment) -> Posted | Rejected | Later:
    """Tell Slack how the step ended; `Posted` where Slack took it."""
    run = payment.step_run
    assert run is not None, "bug: only a step's payment ends a step"
    if payment.state is State.PAID:
        answer = await _complete(client, run, payment)
    else:
        answer = await fail_step(client, run, failure(payment))
    # A ts is what the ledger has room for.
    return Posted(run[:32]) if isinstance(answer, dict) else answer


async def _complete(client: AsyncWebClient, run: str, payment: Payment) -> dict[str, Any] | Rejected | Later:
    outputs = {
        "state": payment.state.value,
        # What a workflow makes of it may be a message, so it must stay text there.
        "status_text": harmless(payment.status_text or "", MOST),
        "payment_id": payment.id,
    }
    return await act(client, "functions.completeSuccess", function_execution_id=run, outputs=outputs)


async def fail_step(client: AsyncWebClient, run: str, why: str) -> dict[str, Any] | Rejected | Later:
    """Fail a step with words for the people of the workflow. why: plain text; it may end up in a message."""
    return await act(client, "functions.completeError", function_execution_id=run, error=harmless(why, MOST))


def failure(payment: Payment) -> str:
    """Why no payment came of it, as plain text."""
    said = payment.status_text or payment.reason
    return f"{subject(payment)}: {state_words(payment.state)}. {said or ''}".strip()
