"""`perplexity`: the model against Kneser-Ney in plain Python, laws, shares, damaged files, runs."""

from __future__ import annotations

import json
import re
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpusmill.filters.perplexity import Perplexity
from corpusmill.filters.perplexity_percentiles import PerplexityPercentiles
from corpusmill.filters.quality_examples import QualityExamples
from corpusmill.filters.rules.ngram_model import HEADER, KEYS, VALUES, read_model
from corpusmill.filters.rules.percentiles import FILE, shares_below
from corpusmill.filters.train_perplexity import TrainPerplexity
from corpusmill.pipelines.contract.context import Context
from corpusmill.pipelines.contract.documents import Documents
from corpusmill.pipelines.contract.errors import DataError, RecipeError
from corpusmill.pipelines.recipe.loader import load_recipe
from corpusmill.pipelines.records.summary_table import tables_of
from tests.filters.test_learned_quality import ASCII, WORD
from tests.oracles.filters_documents import TEXTS, check_split_law, documents, reasons
from tests.oracles.filters_language_model import END, UNKNOWN, KneserNey
from tests.warm import Warm

VOCABULARY = st.sampled_from(["the", "a", "ring", "is", "finite", "中", "国", "7", ",", "été", "\n", "\n"])
PIECES = st.lists(VOCABULARY, max_size=30).map(" ".join)


def lines_of(text: str) -> list[list[str]]:
    """Words of the lines that have any, as a regular expression finds them."""
    lines = [[word.translate(ASCII) for word in WORD.findall(line)] for line in re.split("[\n\v\f\r]", text)]
    return [line for line in lines if line]


def trained(texts: list[str], folder: Path, lang: list[str | None] | None = None, **options: Any) -> Path:
    """The folder of a model of texts, none held out unless asked for."""
    folder.mkdir(parents=True, exist_ok=True)
    chooser = QualityExamples().prepare(Context(seed=7))
    docs = documents(texts, **({"lang": lang} if lang else {}))
    chooser.finish(chooser.combine([chooser.map(iter([docs]))]), folder)
    given = {"held_out_texts": 0.0, "fewest_words": 1, **options}
    stage = TrainPerplexity(**given).prepare(Context(seed=7, artefacts={"trusted": folder}))
    stage.run({}, folder)
    return folder


def judge(folder: Path, cuts: dict[str, list[float]] | None = None, **options: Any) -> Perplexity:
    (folder / FILE).write_text(json.dumps(cuts or {}), "utf-8")
    return Perplexity(**options).prepare(Context(artefacts={"model": folder, "percentiles": folder}))


def scored(stage: Perplexity, texts: list[str | None], **columns: Any) -> list[float | None]:
    found: list[float | None] = stage.score(documents(texts, **columns))["perplexity"].to_pylist()  # type: ignore[union-attr]
    return found


@settings(max_examples=40, deadline=None)
@given(
    texts=st.lists(PIECES | TEXTS, min_size=1, max_size=6, unique=True),
    asked=st.lists(PIECES | TEXTS, max_size=4),
    order=st.integers(1, 4),
    least=st.integers(1, 3),
)
def test_oracle(
    tmp_path_factory: pytest.TempPathFactory, texts: list[str], asked: list[str], order: int, least: int
) -> None:
    lines = [line for text in texts for line in lines_of(text)]
    folder = tmp_path_factory.mktemp("model")
    if not lines:
        with pytest.raises(DataError, match=r"hold no words to learn from \(.*\); name more"):
            trained(texts, folder)
        return
    model = KneserNey(lines, order, least)
    stage = judge(trained(texts, folder, order=order, least_count=least))
    for value, text in zip(scored(stage, [*asked, *texts]), [*asked, *texts], strict=True):
        wanted = model.perplexity(lines_of(text))
        assert value == (wanted if wanted is None else pytest.approx(wanted, rel=1e-4))


def test_probabilities_of_all_that_can_follow_sum_to_1() -> None:
    lines = [line.split() for line in ("a b a c", "b b a", "c a b a d", "a a e b")]
    model = KneserNey(lines, 3, 2)
    for context in ((), ("<s>",), ("a", "b"), ("<s>", "a"), ("e", "e")):
        total = sum(model.probability(word, context) for word in {*model.known, END, UNKNOWN})
        assert total == pytest.approx(1.0)


PROSE = [
    f"the {kind} ring is {how}\nand every {kind} ideal of it is {how} too\nso the proof is done"
    for kind in ("finite", "local", "simple", "prime", "small", "large", "free", "flat")
    for how in ("noetherian", "reduced", "regular", "zero", "closed", "open", "graded")
]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trained(PROSE, tmp_path_factory.mktemp("prose"), held_out_texts=0.2)


def test_what_is_like_the_trusted_texts_surprises_less(model: Path) -> None:
    values = scored(
        judge(model),
        [
            "every prime ring is reduced and closed",
            "ring every is reduced closed and prime",
            "cheap watches click here now buy",
            " \n\n ",
            "",
            None,
        ],
    )
    assert values[3:] == [None] * 3
    known = [value for value in values if value is not None]
    assert known == sorted(known)
    assert known[2] > 3 * known[0]


def test_figures_tell_of_texts_held_out(model: Path) -> None:
    told = json.loads((model / "figures.json").read_text("utf-8"))
    one = told["languages"]["und"]
    assert told["digest"] == json.loads((model / HEADER).read_text("utf-8"))["digest"]
    assert 3 <= one["held_out"] <= 25
    cuts = list(one["perplexity"].values())
    assert cuts == sorted(cuts)
    assert one["ngrams"] == len(read_model(model).keys)
    (table,) = tables_of(told, "figures.json")
    (row,) = table.rows
    assert dict(zip(table.columns, row, strict=True))["perplexity p50"] == one["perplexity"]["p50"]


def test_the_model_depends_on_its_texts_alone(model: Path, tmp_path: Path) -> None:
    digest = json.loads((model / HEADER).read_text("utf-8"))["digest"]
    stage = QualityExamples().prepare(Context(seed=7))
    table = documents(PROSE).table
    order = np.random.default_rng(1).permutation(len(PROSE)).tolist()
    cuts = [0, 3, 20, len(PROSE)]
    shuffled = table.take(pa.array(order))
    parts = [stage.map(iter([Documents(shuffled.slice(a, b - a))])) for a, b in pairwise(cuts)]
    stage.finish(stage.combine(parts[::-1]), tmp_path)
    trainer = TrainPerplexity(held_out_texts=0.2, fewest_words=1)
    again = trainer.prepare(Context(seed=7, artefacts={"trusted": tmp_path})).run({}, tmp_path)
    assert again["digest"] == digest
    fewer = trained(PROSE, tmp_path, trained_bytes=1024)
    assert json.loads((fewer / HEADER).read_text("utf-8"))["digest"] != digest


def test_languages_have_models_of_their_own(tmp_path: Path) -> None:
    german = ["der ring ist klein und jedes ideal ist endlich"] * 2 + ["der ring ist gross"]
    both = [*PROSE[:20], *german]
    lang: list[str | None] = [*["en"] * 20, *["de"] * 3]
    stage = judge(trained(both, tmp_path / "two", lang))
    alone = judge(trained(german, tmp_path / "one", ["de"] * 3))
    text = "der ring ist endlich"
    assert scored(stage, [text] * 3, lang=["de", "fr", None])[1:] == [None, None]
    assert scored(stage, [text], lang=["de"]) == scored(alone, [text], lang=["de"])
    assert scored(alone, [text], lang=["de"]) == scored(alone, [text], lang=[None])
    mixed = judge(trained(both, tmp_path / "three", [*[None] * 20, *["de"] * 3]))  # type: ignore[list-item]
    first, second = scored(mixed, ["the ring is reduced"] * 2, lang=["fr", None])
    assert first == second is not None
    small = judge(trained(both, tmp_path / "four", lang, fewest_words=10_000))
    assert len({*scored(small, [text] * 3, lang=["de", "fr", None])}) == 1


def test_shares_and_buckets(model: Path) -> None:
    values = scored(judge(model), PROSE)
    cuts = {"und": [float(v) for v in np.percentile(np.array(values, float), np.arange(101))]}
    stage = judge(model, cuts, at_most_share=0.6)
    scores = stage.score(documents(PROSE))
    shares = np.array(scores["share"].to_pylist())  # type: ignore[union-attr]
    buckets = scores["bucket"].to_pylist()  # type: ignore[union-attr]
    assert buckets == ["head" if s < 0.3 else "middle" if s < 0.6 else "tail" for s in shares]
    assert {"head", "middle", "tail"} == set(buckets)
    assert reasons(stage, PROSE) == [None if share <= 0.6 else "perplexity_tail" for share in shares]
    assert reasons(stage, ["buy now"], lang=["fr"]) == [None]


def test_shares_are_straight_between_the_cuts() -> None:
    cuts = {"en": np.arange(101) * 2.0}
    values = pa.array([0.0, 1.0, 100.0, 500.0, None, 3.0])
    found = shares_below(values, ["en", "en", "en", "en", "en", "fr"], cuts).to_pylist()
    assert found == [0.0, pytest.approx(0.005), pytest.approx(0.5), 1.0, None, None]
    equal = {"en": np.array([1.0] * 41 + [2.0] * 60)}
    found = shares_below(pa.array([1.0, 2.0, 1.5]), ["en"] * 3, equal).to_pylist()
    assert found == [0.0, pytest.approx(0.41), pytest.approx(0.205)]


def test_percentiles_do_not_depend_on_batches(model: Path, tmp_path: Path) -> None:
    stage = PerplexityPercentiles(sampled=100, fewest_documents=30)
    stage = stage.prepare(Context(seed=3, artefacts={"model": model}))
    docs = documents([*PROSE, *PROSE, "buy now", ""], lang=[*["en"] * (2 * len(PROSE)), "fr", "fr"])
    whole = stage.map(iter([docs]))
    parts = stage.combine([stage.map(iter([docs.slice(a, 7)])) for a in range(0, len(docs), 7)])
    assert parts == whole
    assert whole.num_rows == 100
    told = stage.finish(whole, tmp_path)
    assert list(json.loads((tmp_path / FILE).read_text("utf-8"))) == ["en"]
    assert told["languages"]["en"]["documents"] >= 99


def test_limits(model: Path) -> None:
    text = "every prime ring is reduced"
    (value,) = scored(judge(model), [text])
    assert value is not None
    assert reasons(judge(model, at_most=value), [text]) == [None]
    assert reasons(judge(model, at_most=value * 0.999), [text]) == ["high_perplexity"]
    assert reasons(judge(model, at_least=value * 1.001), [text]) == ["low_perplexity"]
    by_language = judge(model, by_language={"ja": {"at_most": 1.0}})
    assert reasons(by_language, [text, text], lang=["ja", "en"]) == ["high_perplexity", None]
    with pytest.raises(ValueError, match=r"`head` 0\.7 is over `tail`"):
        Perplexity(head=0.7)


@settings(max_examples=30, deadline=None)
@given(texts=st.lists(TEXTS | PIECES | st.none(), max_size=5), cut=st.integers(0, 5))
def test_split_law(model: Path, texts: list[str | None], cut: int) -> None:
    check_split_law(judge(model), texts, min(cut, len(texts)))


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda folder: (folder / HEADER).write_text("{}"), "no model of n-grams"),
        (lambda folder: (folder / KEYS).write_bytes(b"cPickle"), "no model of n-grams"),
        (lambda folder: np.save(folder / VALUES, np.zeros((3, 2), np.float32)), "two numbers a key"),
        (lambda folder: np.save(folder / KEYS, np.load(folder / KEYS)[::-1]), "not of one model"),
    ],
)
def test_damaged_files_are_told(tmp_path: Path, damage: Any, said: str) -> None:
    folder = trained(PROSE[:3], tmp_path)
    read_model(folder)
    damage(folder)
    with pytest.raises(DataError, match=said):
        read_model(folder)


RECIPE = """
name: surprising
sources:
  web: {{read: {{jsonl: web.jsonl}}}}
engine: {{kind: inline}}
perplexity: {{trusted: {trusted}, fewest_words: 10{more}}}
"""


def recipe(folder: Path, trusted: str = "good.jsonl", more: str = "") -> Path:
    path = folder / "recipe.yaml"
    path.write_text(RECIPE.format(trusted=trusted, more=more), "utf-8")
    return path


@pytest.mark.parametrize(("trusted", "most"), [("good.jsonl", 60), ("{sources: [web]}", 100)])
def test_a_run_keeps_the_head(warm: Warm, tmp_path: Path, trusted: str, most: int) -> None:
    for name, texts in (("good", PROSE), ("web", [*PROSE[::-1], *(f"buy {n} watches" for n in range(50))])):
        rows = [{"id": str(n), "text": text} for n, text in enumerate(texts)]
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    path = recipe(tmp_path, trusted, ", at_most_share: 0.5")
    done = warm.call("run", path, "--out", tmp_path / "run", "--json")
    assert done.returncode == 0, done.stderr
    left = json.loads(done.stdout)["sources"]["web"]["left"]
    assert (len(PROSE) + 50) / 2 - 6 <= left <= most


@pytest.mark.parametrize(
    ("trusted", "more", "said"),
    [
        ("{sources: [wob]}", "", "did you mean `web`"),
        ("null", "", "`trusted` is missing; add `trusted: trusted/"),
        ("good.jsonl", ", at_most_shares: 0.5", "did you mean `at_most_share`"),
        ("good.jsonl", ", order: 9", "order"),
        ("good.jsonl", ", head: 0.9", "is over `tail`"),
    ],
)
def test_faults_are_told(tmp_path: Path, trusted: str, more: str, said: str) -> None:
    for name in ("web", "good"):
        (tmp_path / f"{name}.jsonl").write_text('{"text": "x"}\n', "utf-8")
    with pytest.raises(RecipeError, match=said):
        load_recipe(recipe(tmp_path, trusted, more))
