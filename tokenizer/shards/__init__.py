"""Token shards: the format, its reader, statistics, and exports to formats that others read."""
