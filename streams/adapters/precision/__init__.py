"""Shorter numbers for a first look: bfloat16 and 8-bit integers, and the error that they may make."""
