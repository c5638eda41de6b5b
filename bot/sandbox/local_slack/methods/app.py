"""auth.test, api.test, apps.connections.open, functions.*: the app, and the custom steps it ends."""

from __future__ import annotations

import secrets

from bot.sandbox.local_slack.changes import ChangeKind
from bot.sandbox.local_slack.errors import ApiError
from bot.sandbox.local_slack.identifiers import (
    BOT_ID,
    BOT_USER_ID,
    TEAM_DOMAIN,
    TEAM_ID,
    TEAM_NAME,
)
from bot.sandbox.local_slack.messages import Json
from bot.sandbox.local_slack.methods.method import Context, Method, takes
from bot.sandbox.local_slack.workspace import Execution


def auth_test(context: Context) -> Json:
    """auth.test."""
    return {
        "url": f"https://{TEAM_DOMAIN}.slack.com/",
        "team": TEAM_NAME,
        "user": context.workspace.manifest.bot_name,
        "team_id": TEAM_ID,
        "user_id": BOT_USER_ID,
        "bot_id": BOT_ID,
        "is_enterprise_install": False,
    }


def api_test(context: Context) -> Json:
    """api.test: says back what it was told."""
    error = context.arguments.text("error")
    if error:
        raise ApiError(error, args={"error": error})
    return {"args": {name: context.arguments.text(name) for name in context.arguments.names()}}


def open_connection(context: Context) -> Json:
    """apps.connections.open: the address of one Socket Mode connection, good for one use."""
    if not context.workspace.manifest.socket_mode_enabled:
        raise ApiError("socket_mode_not_enabled")
    ticket = secrets.token_urlsafe(16)
    context.workspace.tickets[ticket] = context.app
    address = context.workspace.address.replace("http://", "ws://")
    return {"url": f"{address}/link/?ticket={ticket}&app_id={context.app}"}


def complete_success(context: Context) -> Json:
    """functions.completeSuccess."""
    outputs = context.arguments.structure("outputs")
    if not isinstance(outputs, dict):
        raise ApiError.with_messages("invalid_arguments", ["must provide an object [json-pointer:/outputs]"])
    execution = _running(context)
    execution.status, execution.outputs = "completed", outputs
    _announce_end(context, execution)
    return {}


def complete_error(context: Context) -> Json:
    """functions.completeError."""
    error = context.arguments.required("error")
    execution = _running(context)
    execution.status, execution.error = "failed", error
    _announce_end(context, execution)
    return {}


def _running(context: Context) -> Execution:
    identifier = context.arguments.required("function_execution_id")
    execution = context.workspace.executions.get(identifier)
    if execution is None:
        raise ApiError("function_execution_not_found")
    if execution.status != "running":
        raise ApiError("execution_not_in_running_state")
    return execution


def _announce_end(context: Context, execution: Execution) -> None:
    context.workspace.world.announce(
        ChangeKind.STEP_ENDED, subject=execution.id, text=execution.error or execution.status
    )


METHODS = {
    "auth.test": Method(auth_test, takes(""), tier=600),
    "api.test": Method(api_test, takes("error foo"), token="none", tier=600),  # noqa: S106
    "apps.connections.open": Method(open_connection, takes(""), token="app", tier=20),  # noqa: S106
    "functions.completeSuccess": Method(complete_success, takes("function_execution_id outputs")),
    "functions.completeError": Method(complete_error, takes("function_execution_id error")),
}
