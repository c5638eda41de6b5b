"""Slack as it is: the tokens and what they may do, the clock, and who and which channels are named."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator

from bot.checks.findings import Finding, note, of_problem, ok, wrong
from bot.config import Settings
from bot.domain.policy import Policy
from bot.domain.slack_ids import is_group
from bot.domain.wording import quote
from bot.errors import ConfigError
from bot.slack import roster
from bot.slack.installation import NEEDED, OPTIONAL, Installation, app_connected, installation_of, of_one_app
from bot.slack.roster import Channel, Group, Member
from bot.slack.web_api import Client, web_client

MOST_AHEAD_S = 60
"""Seconds that this machine's clock may be apart from Slack's."""

ADD_SCOPES = "Add them under OAuth & Permissions, Bot Token Scopes, and install the app again."


async def look(settings: Settings, policy: Policy) -> AsyncIterator[Finding]:
    """All of it; after a token that is refused there is nothing more to ask."""
    client = web_client(settings.slack_bot_token.get_secret_value(), settings.slack_api_url)
    try:
        found = await installation_of(client)
    except ConfigError as error:
        for problem in error.problems:
            yield of_problem(problem)
        return
    for finding in (_of_token(found), *of_scopes(found), _of_clock(found)):
        yield finding
    yield await _of_connection(settings, client, found)
    named = frozenset(one for rule in policy.rules for one in rule.requesters | rule.approvers)
    try:
        people = await _people(client, found.workspace.team, named)
        groups = await _groups(client, named)
        for finding in (*_of_people(people), *_of_groups(groups)):
            yield finding
        async for finding in _of_rules(policy, people, groups, client, found.workspace.team):
            yield finding
        async for finding in _of_channels(settings, policy, client, found):
            yield finding
    except ConfigError as error:
        for problem in error.problems:
            yield of_problem(problem)


async def team_of(settings: Settings) -> str | None:
    """Whose tokens these are; None where Slack does not say so, which `look` tells."""
    client = web_client(settings.slack_bot_token.get_secret_value(), settings.slack_api_url)
    try:
        return (await installation_of(client)).workspace.team
    except ConfigError:
        return None


def _of_token(found: Installation) -> Finding:
    app = f", app {found.app_name} ({found.app})" if found.app else ""
    team = f"{found.team} ({found.workspace.team}, {found.workspace.url})"
    return ok("SLACK_BOT_TOKEN", f"is @{found.workspace.bot_name}{app}, in the team {team}")


def of_scopes(found: Installation) -> Iterator[Finding]:
    """What the bot's token may not do and should, and the other way round."""
    where = "scopes"
    if found.scopes is None:
        yield note(where, "Slack did not say what the token may do")
        return
    missing = [f"{scope} ({NEEDED[scope]})" for scope in found.missing]
    without = [f"{scope} ({what_for})" for scope, what_for in OPTIONAL.items() if scope not in found.scopes]
    if missing:
        yield wrong(where, f"missing {', '.join(missing)}", ADD_SCOPES)
    if without:
        yield note(where, f"without the optional {', '.join(without)}", ADD_SCOPES)
    if found.superfluous:
        remedy = "What the bot cannot do, nobody does with its token: take them away."
        yield note(where, f"never needed: {', '.join(found.superfluous)}", remedy)
    if not missing:
        yield ok(where, "all that the bot needs")


def _of_clock(found: Installation) -> Finding:
    if found.ahead is None:
        return note("clock", "Slack did not say what time it is")
    apart = abs(round(found.ahead))
    if apart <= MOST_AHEAD_S:
        return ok("clock", f"within {MOST_AHEAD_S} seconds of Slack's")
    side = "ahead of" if found.ahead > 0 else "behind"
    return wrong("clock", f"this machine's is {apart} seconds {side} Slack's", "Let it be set by NTP.")


async def _of_connection(settings: Settings, client: Client, found: Installation) -> Finding:
    if settings.slack_app_token is None:
        return note("SLACK_SIGNING_SECRET", "cannot be tried from here", "Type /pay help in Slack.")
    try:
        app = await app_connected(client, settings.slack_app_token.get_secret_value())
    except ConfigError as error:
        return of_problem(error.problems[0])
    if problem := of_one_app(found, app):
        return of_problem(problem)
    return ok("SLACK_APP_TOKEN", "Socket Mode connects")


async def _people(client: Client, team: str, named: Iterable[str]) -> dict[str, Member | None]:
    people = sorted(one for one in named if not is_group(one))
    return {one: await roster.member(client, team, one) for one in people}


async def _groups(client: Client, named: Iterable[str]) -> dict[str, Group | None]:
    asked = sorted(filter(is_group, named))
    there = {group.id: group for group in await roster.groups(client)} if asked else {}
    return {one: there.get(one) for one in asked}


def _of_people(people: dict[str, Member | None]) -> Iterator[Finding]:
    remedy = "Take the id out of the rules, or correct it."
    fine = []
    for identifier, member in people.items():
        if member is None:
            yield wrong("people", f"there is no {identifier} in this team", remedy)
        elif flaw := never_allowed(member):
            yield wrong("people", f"{member} {flaw}", remedy)
        else:
            if member.guest:
                yield note("people", f"{member} is a guest, and counts because a rule names the id")
            fine.append(member.name)
    if fine:
        yield ok("people", f"{', '.join(fine)}: there and active")


def never_allowed(member: Member) -> str | None:
    """Why somebody whom a rule names can never request or approve anything."""
    if not member.active:
        return "is deactivated"
    if member.bot:
        return "is a bot"
    return "belongs to another organization" if member.foreign else None


def _of_groups(groups: dict[str, Group | None]) -> Iterator[Finding]:
    for identifier, group in groups.items():
        if group is None:
            yield wrong("groups", f"there is no {identifier} in this team", "Correct the id in the rules.")
        elif not group.active:
            yield wrong("groups", f"{group} is turned off, so nobody is in it", "Turn it on, or take it out.")
        elif not group.members:
            yield wrong("groups", f"nobody is in {group}", "Add people in Slack, under People, User groups.")
        else:
            yield ok("groups", f"{group} is there")


async def _of_rules(
    policy: Policy,
    people: dict[str, Member | None],
    groups: dict[str, Group | None],
    client: Client,
    team: str,
) -> AsyncIterator[Finding]:
    """Rules whose approvals nobody could ever give: whoever asks, all others together are too few."""
    for rule in policy.rules:
        needed = rule.most_approvals
        could = {one for one in rule.approvers if (found := people.get(one)) and not never_allowed(found)}
        for one in sorted(_members(groups, rule.approvers) - could):
            # One more than are needed is enough, whoever asks: of a large group only a few are looked up.
            if len(could) <= needed and _counts_in_a_group(await roster.member(client, team, one)):
                could.add(one)
        asking = set(rule.requesters.difference(groups)) | _members(groups, rule.requesters)
        others = max((len(could - {one}) for one in asking), default=len(could))
        if others < needed:
            what = f"needs {needed} approvals, and {others} people could give one"
            yield wrong(f"rule {quote(rule.name)}", what, "Name more approvers than whoever asks.")


def _members(groups: dict[str, Group | None], named: Iterable[str]) -> set[str]:
    """Who is in those of the groups that are named."""
    found = (groups.get(one) for one in named)
    return {one for group in found if group is not None and group.active for one in group.members}


def _counts_in_a_group(member: Member | None) -> bool:
    return member is not None and not member.guest and never_allowed(member) is None


async def _of_channels(
    settings: Settings, policy: Policy, client: Client, found: Installation
) -> AsyncIterator[Finding]:
    named = {one for rule in policy.rules for one in rule.channels or ()}
    named |= {rule.approval_channel for rule in policy.rules if rule.approval_channel}
    told = {
        settings.pay_operators_channel: "PAY_OPERATORS_CHANNEL",
        settings.pay_audit_channel: "PAY_AUDIT_CHANNEL",
    }
    if settings.pay_digest is not None:
        told[settings.pay_digest.channel] = "PAY_DIGEST"
    wheres = {one: where for one, where in told.items() if one} | dict.fromkeys(named, "channels")
    fine = []
    for identifier, where in sorted(wheres.items()):
        channel = await roster.channel(client, identifier)
        if channel is not None and channel.bot_is_in and not channel.archived:
            fine.append(str(channel))
        else:
            yield _of_channel(where, identifier, channel, found.workspace.bot_name)
    if fine:
        yield ok("channels", f"the bot is in {', '.join(fine)}")
    if any(rule.channels is None for rule in policy.rules):
        count = len(await roster.channels_of_bot(client))
        if count:
            yield ok("channels", f"/pay works in each of the {count} that the bot is in")
        else:
            invite = f"In Slack, type /invite @{found.workspace.bot_name} in the one for payments."
            yield wrong("channels", "the bot is in none", invite)


def _of_channel(where: str, identifier: str, channel: Channel | None, bot: str) -> Finding:
    """A named one that will not do."""
    invite = f"type /invite @{bot} there"
    if channel is None:
        what = f"there is no {identifier}, or it is private and the bot is not in it"
        return wrong(where, what, f"Correct the id, or {invite}.")
    if channel.archived:
        return wrong(where, f"{channel} is archived", "Name another, or bring it back.")
    return wrong(where, f"the bot is not in {channel}", f"In Slack, {invite}.")
