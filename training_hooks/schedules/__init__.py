"""Pipeline schedules as data: what each rank does in which order, simulated, drawn and checked. No torch."""
