"""Curves of a training for TensorBoard: read from its metrics, written without its library."""
