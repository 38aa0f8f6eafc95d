"""Small hand-made records in the shapes of public benchmark data, and folders with them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

NESTFUL_SPEC: list[dict[str, Any]] = [
    {
        "name": "Find.Airport",
        "description": "Find an airport",
        "query_parameters": {"town": {"type": "String", "required": True}},
        "output_parameters": {
            "code": {"type": "string"},
            "Run Ways": {"type": "Array", "items": {"type": "object", "properties": {"no": {}}}},
        },
    },
    {
        "name": "Real-Time Fares",
        "description": "Find fares",
        "parameters": {
            "origin": {"type": "string", "required": True},
            "most": {"type": "number", "required": False},
            "sort": {"type": "Enum", "allowed_values": ["price", "time"]},
        },
        "output_parameters": {"fares": {"type": "array"}},
    },
    {
        "name": "Find.Airport",
        "description": "Find an airport, described once more",
        "query_parameters": {"city": {"type": "string", "required": True}},
        "output_parameters": {"code": {"type": "string"}},
    },
]
NESTFUL_GOALS: list[dict[str, Any]] = [
    {
        "input": "Fares from Rome",
        "output": [
            {"name": "Find.Airport", "arguments": {"town": "Rome"}, "label": "var1"},
            {
                "name": "Real-Time Fares",
                "arguments": {
                    "origin": "$var1.code$", "most": 0, "sort": "price",
                },
                "label": "var2",
            },
            {
                "name": "var_result",
                "arguments": {"fares": "$var2$", "runway": "$var1.Run Ways[0].no$"},
            },
        ],
    },
    {
        "input": "Fares from $5, ${{ steps.x }} and $var1$ in words",
        "output": [
            {"name": "Find.Airport", "arguments": {"city": "from $var1.code$ to $10-$20"}},
            {"name": "Nobody's tool!", "arguments": {"a": [None, False, ""]}, "label": "var1"},
            {"name": "Find.Airport", "arguments": {"city": "${{ x"}, "label": "var1", "odd": 1},
        ],
        "extra": {"kept": True},
    },
]  # fmt: skip
SEAL_TOOLS: list[dict[str, Any]] = [
    {
        "api_name": "getHost",
        "api_description": "Who is the host",
        "field": "x",
        "parameters": {"event": {"type": "str", "description": "An event"}},
        "required": ["event"],
        "responses": {"host": {"type": "str"}, "seats": {"type": "int"}},
    },
    {
        "api_name": "get2.5Level",
        "api_description": "A level",
        "parameters": {"who": {"type": "str"}, "count": {"type": "int"}},
        "required": ["who"],
        "responses": {"level": {"type": "float"}},
    },
]
SEAL_GOALS: list[dict[str, Any]] = [
    {
        "id": "dev-1",
        "query": "Who hosts the party, and at which level?",
        "calling": [
            {
                "api": "getHost",
                "parameters": {"event": "party"},
                "responses": ["API_call_0", "API_call_1"],
            },
            {
                "api": "get2.5Level",
                "parameters": {"who": "API_call_0", "count": "API_call_1"},
                "responses": ["API_call_2"],
            },
        ],
    },
    {
        "id": "dev-2",
        "query": "Odd numbers",
        "calling": [
            {"api": "getHost", "parameters": {"event": ""}, "responses": ["API_call_7"]},
            {
                "api": "no such",
                "parameters": {"x": "API_call_7 and API_call_9"},
                "responses": [],
            },
        ],
        "note": 0,
    },
]
MEDIA_TOOLS: list[dict[str, Any]] = [
    {"id": "Image Editing", "desc": "e", "input-type": ["image", "text"], "output-type": ["image"]},
    {"id": "Image-to-Text", "desc": "t", "input-type": ["image"], "output-type": ["text"]},
    {"id": "Talk", "desc": "t", "input-type": ["text"], "output-type": ["Audio"]},
]
MEDIA_GOALS: list[dict[str, Any]] = [
    {
        "id": "1",
        "type": "chain",
        "user_request": "Edit and describe",
        "task_nodes": [
            {"task": "Image-to-Text", "arguments": ["<node-1>"]},
            {"task": "Image Editing", "arguments": ["make it <node-2> loud", "example.jpg"]},
            {"task": "Talk", "arguments": ["hello", "${{ no }}"]},
        ],
        "task_links": [
            {"source": "Talk", "target": "Image Editing"},
            {"source": "Image Editing", "target": "Image-to-Text"},
        ],
    },
    {
        "id": "2",
        "user_request": "Links that say something else",
        "task_nodes": [{"task": "Talk", "arguments": ["x"]}],
        "task_links": [{"source": "Talk", "target": "Talk"}],
    },
]
DAILY_TOOLS: list[dict[str, Any]] = [
    {"id": "buy", "desc": "Buy", "parameters": [{"name": "what", "type": "string", "desc": "w"}]},
    {"id": "cook", "desc": "Cook", "parameters": [{"name": "what", "type": "string"}]},
]
DAILY_GOALS: list[dict[str, Any]] = [
    {
        "id": "1",
        "user_request": "Buy and cook",
        "task_nodes": [
            {"task": "cook", "arguments": [{"name": "what", "value": "soup"}]},
            {"task": "buy", "arguments": [{"name": "what", "value": "leek"}]},
        ],
        "task_links": [{"source": "buy", "target": "cook"}],
    },
]
RECORDED: list[dict[str, Any]] = [
    {
        "id": "1",
        "user_request": "Describe",
        "task_steps": ["Step 1"],
        "task_nodes": [
            {"task": "Image_Editing", "arguments": [{"name": "picture", "value": "<node-0>.out"}]},
            {"task": "Image Editing", "arguments": [{"name": "a.png"}, 1.5, {"else": None}]},
            {"task": "Talk"},
            {"task": "", "arguments": None, "or": ["x"]},
            {"task": "Talk", "arguments": ["<node-7>", "<node_1>", "<node-01>"]},
        ],
        "task_links": [
            {"source": "Image_Editing", "target": "Talk"},
            {"source": "Talk", "targets": ["Talk"]},
            "Talk",
        ],
        "cost_time": 1.25,
    },
    {
        "id": "2",
        "user_request": "Talk, edit, talk",
        "task_nodes": [
            {"task": "Talk", "arguments": ["a"]},
            {"task": "Image Editing", "arguments": ["b.png"]},
            {"task": "Talk", "arguments": ["c"]},
        ],
        "task_links": [
            {"source": "Talk", "target": "Image Editing"},
            {"source": "Image Editing", "target": "Talk"},
        ],
    },
]
ASYNCHOW: list[dict[str, Any]] = [
    {
        "id": "a-1",
        "title": "How to make tea",
        "steps": ["Boil water", "Warm the pot", "Pour ${{ water }}"],
        "edges": [["1", "3"], ["START", "1"], ["2", "3"], ["START", "2"], ["3", "END"]],
        "time_text": {"1": "3 minutes"},
        "time_seconds": {"1": [180, 180], "2": [30, 60.5], "3": [5, 5]},
        "optimal_time_seconds": [185, 185],
        "critical_path": ["START", "1", "3", "END"],
    },
    {
        "id": "a-2",
        "title": "An edge from the start too many",
        "steps": ["a", "b"],
        "edges": [["START", "1"], ["START", "2"], ["1", "2"], ["2", "END"]],
        "time_seconds": {},
    },
]
BFCL_GOALS: list[dict[str, Any]] = [
    {
        "id": "parallel_0",
        "question": [[{"role": "user", "content": "Play both"}]],
        "function": [
            {
                "name": "music.play",
                "description": "Play",
                "parameters": {
                    "type": "dict",
                    "properties": {
                        "artist": {"type": "string", "description": "Who"},
                        "minutes": {"type": "float", "default": 3.0, "optional": True},
                        "span": {
                            "type": "dict",
                            "properties": {"from": {"type": "integer"}, "to": {"type": "any"}},
                        },
                        "tags": {"type": "tuple", "items": {"type": "string"}},
                        "odd": {"type": "any", "required": True, "enum": "a to z"},
                    },
                    "required": ["artist"],
                },
            },
            {"name": "stop it", "parameters": {"type": "dict", "properties": {}}},
        ],
    },
    {
        "id": "parallel_1",
        "question": [
            [{"role": "system", "content": "s"}, {"role": "user", "content": "One"}],
            [{"role": "user", "content": "Two"}],
        ],
        "function": [{"name": "f", "description": "", "parameters": {"type": "dict"}}],
    },
]
BFCL_ANSWERS: list[dict[str, Any]] = [
    {
        "id": "parallel_0",
        "ground_truth": [
            {
                "music.play": {
                    "artist": ["Nina ${{ x }}", "nina"],
                    "minutes": ["", 3, 3.0],
                    "span": [{"from": [0], "to": ["", 7, 8]}],
                    "tags": [[], ["a", "b"]],
                }
            },
            {"music.play": {"artist": ["Ella"], "minutes": [5.0], "odd": [""]}},
            {"stop it": {}},
        ],
    },
    {"id": "parallel_1", "ground_truth": [{"unknown thing": {"x": [False]}}]},
]
IRRELEVANT: list[dict[str, Any]] = [
    {
        "id": "irrelevance_0",
        "question": [[{"role": "user", "content": "Bake"}]],
        "function": BFCL_GOALS[0]["function"],
    }
]


def lines(path: Path, records: list[dict[str, Any]]) -> None:
    """Write records as lines."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(record) + "\n" for record in records))


def write_all(folder: Path) -> dict[str, Path]:
    """Write every format's records below a folder and return where, by format."""
    nested = folder / "nestful" / "part"
    nested.mkdir(parents=True)
    (nested / "part-data.json").write_text(json.dumps(NESTFUL_GOALS))
    (nested / "part-spec.json").write_text(json.dumps(NESTFUL_SPEC))
    lines(folder / "seal-tools" / "tool.jsonl", SEAL_TOOLS)
    lines(folder / "seal-tools" / "dev.jsonl", SEAL_GOALS)
    for domain, tools, goals in (
        ("media", MEDIA_TOOLS, MEDIA_GOALS),
        ("daily", DAILY_TOOLS, DAILY_GOALS),
    ):
        lines(folder / "taskbench" / domain / "gold.jsonl", goals)
        described = json.dumps({"nodes": tools})
        (folder / "taskbench" / domain / "tool_desc.json").write_text(described)
    lines(folder / "recorded-plans" / "media-tiny-1b.jsonl", RECORDED)
    lines(folder / "asynchow" / "async.jsonl", ASYNCHOW)
    lines(folder / "bfcl" / "BFCL_v4_parallel.jsonl", BFCL_GOALS)
    lines(folder / "bfcl" / "possible_answer" / "BFCL_v4_parallel.jsonl", BFCL_ANSWERS)
    lines(folder / "bfcl" / "BFCL_v4_irrelevance.jsonl", IRRELEVANT)
    names = ("nestful", "seal-tools", "taskbench", "recorded-plans", "asynchow", "bfcl")
    return {name: folder / name for name in names}
