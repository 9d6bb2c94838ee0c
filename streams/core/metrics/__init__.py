"""What is said of many samples at once, as numbers: pure functions of embeddings, the one home of every such number."""
