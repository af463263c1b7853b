"""What is held out, as the summary of a run tells it."""

from __future__ import annotations

from dataclasses import replace

from corpusmill.pipelines.inspection.held_out_facts import HeldOutFacts, HeldOutFrom, in_brief
from corpusmill.pipelines.records.overlap import RemovedForHolding

FACTS = HeldOutFacts(
    overlap=0.5,
    compared=40,
    removed=RemovedForHolding(held_out=3, learnt=1200, common=0),
    highest_overlap=0.482,
    highest_jaccard=0.31,
    sources={},
    documents=4000,
    tokenizer=HeldOutFrom(0.0, 0, 0, None),
    model=HeldOutFrom(0.01, 40, 9000, 0.01),
)


def test_each_fact_is_a_line() -> None:
    assert in_brief(FACTS).splitlines() == [
        "held out  from the model: 40 of 4,000 documents, 1.00% (1.00% asked)",
        "          removed: 3 that stand in documents learnt from, 1,200 learnt from that stand in them, "
        "0 of text common to many",
        "          most that one shares with a document learnt from: overlap 0.48, Jaccard 0.31",
    ]
    both = replace(FACTS, tokenizer=HeldOutFrom(0.02, 81, 1, 0.02025), removed=RemovedForHolding(0, 0, 0))
    assert [line[:26] for line in in_brief(both).splitlines()] == [
        "held out  from the tokeniz",
        "held out  from the model: ",
        "          most that one sh",
    ]
