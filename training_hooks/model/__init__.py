"""A DeepSeek-V3-style model, one idea a file, names as in the released configuration and weights.

Suffixes of tensor names give their axes:

B sequences, T positions, N = B * T tokens, D model width, V vocabulary, H heads, C content width of a head,
R rotary width of a head, U value width of a head, Q query latent, L key-value latent, E routed experts,
K experts a token is sent to, M = N * K slots (token-expert pairs), F feed-forward width, G expert groups.
"""
