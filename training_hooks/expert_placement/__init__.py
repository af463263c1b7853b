"""Which device serves which experts, from measured loads: redundant replicas and balance. No torch."""
