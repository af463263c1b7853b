"""The sequence-wise balance loss, equations 17-20, written out for one sequence; its derivative by hand."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


def fractions(s: list[list[float]], k: int) -> list[float]:
    """Equation 18: f_i = N_r / (K_r T) * sum over t of 1(s_i,t in the top K_r of s_1..N_r,t)."""
    tokens, experts = len(s), len(s[0])
    f = []
    for i in range(experts):
        hits = 0
        for t in range(tokens):
            better = sum(1 for j in range(experts) if s[t][j] > s[t][i])
            hits += 1 if better < k else 0
        f.append(experts / (k * tokens) * hits)
    return f


def shares(s: list[list[float]]) -> list[list[float]]:
    """Equation 19: s'_i,t = s_i,t / sum over j of s_j,t."""
    return [[value / sum(row) for value in row] for row in s]


def balance_loss(s: list[list[float]], k: int) -> float:
    """Equations 17 and 20, without alpha: sum over i of f_i P_i with P_i = 1/T * sum over t of s'_i,t."""
    f, normalised, tokens = fractions(s, k), shares(s), len(s)
    total = 0.0
    for i in range(len(f)):
        p = sum(normalised[t][i] for t in range(tokens)) / tokens
        total += f[i] * p
    return total


def balance_gradient(s: list[list[float]], k: int) -> npt.NDArray[np.float64]:
    """d loss / d s_j,t with f held fixed: 1/T * sum over i of f_i * d s'_i,t / d s_j,t, where
    d s'_i / d s_j = (1(i = j) - s'_i) / sum of s."""
    f, normalised, tokens = fractions(s, k), shares(s), len(s)
    gradient = np.zeros((tokens, len(f)))
    for t in range(tokens):
        total = sum(s[t])
        for j in range(len(f)):
            for i in range(len(f)):
                gradient[t, j] += f[i] * ((i == j) - normalised[t][i]) / total / tokens
    return gradient
