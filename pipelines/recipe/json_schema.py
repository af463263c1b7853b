"""The JSON Schema of recipes, made from the stages themselves, so that editors complete and check them.

Every property has a description of one line, which editors show: of an option its own, of a stage or a
section the first paragraph of its docstring.

It knows the stages of the rooms and of the plugins registered at the time; the published file has no
plugins. It says no more than a schema can: agreement between sections is left to `load_recipe`.
"""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

from corpusmill.pipelines.contract import plugins, rooms
from corpusmill.pipelines.contract.stage import Deduplicate, Stage
from corpusmill.pipelines.recipe import long_context_section, registry
from corpusmill.pipelines.recipe.messages import SLUG
from corpusmill.pipelines.recipe.models import ALLOW_LOSS, Engine, Settings
from corpusmill.pipelines.recipe.quantities import FORMS, PATTERN
from corpusmill.pipelines.recipe.tokenizer_section import JUDGES, MAKERS, TRAINERS, sample_and_trainer
from corpusmill.pipelines.sources.reader import Reader

Json = dict[str, Any]

DIALECT = "http://json-schema.org/draft-07/schema#"  # the one that editors' YAML servers know best
_PATTERNS = {"$ref": "#/definitions/patterns"}
_NULL = {"type": "null"}
PUBLISHED = Path("configs/recipe.schema.json")


def recipe_schema() -> Json:
    """The schema as a JSON-ready mapping, the same for the same code (keys in a fixed order)."""
    schema = _Schema()
    properties = schema.fields(Settings)
    properties["engine"] = _described(_summary(Engine), schema.model(Engine, "engine"))
    properties["sources"] = {
        "description": "What to read, by a name of your choice, and what to do with each document.",
        "type": "object",
        "minProperties": 1,
        "propertyNames": {"pattern": SLUG},
        "additionalProperties": schema.source(),
    }
    properties["dedup"] = {
        "description": "Deduplication over all sources together, one after the other.",
        **schema.stage_list(_stages("dedup", Deduplicate)),
    }
    properties["decontaminate"] = schema.decontaminate()
    properties["tokenizer"] = schema.tokenizer()
    for section, room in (("mixture", "mixtures"), ("pack", "tokenizer"), ("train", "training_hooks")):
        stage = registry.find(room, section)
        properties[section] = _described(_summary(stage), schema.stage(stage))
    properties["long_context"] = schema.long_context()
    return {
        "$schema": DIALECT,
        "title": "corpusmill recipe",
        "description": "From web, code and mathematics to a tokenizer, token shards and a small model.",
        "type": "object",
        "required": ["name", "sources"],
        "additionalProperties": False,
        "properties": properties,
        "definitions": dict(sorted(schema.definitions.items())),
    }


class _Schema:
    """Collects the definitions that the parts of the schema refer to."""

    def __init__(self) -> None:
        self.definitions: Json = {
            "quantity": {"type": "string", "pattern": PATTERN, "description": FORMS},
            "patterns": {
                "description": "A glob pattern relative to `data`, or a list of them.",
                "anyOf": [
                    {"type": "string"},
                    {"type": "array", "items": {"type": "string"}, "minItems": 1},
                ],
            },
        }

    def model(self, model: type[Any], name: str) -> Json:
        """A reference to the definition of a pydantic model, made when first asked for."""
        reference = {"$ref": f"#/definitions/{name}"}
        if name in self.definitions:
            return reference
        made = model.model_json_schema(ref_template=f"#/definitions/{name}.{{model}}")
        for inner, definition in made.pop("$defs", {}).items():
            self.definitions[f"{name}.{inner}"] = _for_yaml(definition)
        made["description"] = inspect.cleandoc(model.__doc__ or "")
        self.definitions[name] = _for_yaml(made)
        return reference

    def fields(self, model: type[Any]) -> Json:
        self.model(model, "settings")
        made: Json = self.definitions.pop("settings")["properties"]
        return made

    def stage(self, stage: type[Stage]) -> Json:
        return self.model(stage, _definition(stage))

    def stage_list(self, stages: dict[str, type[Stage]]) -> Json:
        """A list of stage names or one-entry mappings from a name to its options."""
        bare = [name for name, stage in stages.items() if not _required(stage)]
        options = {
            name: _described(_summary(stage), self.stage(stage), _NULL) for name, stage in stages.items()
        }
        names_alone = [{"const": name, "description": _summary(stages[name])} for name in bare]
        mapping = {
            "type": "object",
            "minProperties": 1,
            "maxProperties": 1,
            "additionalProperties": False,
            "properties": options,
        }
        return {"type": "array", "items": {"anyOf": [*names_alone, mapping]}}

    def source(self) -> Json:
        steps: dict[str, type[Stage]] = {name: registry.find_step(name) for name in registry.step_names()}
        return {
            "type": "object",
            "required": ["read"],
            "additionalProperties": False,
            "properties": {
                "read": _described("One reader and the files it reads.", self.readers()),
                "domain": {
                    "description": "What the source holds: web, code, math, ...; by default its name.",
                    "type": "string",
                    "pattern": SLUG,
                },
                "allow_loss": {
                    "description": "Share of records that may be quarantined before the run fails; 1: all of "
                    "them, and the source may keep nothing.",
                    "type": "number",
                    "minimum": 0,
                    "maximum": 1,
                    "default": ALLOW_LOSS,
                },
                "steps": {
                    "description": "What is done to each document, in order.",
                    "anyOf": [self.stage_list(steps), {"type": "null"}],
                },
            },
        }

    def readers(self) -> Json:
        """A reference to the mapping from one reader to its files."""
        self.definitions["reader"] = {
            "description": "One reader and the files it reads.",
            "type": "object",
            "minProperties": 1,
            "maxProperties": 1,
            "additionalProperties": False,
            "properties": {name: self.reader(stage) for name, stage in _stages("pipelines", Reader).items()},
        }
        return {"$ref": "#/definitions/reader"}

    def reader(self, stage: type[Stage]) -> Json:
        reference = self.stage(stage)
        files = self.definitions[_definition(stage)]["properties"]["files"]
        if "anyOf" not in files:
            files["anyOf"] = [
                {"type": "string"},
                {key: files.pop(key) for key in ("type", "items", "minItems")},
            ]
        return _described(_summary(stage), _PATTERNS, reference)

    def decontaminate(self) -> Json:
        """Options of two stages and `against` in one mapping."""
        parts = [registry.find("dedup", name) for name in ("benchmark_grams", "decontaminate")]
        properties: Json = {
            "against": _described(
                "The benchmark files: patterns (JSON lines), or a reader and its files.",
                _PATTERNS,
                self.readers(),
            )
        }
        for part in parts:
            self.stage(part)
            properties |= self.definitions.pop(part.name)["properties"]
        return {
            "description": _summary(parts[1]),
            "type": "object",
            "required": ["against"],
            "additionalProperties": False,
            "properties": properties,
        }

    def tokenizer(self) -> Json:
        """The makers, the options of sample and trainer in one mapping, and what judges the result."""
        load, judge = (registry.find("tokenizer", name) for name in ("load_tokenizer", "accept_tokenizer"))
        self.stage(judge)
        judges = self.definitions.pop(judge.name)["properties"]
        return {
            "description": "Train a tokenizer on the documents, or load one; and what it must achieve.",
            "type": "object",
            "additionalProperties": False,
            "properties": {
                **{key: self.trainer(key) for key in TRAINERS},
                "load": _described(_summary(load), {"type": "string"}, self.stage(load)),
                **{key: judges[key] for key in JUDGES},
            },
            "oneOf": [{"required": [key]} for key in MAKERS],
        }

    def long_context(self) -> Json:
        """Phases, and options for all of them beside; every phase names its own length."""
        phase = long_context_section.stage_class()
        reference = self.stage(phase)
        options = self.definitions[phase.name]["properties"]
        length = options.pop(long_context_section.LENGTH)
        options = {name: _or_null(option) for name, option in options.items()}
        self.definitions[phase.name]["properties"] = {long_context_section.LENGTH: length, **options}
        return {
            "description": "Phases of training on longer rows, with positions stretched by YaRN; what is "
            "left out follows from `train`.",
            "type": "object",
            "required": ["phases"],
            "additionalProperties": False,
            "properties": {
                "phases": {
                    "description": "Phases in order, each with longer rows than the one before.",
                    "type": "array",
                    "minItems": 1,
                    "items": reference,
                },
                **options,
            },
        }

    def trainer(self, key: str) -> Json:
        """The options of one trainer, those of its sample included."""
        sample, trainer = sample_and_trainer(key)
        self.stage(sample)
        options = self.definitions.pop(sample.name)["properties"]
        reference = self.stage(trainer)
        self.definitions[trainer.name]["properties"] |= options
        return _described(_summary(trainer), reference, _NULL)


def _stages(room: str, kind: type[Stage]) -> dict[str, type[Stage]]:
    """Stages of a room and of the plugins that are of one kind, by name."""
    found = {name: registry.find(room, name) for name in rooms.names(room)}
    return {n: stage for n, stage in found.items() if issubclass(stage, kind)} | plugins.plugin_stages(kind)


def _definition(stage: type[Stage]) -> str:
    """What the definition of a stage is called; a reader may have the name of a step."""
    step = issubclass(stage, Reader) and stage.name in rooms.names("filters")
    return f"read.{stage.name}" if step else stage.name


def _required(stage: type[Stage]) -> bool:
    return any(field.is_required() for field in stage.model_fields.values())


def _or_null(option: Json) -> Json:
    """An option that null leaves to what other sections say: its own default is not what it then has."""
    rest = {key: value for key, value in option.items() if key not in ("default", "description", "anyOf")}
    choices = option.get("anyOf", [rest])
    return _described(option.get("description", ""), *choices, *([] if _NULL in choices else [_NULL]))


def _described(description: str, *choices: Json) -> Json:
    """What is one of `choices`. One reference stands among them too: the dialect ignores words beside it."""
    words = {"description": description} if description else {}
    return {**words, "anyOf": list(choices)}


def _summary(model: type[Any]) -> str:
    """The first paragraph of the docstring of a stage or section, on one line."""
    return " ".join(inspect.cleandoc(model.__doc__ or "").split("\n\n")[0].split())


def _for_yaml(schema: Any) -> Any:
    """Pydantic's schema without titles, and with quantities such as `4M` allowed for whole numbers."""
    if isinstance(schema, list):
        return [_for_yaml(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    made: Json = {}
    for key, value in schema.items():
        if key == "properties":
            made[key] = {name: _for_yaml(field) for name, field in value.items()}
        elif key in ("default", "enum", "const", "required"):
            made[key] = value
        elif key != "title":  # pydantic's titles repeat the names
            made[key] = _for_yaml(value)
    if "$ref" in made and len(made) > 1:  # the dialect ignores what stands beside a reference
        made["anyOf"] = [{"$ref": made.pop("$ref")}]
    if made.get("type") == "integer":
        number = {key: made.pop(key) for key in list(made) if key not in ("description", "default")}
        made["anyOf"] = [number, {"$ref": "#/definitions/quantity"}]
    return made
