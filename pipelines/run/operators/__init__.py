"""How data moves: one module an operator, each with `units` (in the runner) and `work` (in a worker)."""
