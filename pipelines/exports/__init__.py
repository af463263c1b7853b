"""A run's documents for other libraries."""
