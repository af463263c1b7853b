"""Learns the weights of the content model from pages whose main text is known: `python -m` this package."""
