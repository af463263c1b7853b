"""Pre-tokenisation, BPE training, encoding, fill-in-the-middle, packing and token shards."""
