"""Weights of a mixture from the losses of small runs: table, regression, proposal, reuse."""
