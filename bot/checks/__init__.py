"""Looks at what the bot was told, and whether the world is as it was told: never changing, posting or paying.

command    the command; findings: what it found
local      the settings, the rules and the files, without a connection
of_slack   tokens, scopes, Socket Mode, the clock, and everybody and every channel that is named
of_billing the description, the login and the lists of unpaid invoices
of_ledger  whether the record can be kept
"""
