"""The monitor's charts in the ledger's database."""
