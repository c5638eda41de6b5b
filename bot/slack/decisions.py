"""The buttons Approve, Deny and Cancel, on cards and on the Home tab.

A click is acknowledged when the ledger has committed what came of it, so none is lost. Whatever was
refused or too late is told to the clicker alone, and a card that was out of date is shown again.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial

from slack_bolt.async_app import AsyncApp
from slack_sdk.web.async_client import AsyncWebClient

from bot.domain.payment import State
from bot.errors import DirectoryError, LedgerUnavailable
from bot.ledger.store import Ledger
from bot.payments import answers
from bot.payments.answers import Answer
from bot.payments.authority import Person
from bot.payments.desk import Desk
from bot.slack import pay_form, replies
from bot.slack.card import APPROVE, CANCEL, DENY
from bot.slack.directory import within
from bot.slack.inbound import (
    Acknowledge,
    Body,
    Gate,
    clicker,
    in_time,
    payment_clicked,
    price_clicked,
    repaired,
)
from bot.slack.respond import say, show
from bot.slack.web_api import Workspace

BEFORE_A_FORM = 1.0
"""Seconds to find out who may deny; the form must open within three of the click."""


class Actions:
    """Decides by the desk; the card and its thread show the outcome."""

    def __init__(
        self, desk: Desk, ledger: Ledger, client: AsyncWebClient, workspace: Workspace, gate: Gate
    ) -> None:
        self._desk = desk
        self._ledger = ledger
        self._client = client
        self._workspace = workspace
        self._gate = gate

    def register(self, app: AsyncApp) -> None:
        """Listen for the buttons."""
        app.action(APPROVE)(self._approve)
        app.action(DENY)(self._deny)
        app.action(CANCEL)(self._cancel)

    async def _approve(self, ack: Acknowledge, body: Body) -> None:
        await self._decide(ack, body, partial(self._desk.approve, seen=price_clicked(body)))

    async def _cancel(self, ack: Acknowledge, body: Body) -> None:
        await self._decide(ack, body, self._desk.cancel)

    async def _decide(
        self, ack: Acknowledge, body: Body, decide: Callable[[Person, int], Awaitable[Answer]]
    ) -> None:
        async with self._gate.entered():
            reply, late = await in_time(self._decided(body, decide), ack)
            if not late:
                await ack()
            if reply is not None:
                await say(self._client, body, reply)

    async def _decided(self, body: Body, decide: Callable[[Person, int], Awaitable[Answer]]) -> str | None:
        try:
            answer = await decide(clicker(body), payment_clicked(body))
            await self._repair(answer)
        except DirectoryError:
            return replies.SLACK_SILENT
        except LedgerUnavailable as error:
            return replies.unavailable(error)
        return self._reply(answer)

    async def _deny(self, ack: Acknowledge, body: Body) -> None:
        """Ask why; whether they may is checked now, and again when the reason comes."""
        async with self._gate.entered():
            payment_id = payment_clicked(body)
            view = reply = None
            try:
                with within(BEFORE_A_FORM):
                    answer = await self._desk.may_decide(clicker(body), payment_id)
                if answer is not None:
                    reply = self._reply(answer)
                    await self._repair(answer)
                elif (payment := await self._ledger.payment(payment_id)) is not None:
                    view = pay_form.deny_form(payment)
            except DirectoryError:
                reply = replies.SLACK_SILENT
            except LedgerUnavailable as error:
                reply = replies.unavailable(error)
            await ack()
            if view is not None and await show(self._client, str(body["trigger_id"]), view) is None:
                reply = replies.NO_FORM
            if reply is not None:
                await say(self._client, body, reply)

    def _reply(self, answer: Answer) -> str | None:
        """What the clicker is told; None where the card and its thread tell everybody."""
        if isinstance(answer, answers.Done) and answer.payment.state is not State.EXPIRED:
            return None
        return replies.said(answer, self._workspace.url)

    async def _repair(self, answer: Answer) -> None:
        if isinstance(answer, answers.AlreadyDecided | answers.AlreadyApproved | answers.Outdated):
            await repaired(self._desk, answer.payment.id)
