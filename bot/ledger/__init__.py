"""The durable record: the ledger is the truth, and Slack is its projection.

opening, store               opens a ledger; what is read of it, and its write transactions
transaction, leases          what one transaction may write; who works on what
asked                        the rows of new requests
locked_reads, trail          what a transaction reads, and the audit trail as it has it
queues                       one row a queue: what is in it, when it is due, what wakes who works on it
outbox, lanes                what Slack still has to be told, and what of it comes first
notices, watching, outage    what is told once beside that: to operators, and daily; what is read for it
audit, replay, proof         the hash chain, what its events say, and where the rows say otherwise
proof_in_parts, misfits      the same by several processes; rows that no bot can read
refused_triggers             what was refused, and may be delivered again
precedents, holders          what is known of an invoice beside the payment at hand; who holds it
records, ages, exported      for auditors: every payment, since when something waits, the trail in a file
pruning, erased, leftovers   takes out what is personal; what is left of it; in the files of SQLite too
moving, moved                to another database, and what is left behind
backup, new_file             a copy; a file that is whole or not there
schema, rows, column_types   the tables, their rows in Python, and types of columns
database, ledger_file        the two databases; the file of a ledger on SQLite, and its folder
one_errand, open_files       how SQLite's thread is asked; whether its files are those that one would find
given_session                the first question over a connection to PostgreSQL
another_team                 whether a bot of another workspace works on it
version, migrations          which tables there are, brought to this version
"""
