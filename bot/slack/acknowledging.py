"""Bolt's listeners, waited for until they acknowledge, and not a hundred times a second each.

Bolt looks every ten milliseconds whether a listener has acknowledged. Of hundreds that come at once, all
would be looked at all the time, and what they do would have to wait.
"""

from __future__ import annotations

import asyncio

from slack_bolt import BoltResponse
from slack_bolt.app.async_app import AsyncApp
from slack_bolt.context.ack.async_ack import AsyncAck
from slack_bolt.listener.async_listener import AsyncListener
from slack_bolt.listener.asyncio_runner import AsyncioListenerRunner
from slack_bolt.request.async_request import AsyncBoltRequest


class Acknowledgement(AsyncAck):
    """Tells whoever waits for it. given: it has an answer, which no other takes the place of."""

    def __init__(self) -> None:
        self.given = asyncio.Event()
        self._response: BoltResponse | None = None

    @property
    def response(self) -> BoltResponse | None:
        """What Slack is answered; None as long as nothing is."""
        return self._response

    @response.setter
    def response(self, response: BoltResponse | None) -> None:
        if response is not None and not self.given.is_set():
            self._response = response
            self.given.set()


class ListenerRunner(AsyncioListenerRunner):
    """Runs a listener to its end, and returns when it has acknowledged."""

    def __init__(self, bolts: AsyncioListenerRunner) -> None:
        super().__init__(
            logger=bolts.logger,
            process_before_response=True,
            listener_error_handler=bolts.listener_error_handler,
            listener_start_handler=bolts.listener_start_handler,
            listener_completion_handler=bolts.listener_completion_handler,
            lazy_listener_runner=bolts.lazy_listener_runner,
        )
        self._running: set[asyncio.Task[BoltResponse | None]] = set()

    async def run(
        self,
        request: AsyncBoltRequest,
        response: BoltResponse,
        listener_name: str,
        listener: AsyncListener,
        starting_time: float | None = None,
    ) -> BoltResponse | None:
        """What is answered; None where it is not acknowledged in time, and the listener goes on."""
        ack = Acknowledgement()
        request.context["ack"] = ack
        if listener.auto_acknowledgement:
            await ack()
        whole = asyncio.create_task(super().run(request, response, listener_name, listener, starting_time))
        self._running.add(whole)
        whole.add_done_callback(self._running.discard)
        try:
            async with asyncio.timeout(listener.ack_timeout):
                await ack.given.wait()
        except TimeoutError:
            self.logger.warning(f"{listener_name} did not acknowledge in time")
        return ack.response


def run_listeners(app: AsyncApp) -> None:
    """Let the app run its listeners so; before anything is set for those that it runs."""
    app._async_listener_runner = ListenerRunner(app.listener_runner)
