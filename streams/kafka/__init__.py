"""How Kafka's records are read, whoever wrote them, and how its clients end."""
