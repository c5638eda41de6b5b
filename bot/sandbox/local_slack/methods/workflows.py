"""functions.*: how an app ends a custom step of a workflow."""

from __future__ import annotations

from bot.sandbox.local_slack.changes import ChangeKind
from bot.sandbox.local_slack.errors import ApiError
from bot.sandbox.local_slack.messages import Json
from bot.sandbox.local_slack.methods.method import Context, Method, takes
from bot.sandbox.local_slack.workspace import Execution


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
    "functions.completeSuccess": Method(complete_success, takes("function_execution_id outputs")),
    "functions.completeError": Method(complete_error, takes("function_execution_id error")),
}
