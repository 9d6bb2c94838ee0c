"""What a person sees and presses while a command runs."""
