"""corpusmill: from raw web, code and mathematics to token shards a trainer can trust."""

__version__ = "0.1.0"
