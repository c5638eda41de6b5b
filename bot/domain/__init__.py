"""Payments, events, commands and policies: pure, without I/O or a clock of their own.

`payment` holds the states and the only moves between them.
"""
