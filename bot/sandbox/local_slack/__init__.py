"""A local Slack: one workspace, one installed app, and people who use both, over real sockets.

It knows nothing of the bot. It imitates, with Slack's own limits, payloads and error codes:

- the Web API, as far as `methods/` goes, over HTTP: tokens, scopes and, where wanted, rate limits;
- Socket Mode, and signed requests to a request URL in its place: three seconds to acknowledge, each
  envelope to one connection, events repeated, connections refreshed and lost;
- commands, buttons, menus, options that the app suggests, global shortcuts, modals, the Home tab and
  custom workflow steps, with trigger_ids that expire and response_urls that work five times;
- Block Kit, every limit of the blocks and elements that it takes;
- what each person sees, guests and strangers too: as a page for the browser and as an `Actor` for tests;
- bad days: `Faults` for calls, outages, dead connections, deliveries that come twice.

It does not imitate installing by OAuth, people's own tokens, several workspaces, files, reactions, search,
scheduled messages, message shortcuts, or link previews. What it does not
know it refuses, unknown arguments included, so that nothing is believed to work here that was never tried.
Where Slack documents no number, the constant says so. Nothing is kept on disk.
"""

from bot.sandbox.local_slack.server import LocalSlack

__all__ = ["LocalSlack"]
