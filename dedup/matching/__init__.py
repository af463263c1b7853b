"""What stages of deduplication match by, around their kernels: indexes, buckets, survivors."""
