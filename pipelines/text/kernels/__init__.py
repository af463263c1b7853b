"""What texts share, compiled."""
