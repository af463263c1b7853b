"""The spine knows no stage and no section of a room by name; what else it says by these words is listed."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from corpusmill.pipelines.contract.rooms import ROOMS, class_name, names
from corpusmill.pipelines.recipe.registry import find, is_step
from corpusmill.pipelines.recipe.sections import section_classes

SPINE = Path(__file__).parents[2] / "pipelines"
READERS = "pipelines"  # the room of readers, among which a step stands

# Reason -> file or folder below pipelines/ -> words. An entry that nothing uses fails the test.
ALLOWED: dict[str, dict[str, set[str]]] = {
    "a list of rooms": {"contract/rooms.py": {"dedup", "tokenizer"}, "run/code_version.py": {"tokenizer"}},
    "the words of what steps give": {"contract/given.py": {"benchmarks", "held_out", "mixture", "tokenizer"}},
    "what documents are held out from": {
        "contract/held_out.py": {"tokenizer", "held_out"},
        "contract/randomness.py": {"held_out"},
        "inspection/kept_documents.py": {"held_out"},
    },
    "an operator's own name": {"run/operators/encode.py": {"encode"}},
    "the library of that name": {
        "sources/datatrove.py": {"datatrove"},
        "sources/datatrove_blocks": {"datatrove"},
        "contract/plugins.py": {"datatrove"},
    },
    "the class of the library tokenizers": {
        "text/encoders.py": {"tokenizer"},
        "text/tokenizer_json.py": {"tokenizer"},
    },
    "the function of a grammar": {"text/grammars.py": {"language"}},
    "its own module": {"sources/extract.py": {"extract"}},
    "the address of a document, a field and a column": {
        "contract/carried.py": {"url"},
        "contract/documents.py": {"url"},
        "contract/held_out.py": {"url"},
        "extraction/learning/marked_pages.py": {"url"},
        "inspection/explain.py": {"url"},
        "inspection/named_documents.py": {"url"},
        "inspection/nearest.py": {"url"},
        "inspection/run_diff/changes.py": {"url"},
        "inspection/story.py": {"url"},
        "inspection/tables/documents.py": {"url"},
        "run/operators/cutting.py": {"url"},
        "sources": {"url"},
        "storage/removed.py": {"url"},
    },
    "a key of a summary": {"report/contamination.py": {"benchmarks"}},
    "the key of recipes that an error names": {
        "inspection/nearest.py": {"dedup"},
        "storage/earlier_runs.py": {"dedup"},
    },
    "a field of records, a column of tables": {
        "sources/assembly/notebooks.py": {"language"},
        "sources/assembly/presets.py": {"language"},
        "sources/looking/field_kinds.py": {"language", "repository"},
        "sample/gather.py": {"language"},
        "inspection/statistics_rendering.py": {"language"},
        "inspection/tokenizer_rendering.py": {"language"},
        "report/tokenizer.py": {"language"},
    },
    "a part of a data set, or of a run's documents": {
        "sources/looking/hub_layout.py": {"train"},
        "sources/looking/whole_folders.py": {"train"},
        "inspection/kept_documents.py": {"train"},
        "inspection/shard_files.py": {"train"},
        "inspection/tables/tokens.py": {"held_out", "train"},
        "inspection/drawn_documents.py": {"held_out", "train"},
    },
    "tables of a run, and columns of them": {
        "api/run.py": {"mixture"},
        "inspection/tables/catalogue.py": {"mixture"},
        "inspection/tables/documents.py": {"held_out", "tokenizer"},
        "inspection/tables/figures.py": {"mixture"},
        "contract/documents.py": {"held_out"},
        "exports": {"held_out"},
    },
    "a key of dataset cards": {"exports/card.py": {"language"}},
    "what an export is of": {"contract/conversion.py": {"tokenizer"}},
    "the library that a stage asks": {"inspection/doctor.py": {"classifier_score", "kenlm_perplexity"}},
    "the section whose columns are carried": {"contract/carried.py": {"mixture"}},
    "a key of what commands print and of the report's figures": {
        "cli/summary.py": {"held_out", "long_context", "mixture", "tokenizer", "train"},
        "cli/summary_rendering.py": {"mixture"},
        "cli/mixture.py": {"mixture"},
        "cli/inspect.py": {"mixture"},
        "inspection/mixture_facts.py": {"mixture"},
        "inspection/mixture_statistics.py": {"mixture", "pack"},
        "inspection/run_diff/rendering.py": {"mixture"},
        "inspection/window_facts.py": {"train"},
        "inspection/rendering.py": {"mixture"},
        "inspection/shard_facts.py": {"tokenizer"},
        "inspection/shard_files.py": {"held_out"},
        "report": {"held_out", "long_context", "mixture", "tokenizer"},
    },
    "the option that holds documents out": {"report/findings.py": {"held_out"}},
    "a kind of file": {"records/tokenizer_figures.py": {"tokenizer"}},
    "a room whose command is called": {"inspection/inspect.py": {"tokenizer"}},
    "an option of commands": {"cli/export_import.py": {"tokenizer"}},
}


@cache
def known() -> frozenset[str]:
    """Names of stages and sections of the rooms, of steps of sections, and of the spine's own steps."""
    found = {name for room in ROOMS if room != READERS for name in names(room)}
    found |= {name for name in names(READERS) if is_step(find(READERS, name))}
    for section in section_classes():
        found |= {section.name, *section.step_roots}
    return frozenset(found)


def said(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Line and name of every text, class or part of a recipe that stands for a known name.

    A text stands for it where it is the name, alone or before a dot, or has it in backticks, as messages do;
    a name of a file does not.
    """
    classes = {class_name(name): name for name in known()}
    described = set(docstrings(tree))
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in described:
            first = re.match(r"([a-z_]+)(\.(?!json|model)[a-z0-9_.]*)?$", node.value)
            words = {first[1]} if first else set(re.findall(r"`([a-z_]+)", node.value))
            yield from ((node.lineno, name) for name in sorted(words & known()))
        elif isinstance(node, ast.Name) and node.id in classes:
            yield node.lineno, classes[node.id]
        elif isinstance(node, ast.Attribute) and node.attr in known():
            holder = node.value
            name = holder.id if isinstance(holder, ast.Name) else getattr(holder, "attr", "")
            if name in ("recipe", "sections"):
                yield node.lineno, node.attr


def docstrings(tree: ast.AST) -> Iterator[int]:
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        for one in body if isinstance(body, list) else ():
            if isinstance(one, ast.Expr) and isinstance(one.value, ast.Constant):
                yield id(one.value)


@pytest.mark.parametrize(
    ("code", "names_said"),
    [
        ('x = step.name == "pack.scatter"', ["pack"]),
        ('"""`train` in words."""\nx = f"{y}: add `train: {{}}`"', ["train"]),
        ("recipe.long_context", ["long_context"]),
        ("self.recipe.sections.pack", ["pack"]),
        ("Mixture()", ["mixture"]),
        ('text.encode("utf-8")\nlist = "packed"\nx = train(1)', []),
        ('x = "extract"', ["extract"]),
        ('x = "tokenizer.json"', []),
    ],
)
def test_what_counts_as_a_name(code: str, names_said: list[str]) -> None:
    assert [name for _, name in said(ast.parse(code))] == names_said


def test_the_spine_has_no_favourites() -> None:
    used: set[tuple[str, str]] = set()
    allowed = {
        (place, name) for files in ALLOWED.values() for place, words in files.items() for name in words
    }
    found = []
    for path in sorted(SPINE.rglob("*.py")):
        rel = path.relative_to(SPINE).as_posix()
        for line, name in said(ast.parse(path.read_text("utf-8"))):
            places = [p for p, n in allowed if n == name and (rel == p or rel.startswith(f"{p}/"))]
            used.update((place, name) for place in places)
            if not places:
                found.append(f"pipelines/{rel}:{line}: {name}")
    assert not found, "\n".join(found)
    assert allowed == used, f"no longer said: {sorted(allowed - used)}"
