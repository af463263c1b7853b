"""SentencePiece models: what they are trained on, how their files read, their tokenizer.json."""
