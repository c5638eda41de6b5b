"""views.*: modals and the Home tab."""

from __future__ import annotations

import json

from bot.sandbox.local_slack.blocks import checked_view
from bot.sandbox.local_slack.errors import ApiError
from bot.sandbox.local_slack.messages import Json
from bot.sandbox.local_slack.methods.method import Context, Method, takes
from bot.sandbox.local_slack.views import View

_SIZE_LIMIT = 250_000


def open_view(context: Context) -> Json:
    """views.open: exchanges a trigger_id for a modal."""
    definition = _definition(context, "modal")
    person = context.workspace.triggers.exchange(context.arguments.required("trigger_id"))
    return _answer(context.workspace.views.open(person, definition))


def push_view(context: Context) -> Json:
    """views.push: puts a modal on top of the open one."""
    definition = _definition(context, "modal")
    person = context.workspace.triggers.exchange(context.arguments.required("trigger_id"))
    return _answer(context.workspace.views.push(person, definition))


def update_view(context: Context) -> Json:
    """views.update: replaces what an open view shows."""
    views, arguments = context.workspace.views, context.arguments
    if "external_id" in arguments:
        view = views.find_external(arguments.required("external_id"))
    else:
        view = views.find(arguments.required("view_id"))
    if view is None:
        raise ApiError("not_found")
    _check_hash(context, view)
    return _answer(views.redefine(view, _definition(context, view.type)))


def publish_view(context: Context) -> Json:
    """views.publish: replaces somebody's Home tab."""
    workspace = context.workspace
    person = workspace.world.people.get(context.arguments.required("user_id"))
    definition = _definition(context, "home")
    if person is None or person.is_bot:
        raise ApiError("invalid_arguments")
    if not workspace.manifest.home_tab_enabled:
        raise ApiError("not_enabled")
    current = workspace.views.home(person.id)
    if current is not None:
        _check_hash(context, current)
    return _answer(workspace.views.publish(person.id, definition))


def _definition(context: Context, kind: str) -> Json:
    view = context.arguments.structure("view")
    if len(json.dumps(view)) > _SIZE_LIMIT:
        raise ApiError("view_too_large")
    return checked_view(view, kind)


def _check_hash(context: Context, view: View) -> None:
    expected = context.arguments.text("hash")
    if expected and expected != view.hash:
        raise ApiError("hash_conflict")


def _answer(view: View) -> Json:
    return {"view": view.as_payload()}


METHODS = {
    "views.open": Method(open_view, takes("trigger_id view"), tier=100),
    "views.push": Method(push_view, takes("trigger_id view"), tier=100),
    "views.update": Method(update_view, takes("view_id external_id view hash"), tier=100),
    "views.publish": Method(publish_view, takes("user_id view hash"), tier=100),
}
