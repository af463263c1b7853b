"""A run as tables, for questions that no report foresees: each read column by column, as it is asked for."""
