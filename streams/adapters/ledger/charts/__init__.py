"""Charts of drift in the ledger's database."""
