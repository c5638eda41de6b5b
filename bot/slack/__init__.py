"""Slack, and nothing but Slack: it puts what people do to the desk, and tells what became of it.

A file a subject, each of which registers its own listeners:
- commands, preview, pay_form (pay_form_view, _entered, _fill, _button), workflow_step: asking
- decisions, selection, removal, resolutions, ask_again: what is done on cards and on the Home tab
- lists, unpaid_view, home: what is looked at
- unknown: what is left
Out:
- announcer takes what the outbox holds (holding: what of it is still its own), rendering puts it into words
  by card, event_text, next_step and invoice_table, and post_search finds a post whose answer was lost
- once posts what belongs to no request: digest, audit_head and alerts, put together by telling_once
Both: inbound (what all share who listen), colleagues (who is of this workspace too), delivered (what of a
payload is not understood), respond, replies, text, blocks, listing, and words of one subject: alert_text,
help_text, history_text, schedule_text, report_view. The wire: web_api, connection, acknowledging (how Bolt's
listeners are waited for), socket_mode, http_mode, stillness (of the process: what came meanwhile is left),
directory, pace; and installation and roster for setup and checks.

Nothing in here decides about money, or moves or changes a payment.
"""
