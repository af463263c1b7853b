"""Words for what a step leaves to others: sections, reports and commands find steps by them, never by name.

A section says which of its steps gives what (`Builder.fold(..., gives=TOKENIZER)`), other sections ask for it
(`Builder.need`), and the run keeps it in `graph.json`. A word promises the files that are named beside it. A
section of your own may use other words, for what only it and its own export or section know.
"""

from __future__ import annotations

from typing import Final

HELD_OUT: Final = "held_out"
"""families.json: which documents nothing is learnt from (`contract.held_out`)."""

OVERLAP: Final = "overlap"
"""overlap.json: how much of what is held out stands elsewhere."""

SEPARATION: Final = "separation"
"""The mask that removes what stands both in what is held out and elsewhere, which may be nothing."""

BENCHMARKS: Final = "benchmarks"
"""What benchmark items are told by; its summary has `benchmarks`, the number of items of each."""

CONTAMINATION: Final = "contamination"
"""The mask that judges documents by the benchmark items in them. Its stage's scores are `items` and
`item_benchmarks`, lists of names, empty or null without items, and `match`, how the first stands there."""

CLASSIFIER: Final = "classifier"
"""figures.json, which is the step's summary too: how good a classifier is on held-out examples."""

LANGUAGE_MODEL: Final = "language_model"
"""model.json, keys.npy and values.npy: a model of word n-grams; figures.json, which is the step's summary
too: how it takes texts held out."""

TOKENIZER: Final = "tokenizer"
"""tokenizer.json and what belongs to it."""

JUDGEMENT: Final = "judgement"
"""acceptance.json: how good the tokenizer is; whatever uses the tokenizer waits for it."""

ENCODED: Final = "encoded"
"""The documents as lists of tokens, one Arrow file a unit (`given_tables.ENCODED_COLUMNS`)."""

MIXTURE: Final = "mixture"
"""plan.json: how many tokens of each source are drawn."""

DRAWN: Final = "drawn"
"""The encoded documents that the mixture draws, by partition (`given_tables.DRAWN_ROWS`); the others are not
lost but left where they are."""

SHARDS: Final = "shards"
"""Token shards (`*.arrow`, `given_tables.SHARD_COLUMNS`), those held out under names that begin with
`heldout-`."""

MODEL: Final = "model"
"""A trained model: config.json, model.safetensors, metrics.jsonl, evaluation.json."""

LONGER_CONTEXT: Final = "longer_context"
"""A model whose context was made longer: the files of `MODEL`, and long_context.json."""
