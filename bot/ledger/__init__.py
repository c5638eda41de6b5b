"""The durable record: the ledger is the truth, and Slack is its projection.

opening, store               opens a ledger; what is read of it, and its write transactions
transaction, leases          what one transaction may write; who works on what
queues                       one row a queue: what is in it, when it is due, what wakes who works on it
outbox                       what Slack still has to be told
notices, watching, outage    what is told once beside that: to operators, and daily; what is read for it
audit, replay, proof         the hash chain, what its events say, and where the rows say otherwise
precedents                   what is known of an invoice beside the payment at hand
schema, rows, database       the tables, their rows in Python, and the two databases
version, migrations          which tables there are, brought to this version
ledger_file                  the file of a ledger on SQLite, and its folder
"""
