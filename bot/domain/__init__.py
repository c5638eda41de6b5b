"""Payments, events, commands and policies: pure, without I/O or a clock of their own.

payment, batch               the states and the only moves between them; a request with its payments
unpaid_list                  what a module's list of unpaid invoices says
events, erasure              what can happen, and what of it is personal
command                      the text after `/pay`: typed_words, typed_invoices, typed_day, typed_note,
                             near_commands
policy                       who may pay what, and who has to agree
schedule, digest_plan        when what waits for its day is sent, and when a digest is told
slack_ids, login             who somebody is in Slack; what a billing API said to a login
problem, wording             what is wrong with what was written down; amounts and times in words
"""
