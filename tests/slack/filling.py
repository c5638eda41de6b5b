"""What people do in the form for payments, and what it shows them."""

from __future__ import annotations

from typing import Any

from bot.sandbox.local_slack import LocalSlack
from bot.sandbox.local_slack.forms import Values
from bot.sandbox.local_slack.interactions import Result
from bot.sandbox.local_slack.views import View
from bot.slack.pay_form_view import CHANNEL, INVOICES, MODULES, Memory
from tests.slack.acting import shown

READING = "Reading the unpaid invoices"


async def opened(slack: LocalSlack, person: str = "alice") -> View:
    """The form, with the invoices in it."""

    def ready() -> list[View]:
        return [view for view in slack.views(person)[-1:] if READING not in shown(view)]

    return (await slack.wait_for(ready))[0]


def menu(view: View) -> dict[str, Any]:
    """The block of the menu of invoices."""
    (block,) = [block for block in view.blocks if block["block_id"].startswith("invoice:")]
    return block


def options(view: View) -> list[str]:
    """The invoices that can be picked."""
    return [option["text"]["text"] for option in menu(view)["element"]["options"]]


def numbers(view: View) -> list[str]:
    """Their modules and numbers."""
    return [line.partition(" · ")[0] for line in options(view)]


def picked(view: View, *refs: str) -> Values:
    """Invoices picked from the list."""
    block = menu(view)
    every = block["element"].get("options", [])
    chosen = [option for ref in refs for option in every if option["value"].startswith(f"{ref} ")]
    assert len(chosen) == len(refs)
    return {block["block_id"]: {"invoice": {"selected_options": chosen}}}


async def choose_module(slack: LocalSlack, view: View, *modules: str) -> View:
    """Pick modules in place of the others, and wait for their invoices."""
    result = await slack.person("alice").clicks(view, MODULES, list(modules))
    assert result.ok

    def filled() -> list[View]:
        views = slack.views("alice")[-1:]
        return [view for view in views if set(Memory.of(view.definition).listed) == set(modules)]

    await slack.wait_for(filled)
    return await opened(slack)


def numbers_of_all(view: View) -> set[str]:
    """The modules whose invoices can be picked."""
    if not any(block["block_id"].startswith("invoice:") for block in view.blocks):
        return set()
    return {line.partition(" ")[0] for line in numbers(view)}


def in_channel(channel: str) -> Values:
    """A channel picked in the form."""
    picker = {"type": "conversations_select", "selected_conversation": channel}
    return {CHANNEL: {CHANNEL: picker}}


async def form(slack: LocalSlack, *modules: str) -> View:
    """Alice's form for these modules."""
    await slack.person("alice").types("#payments", "/pay")
    return await choose_module(slack, await opened(slack), *modules)


def chosen(view: View) -> list[str]:
    """What the menu begins with."""
    return [one["value"].rsplit(" ", 2)[0] for one in menu(view)["element"].get("initial_options", [])]


async def picks(slack: LocalSlack, view: View, *refs: str) -> Result:
    """Alice picks these in place of the others."""
    options = menu(view)["element"]["options"]
    values = [one["value"] for ref in refs for one in options if one["value"].startswith(f"{ref} ")]
    return await slack.person("alice").clicks(view, INVOICES, values)


async def says(slack: LocalSlack, *texts: str) -> View:
    """Alice's form, when it says all of this."""

    def told() -> list[View]:
        return [one for one in slack.views("alice")[-1:] if all(each in shown(one) for each in texts)]

    return (await slack.wait_for(told))[0]
