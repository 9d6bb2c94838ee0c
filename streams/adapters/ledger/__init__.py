"""What SQL holds: samples, redrives, consent, erasures, charts and clips, on SQLite and on PostgreSQL."""
