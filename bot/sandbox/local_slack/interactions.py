"""Commands, clicks, submissions and shortcuts: from the person, to the app, and back to the person."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from bot.sandbox.local_slack.blocks import checked_view
from bot.sandbox.local_slack.changes import ChangeKind
from bot.sandbox.local_slack.checks import Problems
from bot.sandbox.local_slack.delivery import Delivery
from bot.sandbox.local_slack.elements import SUGGESTIONS
from bot.sandbox.local_slack.errors import ApiError, NotDelivered
from bot.sandbox.local_slack.forms import Values, complete_values, refused_by_client, with_action
from bot.sandbox.local_slack.identifiers import BOT_USER_ID
from bot.sandbox.local_slack.messages import Json, Message
from bot.sandbox.local_slack.payloads import (
    closing_payload,
    command_payload,
    message_action_payload,
    shortcut_payload,
    submission_payload,
    suggestion_payload,
    view_action_payload,
)
from bot.sandbox.local_slack.response_urls import ResponseUrls
from bot.sandbox.local_slack.views import View
from bot.sandbox.local_slack.workspace import Workspace
from bot.sandbox.local_slack.world import Channel, Person


@dataclass(frozen=True, slots=True)
class Result:
    """What a person saw of something they did.

    ok: the app acknowledged in time. error: Slack's code if not. seconds: until then.
    trigger_id: as the app got it; None where nothing was sent to the app.
    errors: block_id -> message, of a refused submission.
    """

    ok: bool
    error: str | None = None
    seconds: float = 0.0
    trigger_id: str | None = None
    errors: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Suggestions:
    """What a menu shows of what the app suggests. error: why it shows nothing."""

    options: list[Json]
    error: str | None = None


@dataclass(frozen=True, eq=False)
class Interactions:
    """Everything people do that the app hears of."""

    _workspace: Workspace
    _response_urls: ResponseUrls
    _delivery: Delivery

    async def command(
        self, person: Person, channel: Channel, typed: str, thread_ts: str | None = None
    ) -> Result:
        """A slash command, from the keyboard to the acknowledgement."""
        command, text = [*typed.split(maxsplit=1), ""][:2]
        world = self._workspace.world
        world.announce(ChangeKind.COMMAND_TYPED, channel=channel.id, person=person.id, text=typed.strip())
        refusal = self._refused_command(person, channel, command, thread_ts)
        if refusal:
            code, explanation = refusal
            world.slackbot_says(channel, person.id, explanation)
            return Result(False, code)
        if command == "/invite":
            return self._invite(person, channel, text)
        trigger_id = self._workspace.triggers.issue(person.id)
        url = self._response_urls.issue("commands", channel, person.id)
        payload = command_payload(
            person,
            channel,
            command=command,
            text=text.strip(),
            response_url=url,
            trigger_id=trigger_id,
        )

        def take(answer: Json) -> Result:
            if answer.get("text") or answer.get("blocks"):
                self._response_urls.respond(channel, person.id, answer)
            return Result(True)

        result = await self._send("slash_commands", payload, take)
        if result.error:
            explanation = f'{command} failed with the error "{result.error}"'
            world.slackbot_says(channel, person.id, explanation)
        world.announce(
            ChangeKind.COMMAND_ANSWERED if result.ok else ChangeKind.COMMAND_FAILED,
            channel=channel.id,
            person=person.id,
            text=result.error or typed.strip(),
        )
        return result

    async def message_action(self, person: Person, message: Message, action: Json, values: Values) -> Result:
        """A button or menu in a message."""
        world = self._workspace.world
        channel = world.channels[message.channel]
        trigger_id = self._workspace.triggers.issue(person.id)
        payload = message_action_payload(
            world,
            person,
            message,
            action=self._stamped(action),
            values=complete_values(message.blocks, with_action(values, action)),
            response_url=self._response_urls.issue("actions", channel, person.id, message),
            trigger_id=trigger_id,
        )
        self._announce_action(person, channel.id, message.ts, action)
        result = await self._send("interactive", payload)
        if result.error:
            world.slackbot_says(
                channel, person.id, f'{action["action_id"]} failed with the error "{result.error}"'
            )
        return result

    async def view_action(self, person: Person, view: View, action: Json, values: Values) -> Result:
        """A button or menu in a modal or the Home tab."""
        view = self._enter(view, with_action(values, action))
        trigger_id = self._workspace.triggers.issue(person.id)
        payload = view_action_payload(person, view, self._stamped(action), trigger_id)
        self._announce_action(person, None, view.id, action)
        return await self._send("interactive", payload)

    async def suggestions(
        self, person: Person, view: View, block_id: str, action_id: str, typed: str
    ) -> Suggestions:
        """What the app suggests for what was typed into a menu of a modal.

        Where the answer is late or breaks a limit, people see that nothing was found (slackapi/bolt-js#1630).
        """
        answers: list[Json] = []
        if not self._workspace.manifest.suggestions_enabled:
            return Suggestions([], "no_options_url")

        def take(answer: Json) -> Result:
            problems = Problems()
            SUGGESTIONS(answer, "", problems)
            if problems.found:
                raise ApiError.with_messages("invalid_options", problems.found)
            answers.append(answer)
            return Result(True)

        payload = suggestion_payload(person, view, block_id, action_id, typed)
        result = await self._send("interactive", payload, take)
        options = [
            option
            for answer in answers
            for group in (answer, *answer.get("option_groups", ()))
            for option in group.get("options", ())
        ]
        return Suggestions(options, result.error)

    async def submit(self, person: Person, view: View, values: Values) -> Result:
        """The submit button of a modal. The client checks first what it can check itself."""
        view = self._enter(view, values)
        errors = refused_by_client(view.blocks, view.values)
        if errors:
            self._workspace.views.change(view, errors=errors)
            return Result(False, errors=errors)
        self._workspace.world.announce(
            ChangeKind.VIEW_SUBMITTED, person=person.id, subject=view.id, text=view.callback_id
        )
        trigger_id = self._workspace.triggers.issue(person.id)
        payload = submission_payload(person, view, self._urls_of(person, view), trigger_id)
        return await self._send("interactive", payload, lambda answer: self._take_submission(view, answer))

    async def close(self, person: Person, view: View) -> Result:
        """The cross of a modal. The app hears of it only if it asked for that."""
        views = self._workspace.views
        if view.definition.get("clear_on_close"):
            views.clear(person.id)
        else:
            views.close(view)
        if not view.definition.get("notify_on_close"):
            return Result(True)
        return await self._send("interactive", closing_payload(person, view, is_cleared=False))

    async def shortcut(self, person: Person, callback_id: str) -> Result:
        """A global shortcut from the menu."""
        trigger_id = self._workspace.triggers.issue(person.id)
        action_ts = self._workspace.clock.timestamp()
        payload = shortcut_payload(person, callback_id, action_ts, trigger_id)
        return await self._send("interactive", payload)

    async def _send(self, kind: str, payload: Json, take: Callable[[Json], Result] | None = None) -> Result:
        """Deliver and let `take` act on the acknowledgement."""
        started = time.monotonic()
        trigger_id = payload.get("trigger_id")
        try:
            if kind == "interactive" and not self._workspace.manifest.interactivity_enabled:
                raise NotDelivered("interactivity_disabled", "")
            answer = await self._delivery.deliver(kind, payload)
            result = take(answer) if take else Result(True)
        except NotDelivered as failure:
            result = Result(False, failure.code)
        except ApiError as refusal:
            # The app's answer itself breaks a limit; people see only that it was no good.
            result = Result(False, f"invalid_response: {refusal.code}")
        return Result(result.ok, result.error, time.monotonic() - started, trigger_id, result.errors)

    def _refused_command(
        self, person: Person, channel: Channel, command: str, thread_ts: str | None
    ) -> tuple[str, str] | None:
        """(code, what Slackbot says) if Slack itself does not run it."""
        if person.id not in channel.members:
            return "not_in_channel", f"You are not in #{channel.name}."
        if channel.is_archived:
            return "is_archived", f"#{channel.name} is archived."
        if not self._workspace.may_write(channel):
            return "messages_tab_read_only", "Sending messages to this app has been turned off."
        known = {each["command"] for each in self._workspace.manifest.commands}
        installed_here = known if not person.external else set()
        if command not in installed_here | {"/invite"}:
            return "invalid_command", f"{command} is not a valid command."
        if thread_ts and command != "/invite":
            return "not_supported_in_thread", f"{command} is not supported in threads. Sorry!"
        return None

    def _invite(self, person: Person, channel: Channel, text: str) -> Result:
        world = self._workspace.world
        names = {"@" + each.name: each.id for each in world.people.values()}
        names |= {f"<@{each}>": each for each in world.people}
        names |= {"@" + self._workspace.manifest.app_name.lower(): BOT_USER_ID}
        invited = names.get(text.strip().lower()) or names.get(text.strip())
        if invited is None:
            world.slackbot_says(channel, person.id, f"There is nobody called {text.strip()}.")
            return Result(False, "user_not_found")
        world.join(channel.id, invited)
        return Result(True)

    def _take_submission(self, view: View, answer: Json) -> Result:
        views = self._workspace.views
        now = views.find(view.id)
        if now is None:
            # The person closed it while the app was thinking.
            return Result(True)
        match answer.get("response_action"):
            case None:
                views.close(view)
            case "clear":
                views.clear(view.person)
            case "errors":
                errors = answer.get("errors")
                inputs = {block["block_id"] for block in now.blocks if block["type"] == "input"}
                if not isinstance(errors, dict) or not errors or not errors.keys() <= inputs:
                    raise ApiError("invalid_errors")
                views.change(now, errors=errors)
                return Result(False, errors=errors)
            case "update":
                views.redefine(now, checked_view(answer.get("view"), "modal"))
            case "push":
                views.push(view.person, checked_view(answer.get("view"), "modal"))
            case _:
                raise ApiError("invalid_response_action")
        return Result(True)

    def _enter(self, view: View, values: Values) -> View:
        entered = complete_values(view.blocks, {**view.values, **values})
        return self._workspace.views.change(view, values=entered, errors={})

    def _urls_of(self, person: Person, view: View) -> list[Json]:
        """response_urls for the channels picked in elements with response_url_enabled."""
        urls = []
        for block in view.blocks:
            element = block.get("element") or {}
            if not element.get("response_url_enabled"):
                continue
            state = view.values[block["block_id"]][element["action_id"]]
            picked = state.get("selected_conversation") or state.get("selected_channel")
            if picked:
                channel = self._workspace.world.channels[picked]
                urls.append(
                    {
                        "block_id": block["block_id"],
                        "action_id": element["action_id"],
                        "channel_id": picked,
                        "response_url": self._response_urls.issue("app", channel, person.id),
                    }
                )
        return urls

    def _stamped(self, action: Json) -> Json:
        return action | {"action_ts": self._workspace.clock.timestamp()}

    def _announce_action(self, person: Person, channel: str | None, subject: str, action: Json) -> None:
        self._workspace.world.announce(
            ChangeKind.ACTION_TAKEN,
            channel=channel,
            person=person.id,
            subject=subject,
            text=action["action_id"],
        )
