"""From a raw page to text: decoding, bounds, formulas as TeX, main content."""
