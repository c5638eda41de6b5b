"""The whole bot under virtual time: everything that happens is drawn from a seed, which replays it exactly.

The bot that runs here is the one of `bot.app.running`, unchanged, with the local Slack and the local billing
API of the sandbox beside it, in one event loop. What is simulated lies below all of them, where a program
meets its operating system, so no code of the bot knows of it:

- `loop`: time, which jumps when nothing is ready, and the order in which what is ready runs
- `machine`: what a process is: its clocks, its life; it can crash at any await, be stopped, and sleep
- `entropy`: chance
- `network`: connections, for the event loop and for threads; bytes are delayed, connections break
- `threads`: threads that run in the loop, each until it waits for something
- `disk`: SQLite, executed in the loop, with its failures; and the locks of files
- `system`: puts all of these in the place of the real ones
- `prepared`: what comes out the same at every start of the bot, made once
- `installation`: Slack, billing, the ledger, and the bot's processes; `shared` where they are several
- `drawing`: what happens, drawn from a seed; `billing_answers` what the billing API then says
- `histories`: does what was drawn, and waits until all has come to rest
- `playing`: plays them, each in a process of its own; `command_line` says what that found
- `people`, `buttons`, `processes`, `trouble`: do it; `sight` is what people see of a price
- `outside`: what happened past the bot, for the checks to know; `awaits`: where it may crash
- `planted`: faults that it must see; `scenes`: short histories made by hand, for those that are seen seldom
- `invariants`: what must hold at every moment; `calls`: what must when a payment is received; what must hold
  in the end is that of `tests.faults`, and of `notices`

`python -m tests.simulation` plays many histories; `--seed` plays one again, and `--words` tells it.

Python's simulators of this kind (simloop, simloom) want 3.12 and simulate no threads and no database.
"""
