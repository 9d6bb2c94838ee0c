"""What is decided and measured: pure functions. No I/O, no clock, no randomness, no framework."""
