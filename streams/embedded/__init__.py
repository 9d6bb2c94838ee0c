"""The real parts as child processes of one command: Kafka, Triton, Milvus, and folders for what needs no server."""
