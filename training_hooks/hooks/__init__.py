"""Token shards in trainers of others, a module each. Each imports its trainer."""
