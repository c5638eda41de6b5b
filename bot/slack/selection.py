"""Several approvals at once from the Home tab: checkboxes, a question with every line, and one yes.

Each of them goes the way of a single click, through the desk: who may approve, what they saw and what it
costs is asked there, for each, when the yes comes. What cannot be approved is skipped and named.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from slack_bolt.async_app import AsyncAck, AsyncApp

from bot.domain.batch import Batch, amounts_in
from bot.domain.payment import State
from bot.domain.wording import shorten
from bot.payments.answers import Done
from bot.payments.approvals import shown
from bot.payments.authority import Person
from bot.slack import replies
from bot.slack.blocks import Block, View, button, modal, notice, plain, section
from bot.slack.card import line_of, value_of, what_follows
from bot.slack.decisions import Clicked, repair
from bot.slack.delivered import text_in, understanding
from bot.slack.inbound import Body, Response, Services, clicker, closes, delivery_of, outcome_of, submitted
from bot.slack.listing import fitting, paragraphs
from bot.slack.respond import open_view
from bot.slack.text import added_up, cost_of, standing_of, subject_of, totals, unescaped
from bot.slack.web_api import write

SELECT, APPROVE_SELECTED = "select_request", "approve_selected"
"""The action ids of a checkbox and of the button."""

APPROVE_FORM = "approve_selected_form"
"""The callback id of the question."""

_ROOM = 30_000
"""Characters of all lines: a view takes 250,000 bytes, and a character may be several."""

_VALUE = 150
"""Characters of an option's value that Slack takes."""


def checkbox(batch: Batch) -> dict[str, Any]:
    """What a section needs to be selected by; its value is what Approve carries."""
    value = _value(batch)
    if len(value) > _VALUE:
        return {}
    options = [{"text": plain("Select"), "value": value}]
    box = {"type": "checkboxes", "action_id": SELECT, "options": options}
    return {"block_id": f"select:{value_of(batch.request)}", "accessory": box}


def approve_selected(values: Sequence[str] = ()) -> Block:
    """The button, with what is selected and what that adds up to."""
    prices = [one for value in values for one in amounts_in(Clicked.read(value).price)]
    sum_up = f" ({len(values)} · {unescaped(added_up(prices))})" if values else "…"
    label = shorten(f"Approve selected{sum_up}", 75)
    return {
        "type": "actions",
        "block_id": "selected",
        "elements": [button(APPROVE_SELECTED, label, "selected", style="primary")],
    }


@dataclass(frozen=True, slots=True)
class Selections:
    """Asks once more for all that was selected, and approves each by the desk."""

    services: Services

    def register(self, app: AsyncApp) -> None:
        """Listen for the checkboxes, the button and the question."""
        app.action(SELECT)(self._toggled)
        app.action(APPROVE_SELECTED)(self._asked)
        app.view(APPROVE_FORM)(self._confirmed)

    async def _toggled(self, ack: AsyncAck, body: Body) -> None:
        """Say on the button what is selected by now; a tab that shows something else by now is left alone."""
        await ack()
        async with self.services.gate.entered():
            tab = body["view"]
            chosen = _selected(tab)
            with understanding():
                blocks = [_relabelled(block, chosen) for block in tab["blocks"]]
            view = {"type": "home", "blocks": blocks}
            await write(
                self.services.client,
                "views.publish",
                user_id=clicker(body).id,
                view=view,
                hash=tab["hash"],
            )

    async def _asked(self, ack: AsyncAck, body: Body) -> None:
        async with self.services.gate.entered():
            outcome = await outcome_of(self._question(clicker(body), _selected(body["view"])))
            view = notice(outcome) if isinstance(outcome, str) else outcome
            await open_view(self.services.client, str(body["trigger_id"]), view)
            await ack()

    async def _question(self, person: Person, values: Sequence[str]) -> View:
        """Every line that would be approved, and why others would not. Raises LedgerUnavailable."""
        kept: list[Batch] = []
        lines, skipped = [], []
        today = self.services.desk.today
        for value in values:
            on = Clicked.read(value)
            batch = await self.services.ledger.of_request(on.request_id)
            why_not = _why_not(person, batch, on)
            if batch is None or why_not is not None:
                skipped.append(f"#{on.request_id}: {why_not}")
                continue
            approvals = await shown(self.services.ledger, self.services.authority, batch)
            kept.append(batch)
            lines.append(f"{subject_of(batch)} · *{cost_of(batch)}*\n{what_follows(batch, approvals)}")
            if batch.several:
                each = [line_of(one, batch, today) for one in batch.asked_about]
                lines += (shown_first := fitting(each, _ROOM // len(values)))
                if left := len(each) - len(shown_first):
                    lines.append(f"… and {left} more; see its card.")
        if skipped:
            skipped.insert(0, "*Skipped*")
        if not kept:
            return notice("\n".join(skipped) or "Nothing is selected.\nSelect what you want to approve.")
        sum_up = totals(one.invoice for batch in kept for one in batch.asked_about)
        heading = f"*Approve selected ({len(kept)} · {sum_up})*"
        return modal(
            APPROVE_FORM,
            "Approve these payments?",
            f"Approve {len(kept)}",
            [section(text) for text in paragraphs([heading, *lines, *skipped])],
            carries=json.dumps([_value(one) for one in kept]),
        )

    async def _confirmed(self, ack: AsyncAck, body: Body, view: View) -> None:
        with understanding():
            values = [text_in(one) for one in json.loads(view["private_metadata"])]
        delivery = delivery_of(body)
        approving = self._approved(clicker(body), values, delivery)
        answering = self.services.desk.once(delivery, approving, closes)
        await submitted(self.services.gate, ack, answering, block=APPROVE_FORM)

    async def _approved(self, person: Person, values: Sequence[str], delivery: str | None) -> Response:
        """Approve one after the other; what came of those that were not."""
        told = []
        for value in values:
            on = Clicked.read(value)
            approving = self.services.desk.approve(
                person, on.request_id, mark=on.mark, seen=on.price, delivery=delivery
            )
            answer = await outcome_of(approving)
            if isinstance(answer, Done) and answer.batch.ended_together is not State.EXPIRED:
                continue
            if isinstance(answer, str):
                told.append(f"#{on.request_id}: {answer}")
                continue
            await repair(self.services, answer)
            told.append(f"#{on.request_id}: {replies.said(answer, self.services.workspace.url)}")
        if not told:
            return {}
        heading = f"*{len(values) - len(told)} of {len(values)} approved; these were not:*"
        blocks = [section(text) for text in paragraphs([heading, *told])]
        return {"response_action": "update", "view": notice("") | {"blocks": blocks}}


def _why_not(person: Person, batch: Batch | None, on: Clicked) -> str | None:
    """Why it is not even asked about; the desk has the last word."""
    if batch is None or on.mark not in (None, batch.request.mark):
        return "another request has this number now."
    if batch.request.requester == person.id:
        return "you asked for it, so somebody else has to decide."
    if not batch.waiting:
        return f"{standing_of(batch)[1]}."
    if on.price != batch.price:
        return f"it is {cost_of(batch)} now, which your tab did not show."
    return None


def _value(batch: Batch) -> str:
    return f"{value_of(batch.request)} {batch.price}"


def _selected(view: View) -> list[str]:
    """The values of what is selected, in the order of the tab. Raises NotUnderstood."""
    with understanding():
        state = view["state"]["values"]
        entered = [state.get(block["block_id"], {}).get(SELECT, {}) for block in view["blocks"]]
        return [text_in(one["value"]) for box in entered for one in box.get("selected_options") or ()]


def _relabelled(block: Block, chosen: Sequence[str]) -> Block:
    """The block as it is now: the button says what is selected, and the boxes stay as they are."""
    if block["block_id"] == "selected":
        return approve_selected(chosen)
    box = block.get("accessory") or {}
    if box.get("action_id") != SELECT:
        return block
    on = [option for option in box["options"] if option["value"] in chosen]
    box = {name: value for name, value in box.items() if name != "initial_options"}
    return block | {"accessory": box | ({"initial_options": on} if on else {})}
