"""The JSON Schema of recipes, made from the stages themselves, so that editors complete and check them.

Every property has a description of one line, which editors show: of an option its own, of a stage or a
section the first paragraph of its docstring.

It knows the stages of the rooms and of the plugins registered at the time; the published file has no
plugins. It says no more than a schema can: agreement between sections is left to `load_recipe`.
"""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel
from pydantic_core import to_jsonable_python

from corpusmill.pipelines.contract import plugins, rooms
from corpusmill.pipelines.contract.stage import Stage
from corpusmill.pipelines.recipe import registry
from corpusmill.pipelines.recipe.messages import SLUG
from corpusmill.pipelines.recipe.models import ALLOW_LOSS, Engine, Settings
from corpusmill.pipelines.recipe.quantities import FORMS, PATTERN
from corpusmill.pipelines.recipe.section import Section
from corpusmill.pipelines.recipe.sections import section_classes
from corpusmill.pipelines.sources.reader import Reader
from corpusmill.pipelines.storage.objects.settings import ObjectStorage

Node = dict[str, Any]  # of a JSON Schema

DIALECT = "http://json-schema.org/draft-07/schema#"  # the one that editors' YAML servers know best
PATTERNS = {"$ref": "#/definitions/patterns"}
NULL = {"type": "null"}
PUBLISHED = Path("configs/recipe.schema.json")


def recipe_schema() -> Node:
    """The schema as a JSON-ready mapping, the same for the same code (keys in a fixed order)."""
    schema = Schema()
    properties = schema.fields(Settings)
    properties["engine"] = described(summary(Engine), schema.model(Engine, "engine"))
    properties["storage"] = described(summary(ObjectStorage), schema.model(ObjectStorage, "storage"))
    properties["sources"] = {
        "description": "What to read, by a name of your choice, and what to do with each document.",
        "type": "object",
        "minProperties": 1,
        "propertyNames": {"pattern": SLUG},
        "additionalProperties": schema.source(),
    }
    for section in section_classes():
        if not section.implied:
            properties[section.name] = section.describe(schema)
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


class Schema:
    """What sections describe themselves with; it collects the definitions that the parts refer to."""

    def __init__(self) -> None:
        self.definitions: Node = {
            "quantity": {"type": "string", "pattern": PATTERN, "description": FORMS},
            "patterns": {
                "description": "A glob pattern relative to `data`, or of URLs, or a list of them.",
                "anyOf": [
                    {"type": "string"},
                    {"type": "array", "items": {"type": "string"}, "minItems": 1},
                ],
            },
        }

    def model(self, model: type[Any], name: str) -> Node:
        """A reference to the definition of a pydantic model, made when first asked for."""
        reference = {"$ref": f"#/definitions/{name}"}
        if name in self.definitions:
            return reference
        made = model.model_json_schema(ref_template=f"#/definitions/{name}.{{model}}")
        _with_made_defaults(model, made)
        within = {one.__name__: one for one in _models_within(model)}
        for inner, definition in made.pop("$defs", {}).items():
            if inner in within:
                _with_made_defaults(within[inner], definition)
            self.definitions[f"{name}.{inner}"] = _for_yaml(definition)
        made["description"] = inspect.cleandoc(model.__doc__ or "")
        self.definitions[name] = _for_yaml(made)
        return reference

    def fields(self, model: type[Any]) -> Node:
        self.model(model, "settings")
        made: Node = self.definitions.pop("settings")["properties"]
        return made

    def stage(self, stage: type[Stage]) -> Node:
        return self.model(stage, _definition(stage))

    def options(self, stage: type[Stage]) -> Node:
        """The properties of a stage, for a section that has them among others."""
        self.stage(stage)
        found: Node = self.definitions.pop(_definition(stage))["properties"]
        return found

    def section(self, section: type[Section]) -> Node:
        """A section whose fields are its keys."""
        return described(summary(section), self.model(section, f"section.{section.name}"))

    def section_of(self, stage: type[Stage]) -> Node:
        """A section whose keys are the options of one stage."""
        return described(summary(stage), self.stage(stage))

    def stage_list(self, stages: dict[str, type[Stage]]) -> Node:
        """A list of stage names or one-entry mappings from a name to its options."""
        bare = [name for name, stage in stages.items() if not _required(stage)]
        options = {name: described(summary(stage), self.stage(stage), NULL) for name, stage in stages.items()}
        names_alone = [{"const": name, "description": summary(stages[name])} for name in bare]
        mapping = {
            "type": "object",
            "minProperties": 1,
            "maxProperties": 1,
            "additionalProperties": False,
            "properties": options,
        }
        return {"type": "array", "items": {"anyOf": [*names_alone, mapping]}}

    def source(self) -> Node:
        steps: dict[str, type[Stage]] = {name: registry.find_step(name) for name in registry.step_names()}
        return {
            "type": "object",
            "required": ["read"],
            "additionalProperties": False,
            "properties": {
                "read": described("One reader and the files it reads.", self.readers()),
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
                "keep_texts": {
                    "description": "Write the texts before the first filter too, so that a changed filter "
                    "reads no input again.",
                    "type": "boolean",
                    "default": False,
                },
                "steps": {
                    "description": "What is done to each document, in order.",
                    "default": [],
                    "anyOf": [self.stage_list(steps), {"type": "null"}],
                },
            },
        }

    def readers(self) -> Node:
        """A reference to the mapping from one reader to its files."""
        self.definitions["reader"] = {
            "description": "One reader and the files it reads.",
            "type": "object",
            "minProperties": 1,
            "maxProperties": 1,
            "additionalProperties": False,
            "properties": {
                name: self.reader(stage) for name, stage in stages_of("pipelines", Reader).items()
            },
        }
        return {"$ref": "#/definitions/reader"}

    def reader(self, stage: type[Stage]) -> Node:
        reference = self.stage(stage)
        files = self.definitions[_definition(stage)]["properties"]["files"]
        if "anyOf" not in files:
            files["anyOf"] = [
                {"type": "string"},
                {key: files.pop(key) for key in ("type", "items", "minItems")},
            ]
        return described(summary(stage), PATTERNS, reference)


def stages_of(room: str, kind: type[Stage]) -> dict[str, type[Stage]]:
    """Stages of a room and of the plugins that are of one kind, by name."""
    found = {name: registry.find(room, name) for name in rooms.names(room)}
    return {n: stage for n, stage in found.items() if issubclass(stage, kind)} | plugins.plugin_stages(kind)


def _with_made_defaults(model: type[BaseModel], schema: Node) -> None:
    """Enter the defaults that pydantic leaves out, since they are made anew for each value."""
    for name, field in model.model_fields.items():
        if field.default_factory is not None and (node := schema.get("properties", {}).get(name)) is not None:
            value = field.get_default(call_default_factory=True, validated_data={})
            node.setdefault("default", to_jsonable_python(value))


def _models_within(model: type[BaseModel]) -> set[type[BaseModel]]:
    """The models that the fields of one are made of, however deep."""
    found: set[type[BaseModel]] = set()
    todo: list[Any] = [model]
    while todo:
        one = todo.pop()
        if isinstance(one, type) and issubclass(one, BaseModel):
            if one not in found:
                found.add(one)
                todo += [field.annotation for field in one.model_fields.values()]
        else:
            todo += get_args(one)
    return found


def _definition(stage: type[Stage]) -> str:
    """What the definition of a stage is called; a reader may have the name of a step."""
    step = issubclass(stage, Reader) and stage.name in rooms.names("filters")
    return f"read.{stage.name}" if step else stage.name


def _required(stage: type[Stage]) -> bool:
    return any(field.is_required() for field in stage.model_fields.values())


def or_null(option: Node) -> Node:
    """An option that null, its default, leaves to what other sections say, whatever its own default is."""
    rest = {key: value for key, value in option.items() if key not in ("default", "description", "anyOf")}
    choices = option.get("anyOf", [rest])
    told = described(option.get("description", ""), *choices, *([] if NULL in choices else [NULL]))
    return {**told, "default": None}


def described(description: str, *choices: Node) -> Node:
    """What is one of `choices`. One reference stands among them too: the dialect ignores words beside it."""
    words = {"description": description} if description else {}
    return {**words, "anyOf": list(choices)}


def summary(model: type[Any]) -> str:
    """The first paragraph of the docstring of a stage or section, on one line."""
    return " ".join(inspect.cleandoc(model.__doc__ or "").split("\n\n")[0].split())


def _for_yaml(schema: Any) -> Any:
    """Pydantic's schema without titles, and with quantities such as `4M` allowed for whole numbers."""
    if isinstance(schema, list):
        return [_for_yaml(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    made: Node = {}
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
