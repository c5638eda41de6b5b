"""The guarantee under attack: one payment an invoice, one truth, and no reply lost, whatever happens.

Bots run as processes of their own against a local Slack, a local billing API and a real ledger. They are
killed, stopped, put to sleep and set wrong, and so is everything around them. In the end the ledger, the
billing side and Slack must agree.

What runs
- `installation`: one Slack, one billing API, one ledger, and its bots; what people and operators do there
- `process_pool`, `fork_server`: bots as processes, forked from one that has loaded everything
- `bot_process`: what such a process runs, with shortened waits
- `people`: what people do again when a bot died as they did it

What goes wrong
- `kill_points`: every commit and every call, found by wrapping them; a bot dies or stops at any of them
- `clocks`: clocks that are set, and machines that sleep
- `proxy`: a network that is cut or frozen
- `billing_answers`, `slack_errors`: answers that nobody foresees
- `forgeries`: rows that somebody writes past the bot

What is played, and what must hold
- `scenarios`: the ways that a payment can go
- `histories`: hundreds of steps of all this, drawn from a seed
- `invariants`: the ledger, the billing side and Slack compared row by row
- `counts`: what a run tried and found, said in its summary

FAULTS_SEED=7 plays one history again, FAULTS_KILL_AT="paid: before make_payment #1" one kill, and
FAULTS_LONG=1 plays far more of everything.
"""
