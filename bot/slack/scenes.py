"""What a delivery has to say, as things are now: the ledger's rows and Slack's answers become a message.

Whatever cannot be put into words is told in a plain line, so that nothing waits behind it: an event of a
newer version, one without what its words need, a bug.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass

import structlog

from bot.domain.payment import Payment
from bot.errors import LedgerUnavailable
from bot.ledger.rows import Delivery, Event, Kind
from bot.ledger.store import Ledger
from bot.payments.approvals import shown
from bot.payments.authority import Authority
from bot.slack import event_text, messages
from bot.slack.directory import SlackDirectory
from bot.slack.invitations import absent, asks_for_decisions, invitation
from bot.slack.messages import Message, Scene
from bot.slack.wire import Workspace

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Saying:
    """What to say.

    event: what it tells; None for what tells the state. invited: who is asked once it stands.
    """

    message: Message
    event: Event | None
    invited: Sequence[str] = ()


class Scenes:
    """Puts deliveries into words."""

    def __init__(
        self, ledger: Ledger, authority: Authority, directory: SlackDirectory, workspace: Workspace
    ) -> None:
        self._ledger = ledger
        self._authority = authority
        self._directory = directory
        self._workspace = workspace

    async def saying(self, delivery: Delivery, payment: Payment) -> Saying:
        """What this delivery says. Raises LedgerUnavailable, and nothing else."""
        try:
            return await self._saying(delivery, payment)
        except LedgerUnavailable:
            raise
        except Exception:  # whatever it is, no reply may wait behind it; the log has all of it
            reference = secrets.token_hex(4)
            log.error(
                "cannot be put into words; it is told in a plain line",
                reference=reference,
                payment=payment.id,
                kind=delivery.kind,
                event_id=delivery.event_id,
                exc_info=True,
            )
            return Saying(event_text.plain(payment, reference), None)

    async def _saying(self, delivery: Delivery, payment: Payment) -> Saying:
        event = await self._ledger.event(delivery.event_id) if delivery.event_id is not None else None
        scene = await self._scene(payment)
        invited: Sequence[str] = ()
        if delivery.ts is None and asks_for_decisions(delivery, payment):
            invited = await absent(self._directory, delivery.channel, scene)
        return Saying(_render(delivery, event, scene), event, invited)

    async def _scene(self, payment: Payment) -> Scene:
        return Scene(
            payment=payment,
            approvals=await shown(self._ledger, self._authority, payment),
            today=self._ledger.clock().date(),
            team_url=self._workspace.url,
            bot_name=self._workspace.bot_name,
        )


def _render(delivery: Delivery, event: Event | None, scene: Scene) -> Message:
    if delivery.kind is Kind.CARD:
        return messages.card(scene)
    if delivery.kind is Kind.APPROVAL_CARD:
        return messages.approval_card(scene)
    if delivery.kind is Kind.INVITATION:
        return invitation(scene)
    assert event is not None, "bug: a note tells an event"
    return event_text.note(event, scene) if delivery.kind is Kind.NOTE else event_text.direct(event, scene)
