"""Low precision: number formats, tiles and their scales, products in FP8, and where a model uses them.

Section 3.3 of the report. Suffixes of tensor names as in `model`, and for any matrix: R rows, C columns;
for a product: M rows of the left side, N rows of the right side, K the axis that is summed.
"""
