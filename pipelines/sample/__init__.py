"""A real corpus from what the environment already holds: installed packages and the standard library."""
