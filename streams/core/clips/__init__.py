"""Frames of one video, judged together: whether they show one person throughout, and whether they flicker."""
