"""What SQL holds: samples, redrives, consent, erasures and charts, on SQLite and on PostgreSQL."""
