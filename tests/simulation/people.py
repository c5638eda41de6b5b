"""What people do in Slack: they ask, click, type, fill in forms, run workflows, come and go."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from bot.domain.payment import InvoiceRef, State
from bot.sandbox.local_slack.errors import NotThere
from bot.sandbox.local_slack.messages import Message
from bot.slack import removal, schedule_text
from bot.slack.card import APPROVE, DENY, REMOVE, WITHDRAW
from bot.slack.decisions import REASON
from bot.slack.inbound import IN_TIME
from bot.slack.pay_form_view import MODULES, NUMBERS
from bot.slack.preview import CONFIRM
from bot.slack.removal import REMOVE_FORM
from bot.slack.workflow_step import STEP
from tests.simulation import sight
from tests.simulation.drawing import PEOPLE
from tests.simulation.installation import CHANNELS, Acts, Installation
from tests.simulation.outside import ALL_OF, GROUPS
from tests.slack.acting import chosen, text

_DELIVERED = 0.5
"""Seconds. What was acknowledged this much before the bot's own limit was acknowledged with its answer."""

_REMEMBERED = 20
"""Cards that people have before them as they were."""

_PREVIEW_S = 30.0
"""Seconds that somebody waits for a preview."""


class People:
    """Acts for them."""

    def __init__(self, installation: Installation) -> None:
        self._installation = installation
        self._slack = installation.slack
        self._remembered: list[Message] = []
        self._previewed: list[tuple[str, Message]] = []
        self.acts: Acts = {
            "asks": self.ask,
            "asks for several": self._ask_for_several,
            "asks blindly": self._ask_blindly,
            "confirms": self._confirm_late,
            "all ask at once": self._all_ask,
            "clicks": self._click,
            "types": self._type,
            "fills in the form": self._fill_in,
            "runs a workflow": self._run_workflow,
            "comes or goes": self._comes_or_goes,
        }

    async def ask(
        self, person: str, channel: str, module: str, number: int, twice: bool, when: str = ""
    ) -> None:
        """Type the command. twice: Slack delivers it twice. when: the day, as it is typed."""
        self._must_exist(module, number)
        self._installation.past.asked((module, number), when)
        if twice:
            self._slack.duplicate_next(1)
        failed, past = self._installation.loop.disk.failed, self._installation.past
        lost, taken = (past.unsafe_since, past.restored_at), self._may_ask(person)
        result = await self._slack.person(person).types(channel, f"/pay {module} {number} {when}")
        # A later acknowledgement may say that it takes longer, and promises nothing; nor does one that says
        # that the ledger is away, that Slack does not say who that is, that it was forged, or that the day is
        # over; nor one of what a ledger that was set back meanwhile has lost.
        well = failed == self._installation.loop.disk.failed
        well &= lost == (past.unsafe_since, past.restored_at)
        well &= taken and self._may_ask(person) and when in ("", "on due date")
        well &= (module, number) not in past.forged_refs
        if result.ok and well and result.seconds < IN_TIME - _DELIVERED:
            self._installation.acknowledged.append((module, number))

    async def _ask_blindly(self, person: str, channel: str, module: str, number: int, after: float) -> None:
        """Ask while no list can be read; when all can be again, the others approve what they were shown."""
        self._installation.billing.fail("unreadable")
        await self.ask(person, channel, module, number, False)
        await asyncio.sleep(after)
        self._installation.billing.heal()
        await self.others_approve(person, channel, module, number)

    async def others_approve(self, person: str, channel: str, module: str, number: int) -> None:
        """Whoever else there is, what that person asked for, as its card stands there now."""
        for card in self._slack.messages(channel)[-12:]:
            if f"{module} invoice {number}," in card.text and APPROVE in card.action_ids():
                for other in sorted(set(PEOPLE) - {person}):
                    self._looks_at(self._slack.person(other).id, card)
                    with suppress(NotThere):
                        await self._slack.person(other).clicks(card, APPROVE)

    async def _ask_for_several(
        self,
        person: str,
        channel: str,
        listed: Sequence[tuple[str, int]],
        due: str,
        noted: bool,
        presses: int,
        after: float,
        when: str = "",
    ) -> None:
        """Type them, or what is due; look at the preview for a while, and press its button so often."""
        for module, number in listed:
            self._must_exist(module, number)
            self._installation.past.asked((module, number), when)
        if due:
            self._installation.past.asked((ALL_OF, 0), when)
        typed = due or " ".join(f"{module} {number}" for module, number in listed)
        before = {one.ts for one in self._previews(person)}
        with suppress(NotThere):
            note = " note: month end" if noted else ""
            await self._slack.person(person).types(channel, f"/pay {typed} {when}{note}")

        def fresh() -> list[Message]:
            return [one for one in self._previews(person) if one.ts not in before]

        with suppress(AssertionError):
            await self._installation.happens(fresh, "a preview", _PREVIEW_S)
        for preview in fresh()[-1:]:
            self._previewed = [*self._previewed, (person, preview)][-_REMEMBERED:]
            await asyncio.sleep(after)
            await self._confirm(person, preview, presses)

    def _previews(self, person: str) -> list[Message]:
        return [one for one in self._slack.ephemerals(person) if CONFIRM in one.action_ids()]

    async def _confirm(self, person: str, preview: Message, presses: int) -> None:
        with suppress(NotThere):
            actor = self._slack.person(person)
            await asyncio.gather(*(actor.clicks(preview, CONFIRM) for _ in range(presses)))

    async def _confirm_late(self, person: str, which: float) -> None:
        previews = [one for whose, one in self._previewed if whose == person]
        if previews:
            await self._confirm(person, previews[-1 - int(which * len(previews))], 1)

    def _may_ask(self, person: str) -> bool:
        """Whether it is certain that every bot takes what this person asks for."""
        one, past = self._slack.person(person).id, self._installation.past
        running = [past.rules.get(process.machine.name) for process in self._installation.running]
        return all(rules is not None and one in rules["PAY_ALLOWED_USERS"].split(",") for rules in running)

    async def _all_ask(self, first: int, count: int) -> None:
        asked = range(first, first + count)
        await asyncio.gather(
            *(
                self.ask(PEOPLE[number % len(PEOPLE)], CHANNELS[number % len(CHANNELS)], "vps", number, False)
                for number in asked
            )
        )

    def _must_exist(self, module: str, number: int) -> None:
        if self._installation.billing.row(module, number) is None:
            # The same in every module: a number alone must not tell.
            amount, due = float(number % 90 + 1), number % 7 - 2
            self._installation.billing.add_invoice(module, number, amount=amount, due_in_days=due)

    async def _click(self, person: str, what: str, which: float, twice: bool, outdated: bool) -> None:
        now = self._cards()
        self._remembered = [*self._remembered, *now][-_REMEMBERED:]
        cards = [card for card in (self._remembered if outdated else now) if what in card.action_ids()]
        if not cards:
            return
        card = cards[-1 - int(which * len(cards))]
        if what == WITHDRAW:
            asked = [one for one in PEOPLE if f"by <@{self._slack.person(one).id}>" in card.text]
            person = asked[0] if asked else person
        actor = self._slack.person(person)
        if what == APPROVE:
            self._looks_at(actor.id, card)
        with suppress(NotThere):  # somebody else was quicker
            await asyncio.gather(*(actor.clicks(card, what) for _ in range(1 + twice)))
            if what == DENY:
                for view in self._slack.views(person)[-1:]:
                    await actor.submits(view, text(REASON, "not this one"))
            if what == REMOVE:
                await self._take_out(person, which)

    def _looks_at(self, person: str, card: Message) -> None:
        """Who approves has seen what the card shows, but for what is over."""
        self._installation.past.shown.update((person, *seen) for seen in sight.of_card(card))

    async def _take_out(self, person: str, which: float) -> None:
        for view in self._slack.views(person)[-1:]:
            options = [
                InvoiceRef(module, int(number))
                for block in view.blocks
                if view.callback_id == REMOVE_FORM
                for option in block.get("element", {}).get("options", ())
                for module, number in [option["value"].split()]
            ]
            if options:
                picked = options[int(which * len(options)) :][: 1 + int(which * 97) % 2]
                why = text(removal.REASON, "not ours")
                await self._slack.person(person).submits(view, chosen(removal.WHICH, *picked) | why)

    def _cards(self) -> list[Message]:
        return [one for place in CHANNELS for one in self._slack.messages(place)[-12:] if one.bot_id]

    async def _type(
        self, person: str, channel: str, module: str, number: int, words: str, which: float
    ) -> None:
        match words:
            case "list":
                typed: str | None = f"list {module}"
            case "status":
                typed = f"status {module} {number}"
            case "resolve":
                typed = self._settling(which, State.UNKNOWN)
            case "correct":
                typed = self._settling(which, State.PAID, State.DECLINED)
            case _:
                typed = words
        if typed is not None:
            with suppress(NotThere):
                await self._slack.person(person).types(channel, f"/pay {typed}")

    def _settling(self, which: float, *states: State) -> str | None:
        """Somebody looked in MyAdmin, and says what is so now of a payment in one of these states."""
        found = self._installation.rows(
            "SELECT request_id, module, number, invoices"
            " FROM payments JOIN requests ON requests.id = request_id"
            f" WHERE state IN ({', '.join('?' * len(states))}) ORDER BY payments.id",
            *states,
        )
        if not found:
            return None
        request_id, *ref, lines = found[int(which * len(found))]
        row = self._installation.billing.row(*ref)
        paid = bool(row and row["invoices_paid"])
        named = f" {ref[0]} {ref[1]}" if lines > 1 else ""
        return f"resolve {request_id}{named} {'paid' if paid else 'not-paid'} seen in MyAdmin"

    async def _fill_in(self, person: str, channel: str, module: str, number: int, when: str = "") -> None:
        self._must_exist(module, number)
        self._installation.past.asked((module, number), when)
        option = {"text": {"type": "plain_text", "text": module}, "value": module}
        picked: Any = {MODULES: {MODULES: {"type": "multi_static_select", "selected_options": [option]}}}
        with suppress(NotThere):
            await self._slack.person(person).types(channel, "/pay")
            for view in self._slack.views(person)[-1:]:
                entered = picked | text(NUMBERS, str(number)) | _day(when)
                await self._slack.person(person).submits(view, entered)

    async def _run_workflow(self, person: str, channel: str, module: str, number: int) -> None:
        self._must_exist(module, number)
        self._installation.past.asked((module, number), "")
        inputs = {
            "module": module,
            "invoice": str(number),
            "channel": self._slack.world.channel(channel).id,
        }
        self._installation.all_runs.append(await self._slack.run_workflow_step(STEP, inputs, by=person))

    async def _comes_or_goes(self, person: str, how: str) -> None:
        """People who are out may come back; who is named by id may go on all the same."""
        world, past, who = self._slack.world, self._installation.past, self._slack.person(person).id
        if how == "comes back":
            past.out_since.pop(who, None)
        else:
            past.left(who, self._installation.loop.now)
        if how != "leaves the groups":
            world.change_person(who, deleted=how == "is deactivated")
        for group, members in GROUPS.items():
            kept = set(world.groups[group].members)
            if how == "comes back":
                kept.add(who)
            elif how == "leaves the groups":
                kept.discard(who)
            world.change_group(group, [one for one in members if one in kept])


def _day(when: str) -> Any:
    """What is entered in the form for a day that is typed so; it may show another, from an earlier try."""
    day = when.removeprefix("on ") if when not in ("", "on due date") else None
    chosen = "now" if not when else "on" if day else "due"
    return {
        schedule_text.WHEN: {
            schedule_text.WHEN: {"type": "radio_buttons", "selected_option": {"value": chosen}}
        },
        schedule_text.DAY: {schedule_text.DAY: {"type": "datepicker", "selected_date": day}},
    }
