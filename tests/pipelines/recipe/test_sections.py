"""Sections whose stages come from the rooms, and the recipes that ship."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from corpusmill.pipelines.contract.stage import Filter, Fold, Map, Scatter, Task, Write
from corpusmill.pipelines.recipe import first_records
from corpusmill.pipelines.recipe.loader import load_recipe
from corpusmill.pipelines.recipe.messages import InvalidRecipeError
from corpusmill.pipelines.recipe.models import Recipe
from tests.pipelines.recipe.in_recipe import stage_of

ROOT = Path(__file__).parents[3]
Load = Callable[..., Recipe]
SOURCE = "sources: {a: {read: {lines: a}}}\n"


def test_pack_brings_what_it_needs(load: Load) -> None:
    recipe = load(
        SOURCE + "tokenizer: {train: {vocab_size: 1K}}\npack: {sequence_length: 512, fim: {rate: 0.25}}\n"
    )
    (trainer,) = (s for _, s in recipe.sections["tokenizer"].stages() if s.name == "train_bpe")
    assert trainer.model_dump()["vocab_size"] == 1000
    assert stage_of(recipe, "pack", Write).model_dump()["sequence_length"] == 512
    assert stage_of(recipe, "encode", Map).model_dump()["fim"]["rate"] == 0.25
    assert stage_of(recipe, "mixture", Scatter).model_dump()["shard_tokens"] == 2**25
    plan = dict(recipe.sections["mixture"].stages())[("mixture",)]
    assert isinstance(plan, Fold)
    assert plan.model_dump()["tokens"] is None
    assert list(recipe.sections) == ["held_out", "tokenizer", "encode", "mixture", "pack"]


@pytest.mark.parametrize(
    ("length", "of_phase", "place"),
    [
        ("2K", "64", ": pack: a row of 2,000"),
        ("64", "2K", ": mixture.phases.1.sequence_length: a row of 2,000"),
    ],
)
def test_rows_longer_than_shards_are_refused(load: Load, length: str, of_phase: str, place: str) -> None:
    phases = f"[{{name: a, tokens: 0.5}}, {{name: b, sequence_length: {of_phase}}}]"
    text = (
        f"{SOURCE}tokenizer: {{train: {{}}}}\nmixture: {{tokens: 4M, phases: {phases}}}\n"
        f"pack: {{shard_tokens: 1024, sequence_length: {length}}}\n"
    )
    with pytest.raises(InvalidRecipeError) as caught:
        load(text)
    (line,) = caught.value.lines
    assert place in line


def test_a_mixture_of_its_own(load: Load) -> None:
    text = SOURCE + "tokenizer: {train: {}}\npack: {}\nmixture: {tokens: 4M, weights: {a: 1}}\ntrain: {}\n"
    recipe = load(text)
    assert dict(recipe.sections["mixture"].stages())[("mixture",)].model_dump()["tokens"] == 4_000_000
    assert stage_of(recipe, "train", Task).name == "train"


def test_a_tokenizer_is_loaded_from_beside_the_recipe(load: Load, folder: Path) -> None:
    for text in ("tokenizer: {load: tok/t.json}", "tokenizer: {load: {path: tok/t.json, add_missing: true}}"):
        recipe = load(SOURCE + text)
        assert stage_of(recipe, "tokenizer", Task).model_dump()["path"] == folder / "tok" / "t.json"


@pytest.mark.parametrize(
    ("text", "key", "words"),
    [
        ("train: {pre_tokenizer: gpt5}", "train.pre_tokenizer", "must be one of deepseek_v3"),
        ("train: {pre_tokenizer: {pattern: gpt5}}", "train.pre_tokenizer.pattern", "called 'gpt5'"),
        ("train: {pre_tokenizer: {pattern: ['(']}}", "train.pre_tokenizer", "expression '(' cannot be used"),
        ("load: {path: x, pre_tokenizer: {digits: 0}}", "load.pre_tokenizer.digits", "at least 1, got 0"),
        ("train: {}, references: {a: {pattern: gpt2}}", "references.a.path", "is missing"),
        ("train: {}, require: {against: {a: {}}}", "", "no reference 'a'"),
    ],
)
def test_a_fault_of_the_tokenizer_is_told_where_it_lies(
    faults: Callable[..., list[str]], text: str, key: str, words: str
) -> None:
    """Of an option that is a name or a mapping, what is said is about the one that was written."""
    (line,) = faults(SOURCE + f"tokenizer: {{{text}}}")
    assert f": tokenizer{'.' * bool(key)}{key}: " in line
    assert words in line


@pytest.mark.parametrize(
    ("against", "reader", "files"),
    [
        ("b/*.jsonl.zst", "jsonl", ["b/*.jsonl.zst"]),
        ("[b/*.jsonl, c/*.parquet]", "jsonl", ["b/*.jsonl", "c/*.parquet"]),
        ("[b/*.parquet]", "parquet", ["b/*.parquet"]),
        ("{lines: b}", "lines", ["b"]),
        ("{jsonl: {files: b, text_field: question}}", "jsonl", ["b"]),
    ],
)
def test_benchmarks_are_read_like_a_source(load: Load, against: str, reader: str, files: list[str]) -> None:
    recipe = load(SOURCE + f"decontaminate: {{against: {against}}}")
    ((place, benchmarks),) = recipe.sources_beside
    assert place == ("decontaminate", "against")
    assert (benchmarks.reader.name, benchmarks.reader.files) == (reader, files)
    assert (benchmarks.name, benchmarks.steps) == ("benchmarks", ())
    assert stage_of(recipe, "decontaminate", Fold).name == "benchmark_grams"
    assert stage_of(recipe, "decontaminate", Filter).name == "decontaminate"


def test_options_of_decontamination_go_to_the_stage_that_has_them(
    load: Load, faults: Callable[..., list[str]]
) -> None:
    recipe = load(SOURCE + "decontaminate: {against: b}")
    given = {}
    for stage in (stage_of(recipe, "decontaminate", kind) for kind in (Fold, Filter)):
        for name, value in stage.model_dump().items():
            if isinstance(value, int) and not isinstance(value, bool):
                given[name] = value + 1
    assert given
    options = ", ".join(f"{name}: {value}" for name, value in given.items())
    changed = load(SOURCE + f"decontaminate: {{against: b, {options}}}")
    for stage in (stage_of(changed, "decontaminate", kind) for kind in (Fold, Filter)):
        assert {name: given[name] for name in type(stage).model_fields.keys() & given} == {
            name: value for name, value in stage.model_dump().items() if name in given
        }
    assert "unknown key" in faults(SOURCE + "decontaminate: {against: b, nothing: 1}")[0]


@pytest.mark.parametrize("path", sorted((ROOT / "configs").glob("*.yaml")), ids=lambda path: path.stem)
def test_shipped_recipes_load(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CORPUSMILL_DATA", raising=False)
    monkeypatch.delenv("CORPUSMILL_SAMPLE", raising=False)
    recipe = load_recipe(path)
    assert recipe.name == path.stem
    assert recipe.output_folder == ROOT / "build" / "runs" / path.stem
    of_one_kind = {
        "cutting": {"dedup"},
        "recall": {"dedup", "recall_loop"},
        "mixture_runs": {"dedup", "pack", "train"},
    }
    wanted = of_one_kind.get(path.stem, {"dedup", "decontaminate", "pack", "train"})
    assert wanted <= recipe.sections.keys()


DEV_FILES = {
    "crawl": (
        "web/real_one.warc",
        "web/real_two.warc.gz",
        "web/trafilatura_pages.warc.gz",
        "web/gne_chinese_pages.warc.gz",
        "web/debian_docs_zh_en.warc.gz",
    ),
    "archive": ("web/real_crawl_archive_org_2008.arc.gz",),
    "crawler_text": ("web/real_one.warc.wet.gz",),
    "articles": (
        "text/cc_c4_redpajama_samples.jsonl.zst",
        "text/ruanyf_weekly_zh.jsonl.zst",
        "text/wikitext2_valid_test.jsonl.zst",
    ),
    "manuals": ("text/tldr_pages_multilang.jsonl.zst", "neardup/tldr_revisions.jsonl.zst"),
    "code": ("code/code_packages.jsonl.zst",),
    "code_cut": ("code/code_sample.parquet",),
    "math": ("math/books.jsonl.zst", "math/problems.jsonl.zst"),
    "math_pages": ("web/planetmath11_math_pages.warc.gz",),
    "broken_pages": ("broken/one.warc", "broken/two.warc.gz", "broken/three.warc.gz.bad"),
    "broken_archive": ("broken/one.arc",),
    "broken_code": ("broken/code_bad_bytes.jsonl.zst",),
}
BESIDE = (  # what no source of it reads: the benchmarks, tokenizers to compare with, and files of other uses
    "bench/problems.jsonl.zst",
    *(f"tokenizers/{name}.tokenizer.json.zst" for name in ("deepseek_v3", "qwen3", "llama3_1")),
    *(f"tokenizers/{name}_base.tiktoken.zst" for name in ("o200k", "cl100k")),
    "tokenizers/gpt2_merges.txt.zst",
    "web/trafilatura_pages.index.jsonl.zst",
    "web/added_later.warc.gz",
    "broken/code_added_later.jsonl.zst",
)


def test_each_source_of_the_dev_recipe_reads_its_own_files_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in (*(name for names in DEV_FILES.values() for name in names), *BESIDE):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    monkeypatch.setenv("CORPUSMILL_DATA", str(tmp_path))
    monkeypatch.setattr(first_records, "first_fault", lambda *_: None)  # the files hold no records
    recipe = load_recipe(ROOT / "configs" / "dev.yaml")
    recipe.check_inputs()
    read = {
        source.name: {
            path.relative_to(tmp_path).as_posix()
            for pattern in source.reader.files
            for path in tmp_path.glob(pattern)
        }
        for source in recipe.sources
    }
    assert read == {name: set(names) for name, names in DEV_FILES.items()}


def test_each_epoch_is_encoded_anew(load: Load, faults: Callable[..., list[str]]) -> None:
    packed = SOURCE + "tokenizer: {train: {}}\npack: {fim: {each_epoch: true, rates: {a: 0.5}}}\n"
    recipe = load(packed + "mixture: {tokens: 4M, max_epochs: 3}\n")
    views = stage_of(recipe, "encode", Map).model_dump()["views"]
    assert [view["draw"] for view in views] == [1, 2]
    assert views[0]["fim"]["rates"] == {"a": 0.5}
    plan = dict(recipe.sections["mixture"].stages())[("mixture",)]
    assert stage_of(recipe, "mixture", Scatter).model_dump()["views"] == [[0, 1, 2]]
    assert plan.model_dump()["views"] == [[0, 1, 2]]
    for text in (packed, packed.replace("true", "false") + "mixture: {tokens: 4M}\n"):  # every token once
        assert stage_of(load(text), "encode", Map).model_dump()["views"] == []
    (line,) = faults(packed + "mixture: {tokens: 4M, max_epochs: 100}\n")
    assert "pack.fim.each_epoch: a copy may be taken of a document 100 times" in line
    (line,) = faults(packed + "mixture: {views: [[0]]}\n")
    assert "mixture.views: follows from `pack: {fim: {each_epoch: true}}`" in line
    (line,) = faults(packed.replace("{a: 0.5}", "{b: 0.5}"))
    assert "pack.fim.rates.b: unknown source" in line


@pytest.mark.parametrize(
    ("own", "words"),
    [
        ("fim: {rat: 0.1}", ["fim.rat: unknown option", "did you mean `rate`"]),
        ("fim: {rate: 2}", ["fim.rate: must be at most 1"]),
        ("fim: {rates: {b: 1}}", ["fim.rates.b: unknown source"]),
        ("fim: {domains: [b]}", ["fim.domains.0: no domain of the recipe is called 'b'"]),
        ("only: {tokens: [below 9]}", ["only.tokens: is a number", "`at: {tokens: [4096]}`"]),
    ],
)
def test_options_of_a_phase_are_checked_before_anything_runs(
    faults: Callable[..., list[str]], own: str, words: list[str]
) -> None:
    phased = "tokenizer: {train: {}}\npack: {}\nmixture: {tokens: 4M, phases: [{name: a, %s}]}\n"
    (line,) = faults(SOURCE + phased % own)
    assert f"mixture.phases.0.{words[0]}" in line
    assert all(word in line for word in words)
