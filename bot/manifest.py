"""`python -m bot manifest`: the Slack app, for Socket Mode or HTTP, with the workflow step or without.

It is changed as text, so that its comments stay and nothing has to read YAML. Slack refuses an app that has
neither Socket Mode nor request URLs, so it gets the one or the others.
https://docs.slack.dev/reference/app-manifest
"""

from __future__ import annotations

import re
from importlib import resources

import click

from bot.leaving import written_or_exit

REQUEST_PATH = "/slack/events"
"""Where the bot listens in HTTP mode, for everything that Slack sends."""

_ADDRESS = re.compile(
    r"https://[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?(?::[0-9]{1,5})?(?:/[A-Za-z0-9._~/-]*)?"
)

_URLS = {
    "    - command: /pay\n": ("      url: ",),
    "  event_subscriptions:\n": ("    request_url: ",),
    # The second is for what the form's menu asks the bot: which invoices there are.
    "  interactivity:\n": ("    request_url: ", "    message_menu_options_url: "),
}
"""The lines below which Slack wants to know where to send what belongs to them, and how that is written."""

_STEP = "# functions:\n"
"""Where the optional part begins; all of it is commented out."""


def request_url(address: str) -> str | None:
    """Where Slack reaches a bot at this public address; None where that is no https:// address."""
    if not _ADDRESS.fullmatch(address):
        return None
    return address.rstrip("/").removesuffix(REQUEST_PATH) + REQUEST_PATH


def manifest(url: str | None = None, *, workflow_step: bool = False) -> str:
    """The manifest as YAML. url: the request URL, for HTTP in place of Socket Mode."""
    text = (resources.files("bot") / "manifest.yml").read_text(encoding="utf-8")
    if workflow_step:
        text = _with_the_step(text)
    if url is not None:
        text = _over_http(text, url)
    return text


def _with_the_step(text: str) -> str:
    text = _replaced(text, "      # Workflow Builder (see below):\n", "")
    text = _replaced(text, "      # - function_executed\n", "      - function_executed\n")
    text = _replaced(text, "  # Workflow Builder (see below): true\n", "")
    text = _replaced(text, "  org_deploy_enabled: false\n", "  org_deploy_enabled: true\n")
    head, found, functions = text.partition(_STEP)
    assert found, "bug: manifest.yml has no optional part"
    settings, _, _ = head.partition("# Workflow Builder, optional:")
    return settings + re.sub("^# ?", "", _STEP + functions, flags=re.MULTILINE)


def _over_http(text: str, url: str) -> str:
    for line, names in _URLS.items():
        text = _replaced(text, line, line + "".join(f"{name}{url}\n" for name in names))
    return _replaced(text, "  socket_mode_enabled: true\n", "  socket_mode_enabled: false\n")


def _replaced(text: str, line: str, by: str) -> str:
    assert text.count(line) == 1, f"bug: manifest.yml has not one line {line.strip()!r}"
    return text.replace(line, by)


def _address(_context: click.Context, _parameter: click.Parameter, value: str | None) -> str | None:
    if value is None:
        return None
    url = request_url(value)
    if url is None:
        raise click.BadParameter("must be a public address such as https://pay.example.com")
    return url


@click.command("manifest")
@click.option(
    "--http",
    "url",
    metavar="ADDRESS",
    callback=_address,
    help="For HTTP in place of Socket Mode: the https:// address at which Slack reaches the bot.",
)
@click.option(
    "--workflow-step", is_flag=True, help="With the step for Workflow Builder; it needs a paid plan."
)
def command(url: str | None, workflow_step: bool) -> None:
    """Print the Slack app's manifest.

    Paste it where Slack asks for it. Without --http it is for Socket Mode, which needs no public address.
    """
    with written_or_exit():
        click.echo(manifest(url, workflow_step=workflow_step), nl=False)
