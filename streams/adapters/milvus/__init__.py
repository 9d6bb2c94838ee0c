"""The gallery, the originals and the samples' embeddings in Milvus."""
