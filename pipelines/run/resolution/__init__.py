"""From pairs of documents to removals by a named rule: at once, or in rounds over partitions of documents."""
