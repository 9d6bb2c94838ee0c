"""What differs between a sample and the references of whom it should show: told, and never decided by."""
