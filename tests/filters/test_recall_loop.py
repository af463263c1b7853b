"""`recall_loop`: runs against rounds in plain Python, alike however the pool is divided; samples; faults."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.ipc as ipc
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpusmill.filters.rules import recall_counts
from corpusmill.filters.rules.recall_counts import HIT, NEAR, OTHER, Pages, counts_of, drawn_from, sample_of
from corpusmill.filters.rules.recall_rounds import FILE, Rounds
from corpusmill.filters.rules.recall_training import Trained
from corpusmill.filters.rules.word_model import read_word_model
from corpusmill.pipelines.contract.errors import RecipeError
from corpusmill.pipelines.contract.randomness import draws
from corpusmill.pipelines.recipe.loader import load_recipe
from corpusmill.pipelines.run.graph import build_graph
from tests.oracles.filters_documents import documents
from tests.oracles.filters_recall_loop import Page, rounds
from tests.warm import Warm

RECIPE = """
name: recalled
sources:
  web:
    read: {{jsonl: web*.jsonl}}
  manual:
    read: {{jsonl: manual.jsonl}}
engine: {{kind: {engine}}}
recall_loop: {{seed: {seed}, pool: [web], bits: 14, epochs: 3, site_hits: 4, rounds: 3{more}}}
"""
SEED, ALIKE = ["lemma", "proof", "ring", "field"], ["lemma", "sheaf", "topos", "functor"]
OTHER_WORDS, BOTH = ["buy", "cheap", "click", "cookie"], ["the", "of", "and", "a", "in", "with"]
SITES = {
    "maths": "https://www.Maths.example/p/",
    "shop": "http://shop.example:80/",
    "blog": "//blog.example/",
}


def texts(words: Sequence[str], many: int, rng: np.random.Generator) -> list[str]:
    return [" ".join(rng.choice([*words, *BOTH], 24)) for _ in range(many)]


def pool() -> list[dict[str, str]]:
    """40 pages like the seed, 40 that share a word with it and a site with some of them, 240 others."""
    rng = np.random.default_rng(5)
    rows = [{"text": text, "url": SITES["maths"]} for text in texts(SEED, 20, rng)]
    rows += [{"text": text, "url": SITES["blog"]} for text in texts(SEED, 15, rng)]
    rows += [{"text": text} for text in texts(SEED, 5, rng)]
    rows += [{"text": text, "url": SITES["maths"]} for text in texts(ALIKE, 40, rng)]
    rows += [{"text": text, "url": SITES["shop"]} for text in texts(OTHER_WORDS, 120, rng)]
    rows += [{"text": text, "url": SITES["blog"]} for text in texts(OTHER_WORDS, 119, rng)]
    rows.append({"text": "", "url": SITES["blog"]})
    for number, row in enumerate(rows):
        row["id"] = f"page-{number}"
        if "url" in row:
            row["url"] += str(number)
    return [rows[at] for at in rng.permutation(len(rows)).tolist()]


def write(path: Path, rows: Sequence[dict[str, str]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")


def recipe(folder: Path, engine: str = "inline", seed: str = "seed.jsonl", more: str = "") -> Path:
    path = folder / "recipe.yaml"
    path.write_text(RECIPE.format(engine=engine, seed=seed, more=more), "utf-8")
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("recall")
    rng = np.random.default_rng(6)
    write(made / "seed.jsonl", [{"id": f"s{n}", "text": t} for n, t in enumerate(texts(SEED, 60, rng))])
    write(
        made / "manual.jsonl", [{"id": f"m{n}", "text": t} for n, t in enumerate(texts(OTHER_WORDS, 9, rng))]
    )
    write(made / "web.jsonl", pool())
    return made


@pytest.fixture(scope="module")
def run(warm: Warm, folder: Path) -> Path:
    return ran(warm, recipe(folder), folder / "run")


def ran(warm: Warm, path: Path, out: Path) -> Path:
    done = warm.call("run", path, "--out", out)
    assert done.returncode == 0, done.stderr
    return out


def data_of(run: Path, step: str) -> Path:
    (found,) = (run / "steps" / step).glob("*/data")
    return found


def kept_and_removed(run: Path) -> tuple[dict[str, str], dict[str, str]]:
    """Texts of documents of `web` that are left, by id, and reasons of the others."""
    left: dict[str, str] = {}
    for file in data_of(run, "web").glob("*.parquet"):
        rows = pq.read_table(file, columns=["id", "text"])
        left.update(zip(rows.column("id").to_pylist(), rows.column("text").to_pylist(), strict=True))
    removed = {}
    for file in data_of(run, "recall_loop").glob("*.removed.arrow"):
        for row in ipc.open_file(file).read_all().to_pylist():
            removed[row["id"]] = row["reason"]
            del left[row["id"]]
    return left, removed


def test_a_run_does_what_rounds_in_plain_python_do(run: Path) -> None:
    done = Rounds.read(data_of(run, "recall_loop.figures") / FILE).rounds
    models = [read_word_model(data_of(run, f"recall_loop.train-{one.round}")) for one in done]
    (file,) = data_of(run, "web").glob("*.parquet")
    rows = pq.read_table(file, columns=["id", "text", "url"]).to_pylist()
    hosts = {url: host for host in SITES for url in [f"{host}.example"]}
    pages = []
    for row in rows:
        named = [host for host in hosts if row["url"] and host in row["url"].lower()]
        pages.append(Page(row["id"], row["text"], named[0] if named else None))
    expected = rounds(pages, models, 0.5, 0.2, 0.1, 4)
    assert [(one.found, one.hits, one.new, one.joined) for one in done] == [
        (len(one.found), one.hits, one.new, len(one.joined)) for one in expected
    ]
    assert [one.gain for one in done] == [round(one.new / len(one.found), 6) for one in expected]
    left, removed = kept_and_removed(run)
    assert left.keys() == expected[-1].found
    by_id = {page.id: page for page in pages}
    inside = {identity for identity in removed if by_id[identity].site in expected[-1].joined}
    assert {removed[one] for one in inside} == {"low_score_in_site"}
    assert {removed[one] for one in removed.keys() - inside} == {"low_score"}


def test_later_rounds_find_what_the_seed_does_not_tell(run: Path) -> None:
    """Pages that share a word with the seed join by their site, and their own words are learnt."""
    found = Rounds.read(data_of(run, "recall_loop.figures") / FILE)
    left, _ = kept_and_removed(run)
    assert len(left) == 80
    assert found.rounds[0].hits < 80 <= found.rounds[-1].found
    assert "maths.example" in [one.site for one in found.joined]


def figures(run: Path) -> dict[str, str]:
    files = [*run.glob("steps/recall_loop*/*/data/*.json"), *run.glob("steps/recall_loop*/*/data/*.arrow")]
    names = ("trained.json", "rounds.json", "classifier.json", "positives.arrow", "negatives.arrow")
    return {
        f"{file.parents[2].name}/{file.name}": file.read_bytes().hex() for file in files if file.name in names
    }


def test_alike_at_four_workers_in_files_of_another_order(
    warm: Warm, folder: Path, run: Path, tmp_path: Path
) -> None:
    rows = pool()[::-1]
    for number in range(5):
        write(tmp_path / f"web{number}.jsonl", rows[number::5])
    for name in ("seed.jsonl", "manual.jsonl"):
        lines = (folder / name).read_text("utf-8").splitlines(keepends=True)
        (tmp_path / name).write_text("".join(lines[::-1]), "utf-8")
    other = ran(warm, recipe(tmp_path, engine="process, workers: 4"), tmp_path / "run")
    assert figures(other) == figures(run)
    assert kept_and_removed(other) == kept_and_removed(run)


def test_a_loop_that_has_ended_hands_on_what_it_found(warm: Warm, folder: Path, tmp_path: Path) -> None:
    for name in ("web.jsonl", "seed.jsonl", "manual.jsonl"):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    out = ran(warm, recipe(tmp_path, more=", stop_gain: 1"), tmp_path / "run")
    found = Rounds.read(data_of(out, "recall_loop.round-3") / FILE)
    assert (len(found.rounds), found.stopped) == (2, True)
    for file in ("rounds.json", "positives.arrow", "negatives.arrow"):
        second, third = (data_of(out, f"recall_loop.round-{number}") / file for number in (2, 3))
        assert second.read_bytes() == third.read_bytes()
    second, third = (data_of(out, f"recall_loop.train-{number}") / "weights.npy" for number in (2, 3))
    assert second.read_bytes() == third.read_bytes()


def test_it_is_told_in_report_inspect_explain_and_what_if(warm: Warm, run: Path) -> None:
    told = json.loads((run / "report" / "report.json").read_text("utf-8"))["tables"]
    (tables,) = [one["tables"] for one in told if one["step"] == "recall_loop.figures"]
    assert [table["title"] for table in tables] == [
        "Rounds of the recall loop",
        "Sites that joined, by hits",
    ]
    assert "Rounds of the recall loop" in (run / "report" / "report.html").read_text("utf-8")
    shown = warm.call("inspect", run / "steps" / "recall_loop.figures")
    assert "seed_recall" in shown.stdout
    assert "maths.example" in shown.stdout
    _, removed = kept_and_removed(run)
    story = json.loads(warm.call("explain", min(removed), "--run", run, "--json").stdout)
    event = story["instances"][0]["events"][-1]
    assert event["verdict"] == "removed"
    assert {"site", "round", "score", "score_in_site"} >= event["scores"].keys() > {"site"}
    asked = warm.call("what-if", run, "--set", "recall_loop.at_least=1", "--json")
    assert asked.returncode == 0, asked.stderr
    assert "web" in json.loads(asked.stdout)["sources"]
    asked = warm.call("what-if", run, "--set", "recall_loop.site_hits=9")
    assert asked.returncode == 1
    assert "of `recall_loop` (at_least, " in asked.stderr
    assert "what `recall_loop.site_hits` decides follows from other documents" in asked.stderr


def test_held_out_examples_of_the_seed_are_the_same_in_all_rounds(run: Path) -> None:
    trained = [Trained.read(data_of(run, f"recall_loop.train-{n}") / Trained.FILE) for n in (1, 2, 3)]
    assert trained[0].held_out_positives + trained[0].positives == 60
    assert trained[1].positives > trained[0].positives
    assert all(one.seed_recall == 1.0 for one in trained)


PAGES = st.lists(
    st.tuples(
        st.sampled_from([None, "a", "b", "c"]),
        st.sampled_from([HIT, NEAR, OTHER]),
        st.booleans(),
        st.booleans(),
    ),
    max_size=40,
)


@settings(max_examples=25, deadline=None)
@given(PAGES, st.integers(1, 6), st.integers(1, 5), st.sets(st.sampled_from("abc")))
def test_any_division_gives_the_same_counts_and_samples(
    pages: list[tuple[str | None, int, bool, bool]], size: int, most: int, joined: set[str]
) -> None:
    """`most` are few, so that samples are full; a page has no text where its last is false."""
    parts = []
    for first in range(0, len(pages), size):
        some = pages[first : first + size]
        docs = documents([f"text {first + n}" if one[3] else "" for n, one in enumerate(some)])
        docs = docs.with_columns({"id": pa.array([f"id{first + n}" for n in range(len(some))])})
        held = Pages(7, most, 64)
        held.add(
            docs,
            pa.array([one[0] for one in some], pa.string()),
            np.array([one[1] for one in some], np.uint8),
            np.array([one[2] for one in some], np.bool_),
        )
        parts.append(held.partial())
    whole = recall_counts.merged(parts[::-1], most)
    for row in counts_of(whole).to_pylist():
        mine = [one for one in pages if one[0] == row["host"]]
        assert row["pages"] == len(mine)
        assert row["hits"] == sum(one[1] == HIT for one in mine)
        assert row["near_before"] == sum(one[1] == NEAR and one[2] for one in mine)
    assert sum(counts_of(whole).column("pages").to_pylist()) == len(pages)
    drawn = draws([f"id{n}" for n in range(len(pages))], 7, recall_counts.PURPOSE)
    ranked = [n for n in np.argsort(drawn, kind="stable").tolist() if pages[n][3]]
    by_kind = {kind: [n for n in ranked if pages[n][1] == kind] for kind in (HIT, NEAR, OTHER)}
    for kind, those in by_kind.items():
        assert sample_of(whole, kind).column("id").to_pylist() == [f"id{n}" for n in those[:most]]
    near = sample_of(whole, NEAR)
    inside = pa.array([host in joined for host in near.column("host").to_pylist()], pa.bool_())
    found = drawn_from(sample_of(whole, HIT), near, inside, most).column("id").to_pylist()
    both = [n for n in ranked if pages[n][1] == HIT or (pages[n][1] == NEAR and pages[n][0] in joined)]
    assert found == [f"id{n}" for n in both[: len(found)]]
    if max(len(by_kind[HIT]), len(by_kind[NEAR])) < most:
        assert len(found) == min(most, len(both))


def test_a_sample_of_two_kinds_ends_where_the_shorter_one_does() -> None:
    """The sample of near pages is full: one of draw 3 that counts may be unknown, so the hit of draw 9, which
    comes behind it, is not taken."""

    def sample(*drawn: int) -> pa.Table:
        rows = [{"draw": draw, "id": f"id{draw}", "text": "a", "host": "a.example"} for draw in drawn]
        return pa.Table.from_pylist(rows, schema=recall_counts.SAMPLE)

    for hits, near, inside, expected in (
        (sample(9), sample(1, 2), [False, True], ["id2"]),
        (sample(9), sample(1), [True], ["id1", "id9"]),
        (sample(5, 6), sample(7), [True], ["id5", "id6"]),
        (sample(0, 4), sample(3, 8), [True, True], ["id0", "id3"]),
    ):
        found = drawn_from(hits, near, pa.array(inside), 2)
        assert found.column("id").to_pylist() == expected


def test_its_place_and_its_steps(folder: Path) -> None:
    names = [step.name for step in build_graph(load_recipe(recipe(folder, more="")))]
    behind = [
        name
        for name in names[names.index("recall_loop.seed") :]
        if not name.endswith(("partials", "combine"))
    ]
    assert behind == [
        *("recall_loop.seed", "recall_loop.others", "recall_loop.train-1", "recall_loop.round-1"),
        *("recall_loop.train-2", "recall_loop.round-2", "recall_loop.train-3", "recall_loop.round-3"),
        *("recall_loop.figures", "recall_loop"),
    ]


def test_the_pool_is_all_but_the_seed(folder: Path) -> None:
    path = recipe(folder, seed="{sources: [manual]}")
    path.write_text(path.read_text("utf-8").replace(" pool: [web],", ""), "utf-8")
    stages: dict[str, dict[str, Any]] = {}
    for _, one in load_recipe(path).sections["recall_loop"].stages():
        stages.setdefault(one.name, one.model_dump())
    assert stages["recall_round"]["from_sources"] == stages["recall_loop"]["from_sources"] == ("web",)
    assert stages["quality_examples"]["from_sources"] == ("manual",)


@pytest.mark.parametrize(
    ("seed", "more", "said"),
    [
        ("{sources: [wob]}", "", "did you mean `web`"),
        ("{sources: [web]}", "", "'web' is the seed; a source cannot be searched for itself"),
        ("{sources: web}", "", "expected a list of names of sources such as `\\[web\\]`"),
        ("{sources: [manual], jsonl: x}", "", "`jsonl` cannot stand beside `sources`"),
        ("null", "", "`seed` is missing; add `seed: seed/\\*.jsonl.zst`"),
        ("{warc: a.warc.gz}", "", "`warc` reads raw pages; examples must be read as text"),
        ("seed.jsonl", ", site_hit: 3", "did you mean `site_hits`"),
        ("seed.jsonl", ", from_sources: [web]", "unknown key"),
        ("seed.jsonl", ", hit_at_least: 0.1", "`hit_in_sites_at_least` is more than `hit_at_least`"),
        ("seed.jsonl", ", in_sites_at_least: 0.6", "`in_sites_at_least` is more than `at_least`"),
    ],
)
def test_faults_are_told(folder: Path, seed: str, more: str, said: str) -> None:
    with pytest.raises(RecipeError, match=said):
        load_recipe(recipe(folder, seed=seed, more=more))


def test_valid_options_are_named_once(folder: Path) -> None:
    """Though several stages have them."""
    with pytest.raises(RecipeError) as caught:
        load_recipe(recipe(folder, more=", zzz: 1"))
    names = str(caught.value).split("valid: ")[1].split(", ")
    assert len(names) == len(set(names))
