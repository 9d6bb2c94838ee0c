"""Generators that Triton serves."""
