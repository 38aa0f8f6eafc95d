"""Writing suites: YAML that an editor can check, or JSON."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import yaml

from flowbuilder.errors import InvalidValue
from flowbuilder.evals.dataset import SCHEMA_NAME, Dataset, dataset_json_schema
from flowbuilder.types import JsonObject

#: The first line of a suite in YAML: editors find the schema by it.
SCHEMA_LINE = f"# yaml-language-server: $schema={SCHEMA_NAME}\n"
#: Texts that need no quotes: no reader of YAML takes them for anything else.
_WORDS = re.compile(r"[A-Za-z][A-Za-z0-9_]*(?:[ ./-][A-Za-z0-9_]+)*")
_SPECIAL = re.compile(r"(?i)(?:y|n|yes|no|on|off|true|false|null|nan|inf|infinity|\d.*)", re.DOTALL)


def write_suite(dataset: Dataset, path: Path) -> None:
    """Write a suite to a file, by the suffix of its name; the schema is put beside a YAML file.

    Raises:
        InvalidValue: The name ends with neither .yaml, .yml nor .json (suite_suffix).
        OSError: The file cannot be written.
    """
    document = suite_document(dataset)
    suffix = path.suffix.lower()
    if suffix == ".json":
        path.write_text(json.dumps(document, ensure_ascii=False, indent=1) + "\n", "utf-8")
    elif suffix in (".yaml", ".yml"):
        path.write_text(SCHEMA_LINE + to_yaml(document), "utf-8")
        path.with_name(SCHEMA_NAME).write_text(schema_text(), "utf-8")
    else:
        raise InvalidValue(
            f"{path.name} is neither YAML nor JSON",
            code="suite_suffix",
            hint="Call the file something.yaml or something.json.",
        )


def suite_document(dataset: Dataset) -> JsonObject:
    """Return a suite as JSON, without what is empty or was never given."""
    document: JsonObject = dataset.model_dump(mode="json", exclude_unset=True)
    cases = document["cases"]
    assert isinstance(cases, list)
    document["cases"] = [
        {key: part for key, part in case.items() if part not in ([], {}, None)}
        for case in cases
        if isinstance(case, dict)
    ]
    return {key: part for key, part in document.items() if part not in ([], {}, "")}


def schema_text() -> str:
    """Return the JSON Schema of suite files as it is shipped and written beside them."""
    return json.dumps(dataset_json_schema(), ensure_ascii=False, indent=2) + "\n"


def to_yaml(document: JsonObject) -> str:
    """Return JSON as YAML that says the same to every reader of YAML."""
    return str(
        yaml.dump(
            document, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100, indent=2
        )
    )


class _Dumper(getattr(yaml, "CSafeDumper", yaml.SafeDumper)):  # type: ignore[misc]
    """Writes no anchors, and texts in quotes wherever they could be taken for something else."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _text(dumper: Any, text: str) -> Any:
    plain = _WORDS.fullmatch(text) and not _SPECIAL.fullmatch(text)
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=None if plain else '"')


_Dumper.add_representer(str, _text)
