"""What implements the ports: each module is the only importer of its client library."""
