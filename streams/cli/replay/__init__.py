"""``likeness record`` and ``likeness replay``."""
