"""A run's documents for other libraries, and exports by name. Imports inspection and what is below."""
