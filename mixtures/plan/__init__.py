"""The mixture plan: histograms of tokens by draw, and how many of each source are taken."""
