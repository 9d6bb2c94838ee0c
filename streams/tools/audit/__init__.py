"""The audit: every sample is counted, from outside."""
