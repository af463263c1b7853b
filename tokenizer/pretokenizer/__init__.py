"""Pre-tokenization: how a text is cut before byte-pair encoding, by kernel or by regular expression."""
