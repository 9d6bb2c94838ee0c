"""The clips: their frames as they are gathered, and what is said of them."""
