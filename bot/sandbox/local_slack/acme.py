"""The default world: a small company, a partner, and a bot that was just installed."""

from __future__ import annotations

from bot.sandbox.local_slack import identifiers as ids
from bot.sandbox.local_slack.world import ChannelKind, World


def populate(world: World, bot_name: str, app_name: str) -> None:
    """Fill an empty world. `bot_name` is what people type after @, `app_name` what they read."""
    world.add_person("slackbot", "Slackbot", id=ids.SLACKBOT_ID, is_bot=True)
    world.add_person(bot_name, app_name, id=ids.BOT_USER_ID, is_bot=True)
    world.add_person("alice", "Alice Ahrens", id=ids.ALICE, title="Operations")
    world.add_person("bob", "Bob Brandt", id=ids.BOB, title="Head of Finance")
    world.add_person("carol", "Carol Castro", id=ids.CAROL, title="Accounting")
    world.add_person("mallory", "Mallory Moss", id=ids.MALLORY, title="Marketing")
    world.add_person("gil", "Gil Garcia", id=ids.GIL, title="Contractor", is_restricted=True)
    world.add_person(
        "xena",
        "Xena Xu",
        id=ids.XENA,
        title="Partner Ltd",
        team_id=ids.OTHER_TEAM_ID,
        is_stranger=True,
    )
    world.add_group("finance", ["bob", "carol"], id=ids.FINANCE_GROUP, name="Finance")
    full_members = ["alice", "bob", "carol", "mallory"]
    world.add_channel(
        "payments",
        [*full_members, "gil", ids.BOT_USER_ID],
        id=ids.PAYMENTS,
        topic="Pay invoices with /pay",
    )
    world.add_channel("random", full_members, id=ids.RANDOM, topic="The bot is not here")
    world.add_channel(
        "finance-private",
        ["alice", "bob", "carol"],
        ChannelKind.PRIVATE,
        id=ids.FINANCE_PRIVATE,
        topic="Invited people only",
    )
    world.add_channel(
        "approvals",
        ["bob", "carol", ids.BOT_USER_ID],
        id=ids.APPROVALS,
        topic="Payments that want approval",
    )
    world.add_channel(
        "shared-with-partner",
        [*full_members, "xena", ids.BOT_USER_ID],
        id=ids.SHARED,
        topic="Acme and Partner Ltd",
        is_ext_shared=True,
    )
    for name in (*full_members, "gil"):
        world.direct_channel(name)
