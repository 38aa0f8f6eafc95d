"""Files of child flows are found beside the file that calls them."""

from __future__ import annotations

import json
from pathlib import Path

from flowbuilder.cli.running import with_children
from flowbuilder.client.checking import called_flows
from flowbuilder.settings import Settings


def write(folder: Path, name: str, *children: str, suffix: str = "json") -> Path:
    steps = [
        {"id": f"s{n}", "tool": "flow.run", "args": {"flow": child, "input": {}}}
        for n, child in enumerate(children)
    ]
    file = folder / f"{name}.{suffix}"
    file.write_text(json.dumps({"flow": name, "steps": steps}))
    return file


def test_children_come_before_their_parents(tmp_path: Path) -> None:
    write(tmp_path, "leaf")
    write(tmp_path, "middle", "leaf", suffix="yml")
    top = write(tmp_path, "top", "middle", "leaf", "stored-elsewhere")
    found = [document["flow"] for _, document in with_children(top, Settings())]
    assert found == ["leaf", "middle", "top"]


def test_a_circle_ends(tmp_path: Path) -> None:
    write(tmp_path, "b", "a")
    top = write(tmp_path, "a", "b", "a")
    assert [document["flow"] for _, document in with_children(top, Settings())] == ["b", "a"]


def test_only_plain_names_are_looked_for() -> None:
    document = {
        "steps": [
            {"tool": "flow.run@1", "args": {"flow": "child"}},
            {"tool": "flow.run", "args": {"flow": "${{ input.name }}"}},
            {"tool": "flow.run", "args": {"flow": "../secret"}},
            {"tool": "flow.run", "args": []},
            {"tool": "text.template", "args": {"flow": "x"}},
            "nonsense",
        ]
    }
    assert called_flows(document) == ["child"]
    assert called_flows({"steps": None}) == called_flows([]) == called_flows(0) == []
