"""Error rates of an embedding space: calibration, evaluation, and their policy and pages."""
