"""From a raw page to text: decoding, bounds, formulas, main content. Imports storage and what is below."""
