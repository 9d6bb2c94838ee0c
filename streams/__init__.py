"""Likeness: streaming quality control for face generators."""
