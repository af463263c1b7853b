"""The bundled trainer: objective, optimiser, schedule, the loop and what it writes."""
