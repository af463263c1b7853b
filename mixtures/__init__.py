"""Statistics, weights, budgets, sampling and shuffle order."""
