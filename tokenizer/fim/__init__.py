"""Fill-in-the-middle: options, split points and framing."""
