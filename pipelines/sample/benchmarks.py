"""A held-out set to decontaminate against: passages of the sample itself, and questions of our own.

Every second question also stands on a worksheet inside the corpus, so that some of the set is
contaminated and some is not; `meta.leaked` says which.
"""

from __future__ import annotations

from typing import Any

from corpusmill.pipelines.sample.installed import mix

Row = dict[str, Any]

_PASSAGES = 40
_PASSAGE_WORDS = 60
_QUESTIONS = 60
_GOODS = (
    "jars of honey",
    "copper kettles",
    "boxes of chalk",
    "paper lanterns",
    "wooden spoons",
    "maps of the coast",
)
_PEOPLE = ("Ilse", "Bao", "Tomas", "Wanjiru", "Petra", "Hamid")


def questions() -> list[Row]:
    """Word problems written for this set, with answers; every second one is on a worksheet."""
    rows = []
    for number in range(_QUESTIONS):
        draw = mix(f"question {number}")
        who, goods = _PEOPLE[draw % len(_PEOPLE)], _GOODS[draw // 7 % len(_GOODS)]
        crates, each, sold = 3 + draw // 49 % 17, 5 + draw // 833 % 23, 2 + draw // 19159 % 11
        text = (
            f"{who} unloads {crates} crates from the evening ferry, and every crate holds {each} "
            f"{goods}. On the way to the market {sold} of them are given to the harbour master, and the rest "
            f"is shared out equally between two stalls, any odd one staying in the cart. "
            f"How many {goods} does each stall receive?"
        )
        answer = (crates * each - sold) // 2
        rows.append(
            {
                "id": f"ferry-{number:03d}",
                "text": text,
                "answer": str(answer),
                "meta": {"leaked": number % 2 == 0},
            }
        )
    return rows


def worksheets() -> list[Row]:
    """Prose rows that quote the leaked questions word for word, with a worked answer."""
    rows = []
    leaked = [row for row in questions() if row["meta"]["leaked"]]
    for start in range(0, len(leaked), 5):
        parts = [f"Worksheet {start // 5 + 1}: sharing goods between two stalls\n"]
        for row in leaked[start : start + 5]:
            parts.append(f"{row['text']}\nAnswer: each stall receives {row['answer']}.\n")
        path = f"worksheets/{start // 5 + 1:02d}.txt"
        rows.append(
            {"id": path, "text": "\n".join(parts), "path": path, "repo": "worksheets", "license": "CC0-1.0"}
        )
    return rows


def passages(rows: list[Row]) -> list[Row]:
    """Windows of words out of the rows of the sample (each has `id` and `text`), chosen by their ids."""
    found: list[Row] = []
    for row in sorted(rows, key=lambda r: mix(f"passage {r['id']}")):
        words = str(row["text"]).split()
        if len(words) < 2 * _PASSAGE_WORDS:
            continue
        start = mix(str(row["id"])) % (len(words) - _PASSAGE_WORDS)
        text = " ".join(words[start : start + _PASSAGE_WORDS])
        found.append(
            {"id": f"passage-{len(found):03d}", "text": text, "meta": {"leaked": True, "from": row["id"]}}
        )
        if len(found) == _PASSAGES:
            break
    return found
