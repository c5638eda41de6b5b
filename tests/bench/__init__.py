"""What people wait for, and what it costs: this bot beside a plain one, measured in one go.

`python -m tests.bench` measures every figure, `python -m tests.bench NAME …` some; `--json` is for machines.
A figure is a module of `figures`. Each side is a process of its own that reaches a local Slack and a local
billing API over sockets, with Slack's limits on, and is run as its users run it: nothing is switched off.
`python -m tests.bench.billing_call` measures the billing client alone, beside bare calls;
`python -m tests.bench.soak` lets the bot work for half an hour with trouble on all sides, and says what grew.
"""
