"""All that is told once and belongs to no request: who tells it, as far as the settings ask for it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from bot.config import Settings
from bot.domain.digest_plan import DigestPlan
from bot.domain.policy import Policy
from bot.domain.schedule import MORNING, Mornings
from bot.payments.alarms import Alarms
from bot.payments.worker import Poller, TaskPool
from bot.slack.alerts import AlertTeller
from bot.slack.audit_head import HeadTeller
from bot.slack.digest import DigestTeller
from bot.slack.inbound import Services
from bot.slack.once import Once


@dataclass(frozen=True, slots=True)
class Teller:
    """What polls, and where its work is done."""

    poller: Poller
    pools: Sequence[TaskPool[Any]]


EVERY_DAY = frozenset(range(7))


def tellers(
    settings: Settings,
    policy: Policy,
    services: Services,
    alarms: Alarms,
    mornings: Mornings,
    once: Callable[[str], Once],
) -> list[Teller]:
    """Those that the settings ask for. once: made for a variable.

    The head of the trail is told at the digest's time, or in the morning; but every day.
    """
    timing, plan, found = alarms.timing, settings.pay_digest, []
    if plan is not None:
        digests = DigestTeller(
            plan,
            policy,
            once("PAY_DIGEST"),
            services.directory,
            services.overview,
            services.unpaid,
            services.catalogue,
        )
        poller = Poller("digest", digests.poll_once, digests.pool.wake, timing.digest)
        found.append(Teller(poller, [digests.pool]))
    if settings.pay_audit_channel is not None:
        at = MORNING if plan is None else plan.at
        daily = DigestPlan(
            settings.pay_audit_channel, EVERY_DAY, at, mornings.zone, timedelta(0), approvers=False
        )
        heads = HeadTeller(daily, once("PAY_AUDIT_CHANNEL"))
        poller = Poller("audit head", heads.poll_once, heads.pool.wake, timing.digest)
        found.append(Teller(poller, [heads.pool]))
    if settings.pay_operators_channel is not None:
        told = replace(once("PAY_OPERATORS_CHANNEL"), rather_twice=True)
        alerts = AlertTeller(settings.pay_operators_channel, alarms, told)
        poller = Poller("alerts", alerts.poll_once, alerts.pool.wake, timing.watch)
        found.append(Teller(poller, [alerts.pool, alerts.looking]))
    return found
