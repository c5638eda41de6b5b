"""`python -m bot setup`: asks what the bot must be told, tries each answer on the real thing, writes `.env`.

command   the command and its order of doing things
draft     the answers so far; terminal: how a person is asked; step: what a question is
tokens    whose tokens these are, and what they may do        people, channels: picked by name, kept as ids
services  the billing API and the ledger                      env_file: how answers are written down
"""
