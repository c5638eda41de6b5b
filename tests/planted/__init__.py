"""Planted faults: the bot's safety lines, broken one at a time; a named test must fail with each of them.

A line whose break no test sees could be lost by anybody's change without a word. The tables name the line,
what stands in its place, and who sees it:

- `domain`, `ledger`, `payments`, `billing`, `slack`, `config`: one table for each part of the bot
- `whole`: what the parts share: clocks, redaction, how they are put together
- `breaks`: what an entry is, and how its line and its test are found
- `planting`: breaks a copy of the source, and runs the test there

`python -m tests.planted` breaks all of them; the suite only holds that each line and each test is there.
"""
