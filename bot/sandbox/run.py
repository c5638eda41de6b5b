"""The sandbox: a local Slack, a local billing API, and the very same bot against them."""

from __future__ import annotations

import asyncio
import errno
import logging
import re
import signal
import socket
import tempfile
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import structlog

from bot import app, config
from bot.sandbox import policies
from bot.sandbox.conversation import Conversation
from bot.sandbox.local_billing import LocalBilling
from bot.sandbox.local_billing.books import month_end_books
from bot.sandbox.local_slack import LocalSlack
from bot.sandbox.local_slack.actor import Actor
from bot.sandbox.local_slack.errors import NotThere
from bot.sandbox.local_slack.forms import Values
from bot.sandbox.local_slack.interactions import Result
from bot.sandbox.local_slack.messages import Message, interactive_elements
from bot.sandbox.local_slack.views import View

CHANNEL = "#payments"
BEGINNING = ("/pay mail 10301", "/pay quickservers 10801")
"""What Alice has typed when the page opens: other invoices than those that people are told to try."""
REST_SECONDS = 30.0
"""What a line sets off must come to rest within this."""

_SAID = re.compile(r"\s*([a-z]+)\s*:\s*(.*\S)\s*", re.DOTALL)

BUTTONS = {
    "confirm": re.compile(r"Request [0-9]+ payments? · .*"),
    "approve": re.compile("Approve"),
    "deny": re.compile("Deny"),
    "remove": re.compile("Remove…"),
    "withdraw": re.compile("Withdraw"),
}
"""What a line may say to press the newest button that is labelled so."""


class NotDone(Exception):
    """A line that this person could not do. The text tells why."""


class BadLine(Exception):
    """A --say line that cannot be said. The text tells why, and what can."""


@dataclass(frozen=True, slots=True)
class Line:
    """One thing that one person does."""

    person: str
    text: str


def read_line(said: str, people: Sequence[str]) -> Line:
    """Read "alice: /pay vps 10101". Raises BadLine."""
    match = _SAID.fullmatch(said)
    if match is None:
        raise BadLine(f"{said!r} is not of the form 'alice: /pay vps 10101'")
    if match[1] not in people:
        raise BadLine(f"there is no {match[1]} here; there are {', '.join(people)}")
    return Line(match[1], match[2])


async def sandbox(
    *,
    port: int,
    says: Sequence[str],
    fail: str | None,
    policy: Path,
    write: Callable[[str], None],
) -> int:
    """Run it until Ctrl-C, or, with `says`, until each line came to rest. Returns the exit code.

    policy: a file of rules that names the sandbox's people.
    Raises BadLine, and ConfigError for a policy that is wrong.
    """
    async with AsyncExitStack() as stack:
        slack = await _slack(port)
        stack.push_async_callback(slack.stop)
        people = [person.name for person in slack.world.people.values() if not person.is_bot]
        lines = [read_line(said, people) for said in says]
        conversation = Conversation(slack, write)
        billing = LocalBilling(month_end_books(), on_call=conversation.billing_called)
        await billing.start()
        stack.push_async_callback(billing.stop)
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="pay-sandbox-"))
        settings = _settings(slack, billing, Path(folder), policy)
        if fail is not None:
            billing.fail(fail)
        bot = await stack.enter_async_context(app.running(settings))
        conversation.start()
        if lines:
            return await _say(lines, slack, bot, write)
        write(f"The sandbox runs: open {slack.page_url}")
        write("Type /pay vps 10101 in #payments there, or press Ctrl-C here to stop.")
        stop = _told_to_stop()
        if fail is None and policy in policies.EXAMPLES.values():
            await _begin(slack)
        await bot.run_until(stop)
    return 1 if bot.broken.is_set() else 0


async def _slack(port: int) -> LocalSlack:
    """A local Slack at the wanted port, or the next one that is free: another sandbox may start as well."""
    while True:
        slack = LocalSlack(port=free_port(port))
        try:
            await slack.start()
        except OSError as error:
            await slack.stop()
            if error.errno != errno.EADDRINUSE:
                raise
        else:
            return slack


async def _begin(slack: LocalSlack) -> None:
    """So that the first screen shows a request of each kind: with approval and without, if there are both."""
    for text in BEGINNING:
        await slack.person("alice").types(CHANNEL, text)


async def _say(lines: Sequence[Line], slack: LocalSlack, bot: app.Bot, write: Callable[[str], None]) -> int:
    for line in lines:
        try:
            await _do(line, slack, bot)
            await _rest(bot)
        except (NotDone, NotThere) as error:
            write(f"  ({line.person}: {line.text}: not done, as {error})")
            return 1
    return 0


async def _rest(bot: app.Bot) -> None:
    if not await bot.rest(REST_SECONDS):
        raise NotDone(f"it did not come to rest in {REST_SECONDS:g} s")


async def _do(line: Line, slack: LocalSlack, bot: app.Bot) -> None:
    """Type a command, press the newest button of a kind, or write a plain message."""
    person = slack.person(line.person)
    word, _, rest = line.text.partition(" ")
    if line.text.startswith("/"):
        _taken(await person.types(CHANNEL, line.text))
    elif word in BUTTONS:
        await _press(person, slack, bot, word, rest.strip())
    else:
        await person.says(CHANNEL, line.text)


async def _press(person: Actor, slack: LocalSlack, bot: app.Bot, word: str, rest: str) -> None:
    """Press the button of that kind, and fill in the form that it opens, if it does."""
    message, action_id = _newest_button(person, slack, word)
    open_before = {view.id for view in slack.views(person.name)}
    _taken(await person.clicks(message, action_id))
    await _rest(bot)
    for form in slack.views(person.name):
        if form.id not in open_before and (entered := _filled(form, rest)):
            _taken(await person.submits(form, entered))


def _filled(form: View, said: str) -> Values:
    """What a line says in the inputs of a form: first the invoices, if it asks for some, and then why."""
    values: Values = {}
    inputs = [(block["block_id"], block["element"]) for block in form.blocks if block["type"] == "input"]
    for block, element in inputs:
        if element["type"] == "multi_static_select":
            invoices, said = _invoices(said)
            there = {option["value"]: option for option in element["options"]}
            if missing := [one for one in invoices if one not in there]:
                raise NotDone(f"{missing[0]} is not among those that can be chosen")
            values[block] = {element["action_id"]: {"selected_options": [there[one] for one in invoices]}}
        elif element["type"] == "plain_text_input":
            values[block] = {element["action_id"]: {"value": said or "no reason given"}}
    return values


def _invoices(said: str) -> tuple[list[str], str]:
    """Those at the beginning, as in "vps 10102 10103 not ours", and the words that follow."""
    found, module, words = [], "", said.split(" ")
    while words:
        if module and words[0].isdecimal():
            found.append(f"{module} {words.pop(0)}")
        elif len(words) > 1 and words[1].isdecimal():
            module = words.pop(0)
        else:
            break
    return found, " ".join(words)


def _taken(result: Result) -> None:
    if not result.ok:
        raise NotDone(f"Slack said {result.error or 'that the form is not filled in well'}")


def _newest_button(person: Actor, slack: LocalSlack, word: str) -> tuple[Message, str]:
    """The newest message that has such a button, among those that the person sees."""
    elsewhere = f"there is no button {word.capitalize()}"
    found: list[tuple[Message, str]] = []
    for channel in slack.world.channels.values():
        for message in slack.messages(channel.id, person.name):
            for _, element in interactive_elements(message.blocks):
                if element["type"] != "button" or not BUTTONS[word].fullmatch(element["text"]["text"]):
                    continue
                if person.id in channel.members:
                    found.append((message, str(element["action_id"])))
                else:
                    elsewhere = f"{person.name} is not in #{channel.name}, where the button is"
    if not found:
        raise NotDone(elsewhere)
    return max(found, key=lambda each: each[0].ts)


def _told_to_stop() -> asyncio.Event:
    """Set by Ctrl-C and SIGTERM from now on."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, stop.set)
    return stop


def _settings(slack: LocalSlack, billing: LocalBilling, folder: Path, policy: Path) -> config.Settings:
    """What .env would hold, for this Slack and this billing API and nothing else."""
    return config.load(
        folder / ".env",
        {
            "SLACK_BOT_TOKEN": slack.bot_token,
            "SLACK_APP_TOKEN": slack.app_token,
            "SLACK_API_URL": slack.api_url,
            "BILLING_WSDL_URL": billing.wsdl_url,
            "BILLING_USERNAME": billing.username,
            "BILLING_PASSWORD": billing.password,
            "BILLING_TIMEOUT": "5",
            "LEDGER_URL": f"sqlite:///{folder / 'ledger.db'}",
            "PAY_POLICY_FILE": str(policy),
        },
    )


def free_port(wanted: int) -> int:
    """The wanted port, or the next one that is free."""
    for port in range(wanted, min(wanted + 100, 65536)):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError as error:
                if error.errno not in (errno.EADDRINUSE, errno.EACCES):
                    raise
            else:
                return port
    raise BadLine(f"no free port from {wanted} on")


def quiet() -> None:
    """In the sandbox the conversation is what one reads; the log says only what went wrong."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    logging.basicConfig(level=logging.ERROR)
