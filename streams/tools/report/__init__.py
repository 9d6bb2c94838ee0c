"""The demonstration's report, a page of its own."""
