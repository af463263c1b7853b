"""Packing documents into rows: order of documents, placement, and the shard they make."""
