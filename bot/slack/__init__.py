"""Slack, and nothing but Slack: it puts what people do to the desk, and tells what became of it.

A file a subject. In: commands, preview, pay_form (with its view, what was entered and how it fills),
decisions, resolutions, ask_again, lists, home, workflow_step; each registers its own listeners. Out:
announcer takes what the outbox holds, rendering puts it into words by card, event_text and next_step,
post_search finds a post whose answer was lost; and once posts what belongs to no request: digest, audit_head,
and alerts in the words of alert_text, put together by telling_once. Both: inbound (what all share who
listen), respond, replies, text, blocks. The wire: web_api, connection, socket_mode, http_mode, directory,
pace.

Nothing in here decides about money, or moves or changes a payment.
"""
