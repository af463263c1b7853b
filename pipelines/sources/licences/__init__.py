"""Which licence source files are under: texts, manifests, and which folder's holds."""
