"""Random splitting of tokens that combine punctuation and line breaks, against token-boundary bias."""
