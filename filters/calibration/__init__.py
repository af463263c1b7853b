"""Limits of filters chosen on a corpus that the user trusts."""
