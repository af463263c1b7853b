"""Two runs beside each other: what came, what went and why, which options and shares changed."""
