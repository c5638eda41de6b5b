"""What operators and auditors do on the command line with a ledger: settle, stop all sending, prove."""
