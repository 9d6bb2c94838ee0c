"""Receipts of erasures: signed, and checked."""
