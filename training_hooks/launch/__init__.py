"""Ranks of a training as processes: started, watched and ended together, here, by torchrun, or on Ray."""
