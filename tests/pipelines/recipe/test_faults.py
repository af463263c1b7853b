"""Every fault of a recipe: its line, its key, what is wrong and the cure, all at once."""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from corpusmill.pipelines.contract.errors import RecipeError
from corpusmill.pipelines.recipe.loader import load_recipe, recipe_keys
from corpusmill.pipelines.recipe.messages import InvalidRecipeError
from corpusmill.pipelines.recipe.models import Settings

Faults = Callable[..., list[str]]

SOURCE = "sources: {{a: {{read: {{lines: a}}, steps: [{}]}}}}\n"


SCRAPS = ["", "x", ":", "[", "}", "\n", " ", "- ", "1", "null", "~"]


def judge(options: str) -> str:
    return SOURCE.format(f"{{judge: {{{options}}}}}")


@pytest.mark.parametrize(
    ("text", "line", "key", "words"),
    [
        ("sorces: {}\n", 3, "sorces", ["unknown key", "did you mean `sources`"]),
        (
            judge("at_lest: 3"),
            3,
            "sources.a.steps.0.judge.at_lest",
            ["unknown option of judge", "`at_least`"],
        ),
        (judge("at_least: x"), 3, "sources.a.steps.0.judge.at_least", ["'x' is no whole number", "KB"]),
        (judge("at_least: 2.5"), 3, "sources.a.steps.0.judge.at_least", ["a whole number", "2.5"]),
        (judge("at_least: true"), 3, "sources.a.steps.0.judge.at_least", ["a whole number", "value true"]),
        (judge("at_least: null"), 3, "sources.a.steps.0.judge.at_least", ["a whole number", "null"]),
        (judge("at_least: [1]"), 3, "sources.a.steps.0.judge.at_least", ["a whole number", "a list"]),
        (judge("at_least: 0"), 3, "sources.a.steps.0.judge.at_least", ["at least 1, got 0"]),
        (judge("at_least: 2T"), 3, "sources.a.steps.0.judge.at_least", ["at most", "got 2000000000000"]),
        (judge("budget: 4Q"), 3, "sources.a.steps.0.judge.budget", ["no whole number"]),
        (judge("share: '0.5'"), 3, "sources.a.steps.0.judge.share", ["expected a number", "'0.5'"]),
        (judge("share: .nan"), 3, "sources.a.steps.0.judge.share", ["a finite number, got nan", "null"]),
        (judge("strict: no"), 3, "sources.a.steps.0.judge.strict", ["true or false", "'no'", "write false"]),
        (judge("strict: 1"), 3, "sources.a.steps.0.judge.strict", ["true or false", "number 1"]),
        (judge("keep: en"), 3, "sources.a.steps.0.judge.keep", ["a list", "write [en]"]),
        (judge("keep: [en, 1]"), 3, "sources.a.steps.0.judge.keep.1", ["expected text", "in quotes"]),
        (judge("weights: {x: y}"), 3, "sources.a.steps.0.judge.weights.x", ["a number", "'y'"]),
        (judge("weights: 3"), 3, "sources.a.steps.0.judge.weights", ["a mapping", "number 3"]),
        (judge("fim: {raet: 1}"), 3, "sources.a.steps.0.judge.fim.raet", ["did you mean `rate`"]),
        (judge("fim: {mode: pms}"), 3, "sources.a.steps.0.judge.fim.mode", ["one of psm, spm", "'pms'"]),
        (judge("fim: {rate: 3}"), 3, "sources.a.steps.0.judge.fim.rate", ["at most 1", "got 3"]),
        (judge("fim: 3"), 3, "sources.a.steps.0.judge.fim", ["a mapping of options", "number 3"]),
        (judge("limit: some"), 3, "sources.a.steps.0.judge.limit", ["'some' is no whole number"]),
        (judge("where: 3"), 3, "sources.a.steps.0.judge.where", ["expected a path", "number 3"]),
        (judge("budget: 13"), 3, "sources.a.steps.0.judge", ["a budget of 13 is unlucky; take 14"]),
        (SOURCE.format("judge: 3"), 3, "sources.a.steps.0.judge", ["a mapping of option of judges"]),
        (SOURCE.format("need"), 3, "sources.a.steps.0.needed", ["is missing; add it"]),
        (SOURCE.format("jugde"), 3, "sources.a.steps.0", ["unknown step `jugde`", "did you mean `judge`"]),
        (SOURCE.format("same"), 3, "sources.a.steps.0", ["`same` is a stage of", "not a step of a source"]),
        (SOURCE.format("minhash"), 3, "sources.a.steps.0", ["`minhash` is a stage of dedup, not a step"]),
        (SOURCE.format("judge, judge"), 3, "sources.a.steps.1", ["stands here already"]),
        (SOURCE.format("{judge: {}, need: {}}"), 3, "sources.a.steps.0", ["one stage", "indent"]),
        (SOURCE.format("3"), 3, "sources.a.steps.0", ["one stage", "number 3"]),
        (SOURCE.format("strip"), 3, "sources.a.steps.0", ["works on raw pages", "text already"]),
        (SOURCE.format("needs_score"), 3, "sources.a.steps.0", ["needs `judge` before it"]),
        ("sources: {a: {read: {lines: a}, steps: judge}}", 3, "sources.a.steps", ["a list of stages"]),
        (
            "sources: {a: {read: {pages: a}, steps: [judge]}}",
            3,
            "sources.a.steps.0",
            ["put `extract` before it"],
        ),
        (
            "sources: {a: {read: {pages: a}, steps: [strip, judge, strip_too]}}",
            3,
            "sources.a.steps.2",
            ["`strip_too` works on raw pages", "text already"],
        ),
        ("sources: {a: {read: {pages: a}}}", 3, "sources.a.steps", ["raw pages", "add `extract`"]),
        (
            "sources: {a: {read: {lins: a}}}",
            3,
            "sources.a.read.lins",
            ["unknown reader", "did you mean `lines`"],
        ),
        ("sources: {a: {read: {}}}", 3, "sources.a.read", ["expected one reader, got 0"]),
        ("sources: {a: {read: a}}", 3, "sources.a.read", ["a mapping such as"]),
        ("sources: {a: {read: {lines: 3}}}", 3, "sources.a.read.lines", ["a pattern", "number 3"]),
        (
            "sources: {a: {read: {lines: a/**.x}}}",
            3,
            "sources.a.read.lines",
            ["'a/**.x' is no pattern", "`**`"],
        ),
        ("sources: {a: {read: {lines: ''}}}", 3, "sources.a.read.lines", ["'' is no pattern"]),
        ("sources: {a: {read: {lines: []}}}", 3, "sources.a.read.lines.files", ["at least 1 entry"]),
        (
            "sources: {a: {read: {lines: {files: a, splt_bytes: 1}}}}",
            3,
            "sources.a.read.lines.splt_bytes",
            ["`split_bytes`"],
        ),
        ("sources: {a: {raed: {lines: a}}}", 3, "sources.a.raed", ["did you mean `read`"]),
        ("sources: {a: }", 3, "sources.a", ["a mapping such as", "null"]),
        ("sources: {A b: {read: {lines: a}}}", 3, "sources.A b", ["small letters"]),
        (
            "sources: {benchmarks: {read: {lines: a}}}",
            3,
            "sources.benchmarks",
            ["name of a step", "another name"],
        ),
        ("sources: {a: {read: {lines: a}, domain: [x]}}", 3, "sources.a.domain", ["a name", "a list"]),
        ("sources: [a]", 3, "sources", ["a mapping such as"]),
        ("seed: x\n" + judge(""), 3, "seed", ["no whole number"]),
        ("seed: -1\n" + judge(""), 3, "seed", ["at least 0"]),
        ("plugins: [none.py]\n" + judge(""), 3, "plugins", ["duplicate key"]),
        ("engine: {kind: proces}\n" + judge(""), 3, "engine.kind", ["did you mean `process`"]),
        ("engine: {workrs: 1}\n" + judge(""), 3, "engine.workrs", ["did you mean `workers`"]),
        ("engine: {address: auto}\n" + judge(""), 3, "engine.address", ["kind: ray"]),
        ("engine: {memory: 4X}\n" + judge(""), 3, "engine.memory", ["GiB"]),
        ("engine: {heartbeat_s: 0}\n" + judge(""), 3, "engine.heartbeat_s", ["at least 1"]),
        ("engine:\n" + judge(""), 3, "engine", ["is empty", "engine: {}"]),
        ("dedup:\n" + judge(""), 3, "dedup", ["is empty", "dedup: [exact, minhash]"]),
        ("dedup: [smae]\n" + judge(""), 3, "dedup.0", ["`smae`: unknown stage", "did you mean `same`"]),
        ("dedup: [judge]\n" + judge(""), 3, "dedup.0", ["unknown stage"]),
        (
            "dedup: [{same: {priority: [b]}}]\n" + judge(""),
            3,
            "dedup.0.same.priority.0",
            ["unknown source", "valid: a"],
        ),
        ("dedup: [{same: {sources: [a, b]}}]\n" + judge(""), 3, "dedup.0.same.sources.1", ["unknown source"]),
        ("pack: {}\n" + judge(""), 3, "pack", ["needs `tokenizer`", "add"]),
        ("train: {}\n" + judge(""), 3, "train", ["needs `pack`", "add"]),
        ("mixture: {}\n" + judge(""), 3, "mixture", ["has no effect without `pack`"]),
        ("tokenizer: {}\n" + judge(""), 3, "tokenizer", ["`sentencepiece` and `load`, got none"]),
        ("tokenizer: {train: {}, load: x}\n" + judge(""), 3, "tokenizer", ["got train and load"]),
        ("tokenizer: {trian: {}}\n" + judge(""), 3, "tokenizer.trian", ["did you mean `train`"]),
        ("mixture: {weights: {b: 1}}\n" + judge(""), 3, "mixture.weights.b", ["unknown source", "valid: a"]),
        ("mixture: {weights: {}}\n" + judge(""), 3, "mixture.weights", ["no weight for a", "`a: 0`"]),
        (
            "mixture: {within: {a: {by: lang, weights: {en: 1}}}}\n" + judge(""),
            3,
            "mixture.within.a.weights",
            ["says nothing of other values", '`"*": 0`'],
        ),
        (
            "mixture: {by: domain, weights: {b: 1}}\n" + judge(""),
            3,
            "mixture.weights.b",
            ["unknown domain", "valid: a"],
        ),
        (
            "mixture: {by: tokens, at: {tokens: [9, 99]}, weights: {below 9: 1}}\n" + judge(""),
            3,
            "mixture.weights",
            ["no weight for 9 to 99, from 99", "`9 to 99: 0, from 99: 0`"],
        ),
        ("mixture: {by: tokens}\n" + judge(""), 3, "mixture.by", ["is a number", "`at: {tokens: [4096]}`"]),
        ("mixture: {at: {tokens: [1]}}\n" + judge(""), 3, "mixture.at.tokens", ["have no effect"]),
        ("mixture: {at: {tokens: [9, 1]}, by: tokens}\n" + judge(""), 3, "mixture.at.tokens", ["must rise"]),
        (
            "mixture: {within: {a: {weights: {en: 0.5}}}}\n" + judge(""),
            3,
            "mixture.within.a.weights.en",
            ["unknown source", "valid: a"],
        ),
        (
            "mixture: {within: {a: {by: lang, weights: {en: 0.4, '*': 0.5}}}}\n" + judge(""),
            3,
            "mixture.within.a.weights",
            ["weights add up to 0.9, not 1"],
        ),
        ("decontaminate: {agianst: x}\n" + judge(""), 3, "decontaminate.agianst", ["did you mean `against`"]),
        ("decontaminate: {against: {pages: x}}\n" + judge(""), 3, "decontaminate.against", ["read as text"]),
        ("decontaminate: {}\n" + judge(""), 3, "decontaminate", ["`against` is missing"]),
    ],
)
def test_each_fault_names_line_key_and_cure(
    faults: Faults, text: str, line: int, key: str, words: list[str]
) -> None:
    lines = faults(text)
    named = [found for found in lines if f": {key}: " in found or "duplicate key" in found]
    assert named, lines
    assert all(found.startswith("recipe.yaml:") for found in lines)
    assert any(
        found.startswith(f"recipe.yaml:{line}: ") and all(w in found for w in words) for found in named
    ), lines


def test_all_faults_come_at_once_in_order(faults: Faults) -> None:
    lines = faults(
        """
        engine: {workers: 0}
        sources:
          a:
            read: {lines: a}
            steps:
              - judge: {at_least: 0, strict: 1, kep: []}
              - nothing
        trian: {}
        """
    )
    assert [line.split(": ")[:2] for line in lines] == [
        ["recipe.yaml:4", "engine.workers"],
        ["recipe.yaml:9", "sources.a.steps.0.judge.at_least"],
        ["recipe.yaml:9", "sources.a.steps.0.judge.strict"],
        ["recipe.yaml:9", "sources.a.steps.0.judge.kep"],
        ["recipe.yaml:10", "sources.a.steps.1"],
        ["recipe.yaml:11", "trian"],
    ]


def test_a_step_at_fault_is_not_also_missing(faults: Faults) -> None:
    text = "sources: {a: {read: {pages: a}, steps: [{strip: {x: 1}}, judge]}}"
    assert faults(text) == ["recipe.yaml:3: sources.a.steps.0.strip.x: unknown option of strip; valid: none"]


def test_required_keys(faults: Faults) -> None:
    assert faults("{}", head="") == [
        "recipe.yaml:1: name: is missing; add it",
        "recipe.yaml:1: `sources` is missing; add `sources: {code: {read: {jsonl: code/*.jsonl}}}`",
    ]
    assert faults("", head="")[0].startswith("recipe.yaml: the recipe is empty")
    assert faults("- a", head="")[0].startswith("recipe.yaml:1: expected `name`, `sources`")
    assert "small letters" in faults("name: A/b\nsources: {}", head="")[0]


def test_plugin_faults_have_the_line_of_their_entry(faults: Faults, folder: Path) -> None:
    (folder / "bad.py").write_text("x = 1\nraise KeyError('oh')\n")
    head = "name: t\nplugins:\n  - fake_stages.py\n  - bad.py\n  - none.py\n"
    lines = faults(head=head)
    assert lines[0] == "recipe.yaml:4: plugins.1: plugin bad.py:2 fails on import: KeyError: 'oh'"
    assert lines[1] == "recipe.yaml:5: plugins.2: no plugin file none.py"


def test_messages_hold_no_jargon(faults: Faults) -> None:
    lines = faults(
        "engine: {kind: x, workers: 1.5, unit_timeout_s: -1}\n"
        + judge("at_least: -3, keep: 1, fim: {mode: 1, rate: a}, limit: [1], where: [], weights: []")
    )
    assert len(lines) == 10
    for line in lines:
        assert not re.search(
            r"pydantic|https?:|Input should|ValidationError|value_error|NoneType|<class", line
        )
        assert "\n" not in line
        assert len(line) < 300


def test_a_recipe_broken_anywhere_is_refused_or_loads_but_never_crashes(folder: Path) -> None:
    rng = random.Random(11)
    sound = (
        "name: t\nplugins: [fake_stages.py]\nengine: {kind: inline, workers: 2, memory: 4GB}\nsources:\n"
        "  a: {read: {lines: {files: [a, b], on_corrupt: fail}}, steps: [judge: {at_least: 4, keep: [en]}]}\n"
        "  b:\n    read: {pages: x}\n    steps:\n      - strip\n      - judge: {fim: {rate: 0.5}}\n"
        "dedup: [same: {priority: [a]}]\nmixture: {weights: {a: 0.5, b: 0.5}}\npack: {}\n"
    )
    path = folder / "recipe.yaml"
    messages = []
    for _ in range(400):
        text = list(sound)
        for _ in range(rng.randint(1, 3)):
            at = rng.randrange(len(text))
            text[at : at + rng.choice([0, 1, 1, 5])] = rng.choice(SCRAPS)
        path.write_text("".join(text))
        try:
            load_recipe(path)
        except RecipeError as error:
            messages.append(str(error))
    assert len(messages) > 100
    assert all(messages)


@pytest.mark.parametrize("name", [name for name in recipe_keys() if name not in Settings.model_fields])
def test_the_cure_of_an_empty_key_is_a_value_that_it_takes(tmp_path: Path, name: str) -> None:
    path = tmp_path / "recipe.yaml"

    def lines(entry: str) -> tuple[str, ...]:
        sources = "" if name == "sources" else "sources: {web: {read: {jsonl: a.jsonl}}}\n"
        path.write_text(f"name: small\n{sources}{entry}\nnothing: 0\n", "utf-8")
        with pytest.raises(InvalidRecipeError) as caught:
            load_recipe(path)
        return caught.value.lines

    (cure,) = re.findall(
        rf"{name}: is empty; write `(.*)`, or take the line out", "\n".join(lines(f"{name}:"))
    )
    others = (
        r": (needs|has no effect without) `|: nothing: unknown key"  # nothing is wrong with the value itself
    )
    assert [line for line in lines(cure) if not re.search(others, line)] == []
