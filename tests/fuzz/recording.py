"""A morning in the local Slack, recorded: a payload of each kind that Slack delivers, and the ledger then."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from bot import app, config
from bot.domain.payment import InvoiceRef
from bot.sandbox.local_billing import LocalBilling
from bot.sandbox.local_slack import LocalSlack
from bot.sandbox.local_slack import identifiers as ids
from bot.sandbox.local_slack.messages import Message
from bot.sandbox.local_slack.views import View
from bot.slack.card import APPROVE, ASK_AGAIN, DENY, REMOVE, WAS_PAID, WITHDRAW
from bot.slack.pace import Pace
from bot.slack.pay_form import SHORTCUT
from bot.slack.pay_form_button import OPEN_FORM, PAY_SEVERAL
from bot.slack.pay_form_view import DUE_SOON, INVOICES, MODULES, NUMBERS, PAY_FORM
from bot.slack.preview import CONFIRM
from bot.slack.selection import APPROVE_SELECTED, SELECT
from bot.slack.unpaid_view import UNPAID
from bot.slack.workflow_step import STEP
from tests.fixture_types import QUICK, environment_of
from tests.optional_step import with_the_step
from tests.slack.acting import THREE, approve, chosen, request_several, text

APPROVING = {"PAY_APPROVALS_REQUIRED": "1"}
"""What is set otherwise than in other tests: nothing is paid without Bob or Carol."""

PATIENT = replace(QUICK, lease=timedelta(minutes=5), look_up=60.0)
"""A bot whose every line is watched is slow."""


@dataclass
class Recording:
    """payloads: with their kinds, as `Delivery` names them, in order. ledger: as it is then."""

    ledger: Path
    payloads: list[tuple[str, dict[str, Any]]] = field(default_factory=list)


async def record(folder: Path) -> Recording:
    """Play it. folder: for the ledger."""
    made = Recording(folder / "recorded.db")
    async with AsyncExitStack() as stack:
        slack = await stack.enter_async_context(
            LocalSlack(manifest=with_the_step(), ack_deadline=60, trigger_lifetime=60)
        )
        billing = LocalBilling()
        await billing.start()
        stack.push_async_callback(billing.stop)
        environment = environment_of(slack, billing, f"sqlite:///{made.ledger}") | APPROVING
        settings = config.load(folder / "no.env", environment)
        pace = Pace(posts=1000, updates=1000, burst=1000)
        bot = await stack.enter_async_context(app.running(settings, timing=PATIENT, pace=pace))
        with _recorded(slack, made):
            await _play(slack, billing, bot)
    made.payloads.append(("interactive", _looked_for(made)))
    return made


def _looked_for(made: Recording) -> dict[str, Any]:
    """What is typed into a menu of more invoices than it takes, which would need a hundred of them."""
    picked = next(one for _, one in made.payloads if (one.get("view") or {}).get("callback_id") == PAY_FORM)
    view = copy.deepcopy(picked["view"]) | {"state": {"values": {}}}
    kept = {name: picked[name] for name in ("user", "team", "enterprise", "token", "api_app_id")}
    asked = {"type": "block_suggestion", "action_id": INVOICES, "block_id": f"{INVOICES}:1", "value": "1030"}
    return kept | asked | {"view": view, "container": {"type": "view", "view_id": view["id"]}}


@contextmanager
def _recorded(slack: LocalSlack, made: Recording) -> Iterator[None]:
    transport = slack._delivery.transport
    deliver = transport.deliver

    async def note(kind: str, payload: dict[str, Any], attempt: int = 0, reason: str = "") -> dict[str, Any]:
        made.payloads.append((kind, copy.deepcopy(payload)))
        return await deliver(kind, payload, attempt, reason)

    transport.deliver = note  # type: ignore[method-assign]
    yield
    transport.deliver = deliver  # type: ignore[method-assign]


async def _play(  # noqa: PLR0915  (a morning has as many things as it has)
    slack: LocalSlack, billing: LocalBilling, bot: app.Bot
) -> None:
    alice, bob = slack.person("alice"), slack.person("bob")

    async def newest(person: str) -> View:
        assert await bot.rest(60)
        return (await slack.wait_for(lambda: slack.views(person), 60))[-1]

    async def told(button: str) -> Message:
        return (
            await slack.wait_for(
                lambda: [one for one in slack.ephemerals("alice") if button in one.action_ids()], 60
            )
        )[-1]

    async def tab(person: str) -> View:
        shown = await slack.wait_for(lambda: slack.home(person), 60)
        assert shown is not None
        return shown

    async def carded(button: str) -> Message:
        def there() -> list[Message]:
            cards = [one for one in slack.messages("#payments") if one.metadata]
            return [one for one in cards[-1:] if button in one.action_ids()]

        return (await slack.wait_for(there, 60))[0]

    for number in range(3):
        billing.add_invoice("domains", 50_000 + number, due_in_days=2)

    async def request(text: str) -> Message:
        assert (await alice.types("#payments", f"/pay {text}")).ok
        return await carded(APPROVE)

    billing.fail("reset-before")
    unknown = await request("backups 10201 note: why")
    await approve(slack, unknown, "bob")
    unknown = await carded(WAS_PAID)
    billing.heal()
    await bob.clicks(unknown, WAS_PAID)
    await bob.submits(await newest("bob"), text("how", "seen on the statement"))

    denied = await request("mail 10301")
    await bob.clicks(denied, DENY)
    await bob.submits(await newest("bob"), text("reason", "not ours"))
    await alice.clicks(await carded(ASK_AGAIN), ASK_AGAIN)
    await alice.clicks(await carded(WITHDRAW), WITHDRAW)
    assert await bot.rest(60)

    several = await request_several(slack, bot, THREE)
    await bob.clicks(several, REMOVE)
    await bob.submits(await newest("bob"), chosen("which", InvoiceRef("vps", 10103)) | text("reason", "why"))

    await alice.types("#payments", "/pay webhosting licenses due 30d note: month end")
    await alice.clicks(await told(CONFIRM), CONFIRM)
    await alice.types("#payments", "/pay list domains")
    await alice.clicks(await told(PAY_SEVERAL), PAY_SEVERAL)
    form = await newest("alice")
    await alice.clicks(form, MODULES, ["domains", "mail"])
    await alice.clicks(await newest("alice"), DUE_SOON)
    await alice.submits(await newest("alice"), text(NUMBERS, "domains 77777"))
    await alice.uses_shortcut(SHORTCUT)
    await bob.opens_home()
    home = await tab("bob")
    boxes = [block for block in home.blocks if (block.get("accessory") or {}).get("action_id") == SELECT]
    box = boxes[-1]
    await bob.clicks(home, SELECT, [box["accessory"]["options"][0]["value"]], box["block_id"])
    await bob.clicks(await tab("bob"), APPROVE_SELECTED)
    await bob.submits(await newest("bob"), {})
    await bob.clicks(home, UNPAID)
    await alice.opens_home()
    await alice.clicks(await tab("alice"), OPEN_FORM)
    await slack.run_workflow_step(
        STEP, {"module": "vps", "invoice": "88888", "channel": ids.PAYMENTS}, by="alice"
    )
    await alice.types("#payments", "/pay pause for a while")
    await alice.types("#payments", "/pay resolve 1 backups 10201 not-paid no row")
    assert await bot.rest(60)
