"""The sandbox: try the bot with no Slack, no account and no money.

`local_slack` and `local_billing` stand in for the two outside worlds and import nothing of the bot. `run`
starts it between them, `conversation` prints what happens there, and `plain_words` says how that reads.
"""
