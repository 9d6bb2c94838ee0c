"""Child processes that never outlive their parent: embedded parts and workers alike."""
