"""What training a model on many devices would take: memory, messages, time. Computed from sizes, no torch."""
