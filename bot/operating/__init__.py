"""What operators and auditors do on the command line with a ledger; a file a command.

resolve, pause                   settle a payment; stop all sending
audit (with report), prune       prove and show what was done; erase who did it
backup, move_ledger              copy a ledger; move it to another database
with_ledger                      what all of them share
"""
