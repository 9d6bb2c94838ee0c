"""The composition root: where settings become services."""
