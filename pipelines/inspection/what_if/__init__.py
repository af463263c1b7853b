"""What a run would keep under other thresholds, from the scores it stored."""
