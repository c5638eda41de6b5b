"""No secret anywhere: every way to fail, at the most talkative, and then all that was said is searched.

- `secrets`: what is secret, in what forms it may be written, and where one could be found
- `test_running`: a bot in each mode and on each database, through a bad day
- `test_commands`: what cannot start, and the commands, by what they print
"""
