"""A soak: the bot at work for long, with trouble on all sides, and what grows meanwhile.

`python -m tests.bench.soak --minutes 30 --rate 5 --plot FILE.svg` runs it, says in words what grew, and ends
with code 1 where something was paid twice or not told, did not come to rest, or grows without an end.

The bot is a process of its own, as `python -m bot run` runs it, but gives up on a lost answer sooner, so that
the end is soon at rest. Slack keeps to its limits. It lets an app change 50 messages a minute, and every
request has a card that changes at least once; so most payments are asked for several in a request, as at a
month's end.
"""
