"""The benchmark index and the scan against plain Python, the map law, and what users are promised."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpusmill.dedup.benchmark_grams import BenchmarkGrams
from corpusmill.dedup.decontaminate import Decontaminate
from corpusmill.dedup.matching.benchmark_index import FILE, write_index
from corpusmill.pipelines.contract.documents import Documents
from corpusmill.pipelines.contract.errors import DataError, IntegrityError, RecipeError
from corpusmill.pipelines.contract.stage import Context
from corpusmill.pipelines.inspection.kept_documents import kept_documents, kept_record
from corpusmill.pipelines.recipe.loader import load_recipe
from corpusmill.pipelines.run.runner import run_recipe
from tests.oracles.dedup_contamination import Index, Item, Rules, Scores
from tests.oracles.dedup_exchange import documents

QUESTION = (
    "A farmer keeps seventeen brown hens in a small barn and each of them lays two eggs on every weekday "
    "but none at weekends. How many eggs can the farmer sell after four weeks?"
)
SOLUTION = (
    "Each hen lays ten eggs in one week so the hens lay one hundred and seventy eggs a week together. "
    "Over four weeks that makes six hundred and eighty eggs."
)
FILLER = "the weather over the northern hills stayed dry while people walked along quiet roads toward town"


def items(rows: Sequence[dict[str, Any]]) -> Documents:
    """Benchmark items as a reader gives them: text, and the other fields in `meta`."""
    docs = documents([r.get("text", "") for r in rows], ids=[r["id"] for r in rows])
    meta = [json.dumps({k: v for k, v in r.items() if k not in ("id", "text")}, sort_keys=True) for r in rows]
    return docs.with_columns({"meta": pa.array(meta)})


def prepared(
    fold: BenchmarkGrams, rows: Sequence[dict[str, Any]], folder: Path, **options: Any
) -> Decontaminate:
    write_index(fold.rules(), fold.combine([fold.map(iter([items(rows)]))]), folder)
    return Decontaminate(**options).prepare(Context(artefacts={"benchmarks": folder}))


def scores(stage: Decontaminate, texts: Sequence[str]) -> list[Scores]:
    columns = {name: pa.array(values).to_pylist() for name, values in stage.score(documents(texts)).items()}
    for name in ("items", "item_benchmarks"):
        columns[name] = [None if names is None else tuple(names) for names in columns[name]]
    return [Scores(**dict(zip(columns, row, strict=True))) for row in zip(*columns.values(), strict=True)]


def reasons(stage: Decontaminate, texts: Sequence[str]) -> list[str | None]:
    return list(stage.apply(documents(texts)).reasons.to_pylist())


def one_item(**extra: str) -> list[dict[str, Any]]:
    item = {"id": "i", "text": f"{QUESTION}\n{SOLUTION}", "question": QUESTION, "answer": SOLUTION}
    return [{**item, "source": "farm", **extra}]


word = st.sampled_from(["ab", "cd", "ef", "gh", "7", "12", "x", "数", "学"])
part = st.lists(word, max_size=9).map(" ".join)
piece = st.one_of(part, st.sampled_from(["\n", "\n\n", ". "]))


@settings(deadline=None, max_examples=100)
@given(
    st.lists(
        st.fixed_dictionaries(
            {"id": st.sampled_from("12345"), "source": st.sampled_from(["p", "q"]), "text": part},
            optional={"question": part, "answer": part, "problem": part},
        ),
        min_size=1,
        max_size=6,
        unique_by=lambda row: row["id"],
    ),
    st.lists(st.lists(piece, max_size=12).map(" ".join), max_size=5),
    st.integers(1, 3),
    st.integers(6, 9),
)
def test_scores_equal_the_oracle_and_obey_the_map_law(
    rows: list[dict[str, str]], texts: list[str], max_items: int, window: int
) -> None:
    known = []
    for row in rows:
        questions = tuple(q for name in ("question", "problem") if (q := row.get(name, "")).strip())
        known.append(
            Item(row["source"], row["id"], questions or (row["text"],), (row.get("answer", ""),), row["text"])
        )
    index = Index(known, Rules(3, 2, max_items, 2, window))
    texts = texts + [changed for row in rows for changed in (row["text"], row["text"].replace("7", "12 ab"))]
    with TemporaryDirectory() as folder:
        fold = BenchmarkGrams(n=3, anchor=2, min_short_words=2, max_items=max_items)
        stage = prepared(fold, rows, Path(folder), window=window)
    got = scores(stage, texts)
    for found, text in zip(got, texts, strict=True):
        assert found == index.scores(text)
    assert got == [score for text in texts for score in scores(stage, [text])]


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_the_index_does_not_depend_on_batches_or_order(tmp_path: Path) -> None:
    rows = [
        {"id": str(i), "text": f"{FILLER} number{i} {QUESTION[i:]}", "source": f"s{i % 3}"} for i in range(9)
    ]
    fold = BenchmarkGrams(max_items=4)
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    first = fold.finish(fold.combine([fold.map(iter([items(rows)]))]), tmp_path / "a")
    halves = [fold.map(iter([items(rows[k : k + 1]) for k in range(s, 9, 2)])) for s in (1, 0)]
    second = fold.finish(
        fold.combine([fold.combine(halves), fold.map(iter([items(rows[:2])]))]), tmp_path / "b"
    )
    assert first == second
    assert files(tmp_path / "a") == files(tmp_path / "b")
    assert first["grams_shared_by_many_items"] > 0


@pytest.mark.parametrize(
    "text",
    [
        QUESTION,
        SOLUTION,
        f"{FILLER} {FILLER} {FILLER}\n\n{QUESTION}\n\n{FILLER}",
        f"{FILLER} " * 40 + QUESTION + f" {FILLER}" * 40,  # one endless paragraph
        QUESTION.upper().replace(" ", "\n").replace(".", " !"),
        f"{FILLER}\n\n{SOLUTION}\n{FILLER}",
        QUESTION.replace("brown", "red"),
    ],
)
def test_contaminated(tmp_path: Path, text: str) -> None:
    stage = prepared(BenchmarkGrams(), one_item(), tmp_path)
    assert reasons(stage, [text]) == ["contaminated"]
    assert scores(stage, [text])[0].benchmark == "farm"


@pytest.mark.parametrize(
    "text",
    [
        "",
        f"{FILLER} " * 20,
        f"{FILLER} {FILLER} {' '.join(QUESTION.split()[:13])} {FILLER} {FILLER} {FILLER}",
        " ".join(reversed(QUESTION.split())),
    ],
)
def test_clean(tmp_path: Path, text: str) -> None:
    assert reasons(prepared(BenchmarkGrams(), one_item(), tmp_path), [text]) == [None]


def test_any_hit_follows_datatrove(tmp_path: Path) -> None:
    text = f"{FILLER} {FILLER} {' '.join(QUESTION.split()[:13])} {FILLER} {FILLER} {FILLER}"
    stage = prepared(BenchmarkGrams(n=12), one_item(), tmp_path, rule="any_hit")
    assert reasons(stage, [text, FILLER]) == ["contaminated", None]


def test_documents_may_be_marked_and_kept(tmp_path: Path) -> None:
    text = f"{FILLER}\n\n{QUESTION}"
    stage = prepared(BenchmarkGrams(), one_item(), tmp_path, action="mark")
    assert reasons(stage, [text, FILLER]) == [None, None]
    (found, clean) = scores(stage, [text, FILLER])
    assert (found.match, found.items, found.item_benchmarks) == ("verbatim", ("i",), ("farm",))
    assert clean == Scores()
    once = f"{FILLER} {' '.join(SOLUTION.split()[:13])} {FILLER}"
    assert scores(stage, [once])[0].items == ()
    any_hit = prepared(BenchmarkGrams(), one_item(), tmp_path, action="mark", rule="any_hit")
    assert scores(any_hit, [once])[0].items == ("i",)


def test_short_questions_match_as_a_whole(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [
        {"id": "1", "question": "Which colour of the rainbow has the longest wavelength?", "source": "s"}
    ]
    stage = prepared(BenchmarkGrams(), rows, tmp_path)
    whole = f"{FILLER} which colour of the rainbow has the longest wavelength {FILLER}"
    cut = f"{FILLER} which colour of the rainbow has the longest {FILLER}"
    assert reasons(stage, [whole, cut]) == ["contaminated", None]
    rows[0]["question"] = "What is two plus two?"  # under min_short_words
    assert reasons(
        prepared(BenchmarkGrams(), rows, tmp_path), ["What is two plus two? What is two plus two?"]
    ) == [None]


def test_each_of_a_list_of_questions_is_looked_for(tmp_path: Path) -> None:
    second = "Name the three rivers that meet below the old bridge of the town before they reach the sea?"
    rows: list[dict[str, Any]] = [{"id": "1", "question": [QUESTION, second, 3, ""], "source": "s"}]
    stage = prepared(BenchmarkGrams(), rows, tmp_path)
    texts = [f"{FILLER} {QUESTION} {FILLER}", f"{FILLER} {second} {FILLER}", FILLER]
    assert reasons(stage, texts) == ["contaminated", "contaminated", None]


def test_numbers_alphabets_and_boilerplate_are_no_evidence(tmp_path: Path) -> None:
    counting = " ".join(map(str, range(60)))
    letters = " ".join("abcdefghijklmnopqrstuvwxyz")
    shared = (
        "Read the following passage carefully and then answer the question that comes after it with a letter"
    )
    rows = [{"id": str(i), "question": f"{shared} {counting} {letters}", "source": "s"} for i in range(11)]
    stage = prepared(BenchmarkGrams(max_items=10), rows, tmp_path)
    assert reasons(stage, [counting, letters, shared, f"{shared} {counting}"]) == [None] * 4
    stage = prepared(BenchmarkGrams(max_items=11), rows, tmp_path)
    assert reasons(stage, [counting, letters, shared]) == [None, None, "contaminated"]


def test_a_question_of_mostly_boilerplate_is_not_looked_for_as_a_whole(tmp_path: Path) -> None:
    rows = [{"id": str(i), "question": f"{QUESTION} tail{i}x", "source": "s"} for i in range(11)]
    stage = prepared(BenchmarkGrams(max_items=10), rows, tmp_path)
    last = " ".join(rows[0]["question"].split()[-13:])
    assert scores(stage, [f"{FILLER} {FILLER} {last} {FILLER} {FILLER} {FILLER}"])[0].contained == 0.0
    assert reasons(stage, [f"{FILLER} {FILLER} {last} {FILLER} {FILLER} {FILLER}"]) == [None]


def test_names_and_fields_of_benchmarks(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [
        {"id": "1", "text": QUESTION, "dataset": "d", "source": "s", "benchmark": "named"},
        {"id": "2", "text": "x", "meta": {"problem": SOLUTION, "dataset": "inner", "task_id": 7}},
        {"id": "3", "test_list": [FILLER, FILLER.upper()], "text": "x"},
    ]
    stage = prepared(BenchmarkGrams(), rows, tmp_path)
    found = scores(stage, [QUESTION, SOLUTION, FILLER])
    assert [(one.benchmark, one.item) for one in found] == [("named", "1"), ("inner", "7"), ("web", "3")]


@pytest.mark.parametrize(("options", "line"), [("n: 40", 3), ("window: 20", 3), ("n: 30\n  window: 40", 4)])
def test_a_window_of_fewer_words_than_two_grams_is_a_fault_of_the_recipe(
    tmp_path: Path, options: str, line: int
) -> None:
    recipe = tmp_path / "r.yaml"
    recipe.write_text(
        f"decontaminate:\n  against: b.jsonl\n  {options}\n"
        "name: r\nsources: {w: {read: {jsonl: a.jsonl}}}\n"
    )
    with pytest.raises(
        RecipeError, match=rf"r.yaml:{line}:\d+: decontaminate\.\w+: the window is .* less than"
    ):
        load_recipe(recipe)


def test_faults_are_said(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="window is 20 words"):
        prepared(BenchmarkGrams(), one_item(), tmp_path, window=20)
    with pytest.raises(KeyError, match="no artefact 'benchmarks'"):
        Decontaminate().prepare(Context())
    with pytest.raises(RuntimeError, match="prepare"):
        Decontaminate().score(documents(["a"]))
    with pytest.raises(ValueError, match="must not exceed n"):
        BenchmarkGrams(n=5, min_short_words=6)
    with np.load(tmp_path / FILE) as stored:
        arrays = dict(stored)
    np.savez(tmp_path / FILE, **arrays | {"gram_items": arrays["question_sizes"]})
    with pytest.raises(IntegrityError, match="do not fit together"):
        Decontaminate().prepare(Context(artefacts={"benchmarks": tmp_path}))


def test_a_benchmark_of_which_nothing_can_be_looked_for(tmp_path: Path) -> None:
    fold = BenchmarkGrams()
    rows = [*one_item(), {"id": "2", "text": "What is it?", "answer": "blue", "source": "colours"}]
    with pytest.raises(DataError, match=r"nothing of the benchmark colours \(1 items\).*fewer than 8 words"):
        fold.finish(fold.combine([fold.map(iter([items(rows)]))]), tmp_path)


def test_no_benchmarks_at_all(tmp_path: Path) -> None:
    fold = BenchmarkGrams()
    nothing = fold.combine([fold.map(iter([]))])
    with pytest.raises(DataError, match="the benchmark files have no items; name other files"):
        fold.finish(nothing, tmp_path)
    assert write_index(fold.rules(), nothing, tmp_path)["grams"] == 0
    stage = Decontaminate().prepare(Context(artefacts={"benchmarks": tmp_path}))
    stage.warm()
    assert reasons(stage, [QUESTION]) == [None]


FARM: dict[str, Any] = {
    "question": QUESTION,
    "choices": ["a hundred eggs", "six hundred and eighty"],
    "answer": SOLUTION,
}
QUIZ: dict[str, Any] = {
    "question": "Which one is warm?",
    "choices": {"text": ["the cold sea in the far north", "the sun"]},
}


@pytest.mark.parametrize("kind", ["jsonl", "parquet", "csv"])
def test_items_of_question_and_answer_alone(tmp_path: Path, kind: str) -> None:
    """As benchmarks are published, without a field `text`: nothing is quarantined, and the leak is found."""
    if kind == "parquet":
        pq.write_table(pa.Table.from_pylist([FARM]), tmp_path / "farm.parquet")
        pq.write_table(pa.Table.from_pylist([QUIZ]), tmp_path / "quiz.parquet")
        against: Any = ["farm.parquet", "quiz.parquet"]
    elif kind == "csv":
        flat = {"question": QUESTION, "answer": SOLUTION}
        lines = [",".join(flat), ",".join(f'"{value}"' for value in flat.values())]
        (tmp_path / "farm.csv").write_text("\n".join(lines) + "\n")
        against = {"csv": "farm.csv"}
    else:
        (tmp_path / "farm.jsonl").write_text(f"{json.dumps(FARM)}\n{json.dumps({'meta': QUIZ})}\n")
        against = "farm.jsonl"
    short = "Which one is warm? The cold sea in the far north, the sun"
    leaks = [QUESTION, SOLUTION] + [short] * (kind != "csv")
    texts = [FILLER, *(f"{FILLER}\n\n{leak}\n\n{FILLER}" for leak in leaks)]
    (tmp_path / "web.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    recipe = {
        "name": "leaks",
        "engine": {"kind": "inline"},
        "sources": {"web": {"read": {"jsonl": "web.jsonl"}}},
        "decontaminate": {"against": against},
    }
    (tmp_path / "r.yaml").write_text(json.dumps(recipe))
    run_recipe(load_recipe(tmp_path / "r.yaml", inputs=True))
    kept = [docs.text.to_pylist() for _, _, docs in kept_documents(kept_record(tmp_path / "runs" / "leaks"))]
    assert kept == [[FILLER]]
    assert not list((tmp_path / "runs" / "leaks").rglob("*.quarantined*"))


def test_benchmark_files_without_a_text_are_told_with_a_cure_that_is_there(tmp_path: Path) -> None:
    """`allow_loss` is an option of sources, which benchmark files have not."""
    (tmp_path / "odd.jsonl").write_text('{"stem": "Which one is warm?"}\n')
    (tmp_path / "web.jsonl").write_text('{"text": "a"}\n')
    against = {"jsonl": {"files": "odd.jsonl", "text_from": ["prompt"]}}
    sources = {"web": {"read": {"jsonl": "web.jsonl"}}}
    (tmp_path / "r.yaml").write_text(
        json.dumps({"name": "r", "sources": sources, "decontaminate": {"against": against}})
    )
    with pytest.raises(RecipeError) as caught:
        load_recipe(tmp_path / "r.yaml", inputs=True)
    assert "no field `text` and no text in those of `text_from` (prompt), but stem" in str(caught.value)
    assert "allow_loss" not in str(caught.value)
