"""Tasks with arguments and attempts, and large values by reference, over HTTP."""

from __future__ import annotations

from typing import Any

import httpx

from flowbuilder.api.values import LARGE_BYTES
from flowbuilder.tools import ToolRegistry, tool
from tests.support.api import app_over, connect, ended, http, problem, registry, service

LARGE = "x" * (LARGE_BYTES + 1)


async def start(client: httpx.AsyncClient, document: Any, input: Any) -> str:
    made = await client.post("/api/v1/runs", json={"document": document, "input": input})
    assert made.status_code == 201, made.text
    await ended(client, made.json()["id"])
    return str(made.json()["id"])


async def test_a_task_has_its_arguments_and_attempts(dsn: str) -> None:
    tried: list[int] = []

    @tool("test.shaky")
    def shaky(value: Any, place: int) -> Any:
        """Fail the first time."""
        tried.append(place)
        if tried.count(place) == 1:
            raise RuntimeError("not yet")
        return value

    document = {
        "flow": "shaking",
        "steps": [
            {"id": "echo", "tool": "test.echo", "args": {"value": "${{ input.items }}"}},
            {
                "id": "shake",
                "tool": "test.shaky",
                "for_each": "${{ steps.echo }}",
                "retry": {"max_attempts": 2, "base_delay": 0},
                "args": {"value": "${{ item }}", "place": "${{ index }}"},
            },
        ],
    }
    opened = connect(dsn, worker=True)
    opened._given_registry = ToolRegistry([*registry(), shaky])
    async with opened as builder, http(app_over(builder)) as client:
        run = await start(client, document, {"items": [0, False, "", None]})
        tasks = (await client.get(f"/api/v1/runs/{run}/tasks")).json()["items"]
        for task, value in zip(
            [task for task in tasks if task["step_id"] == "shake" and task["index"] is not None],
            [0, False, "", None],
            strict=True,
        ):
            path = f"/api/v1/runs/{run}/tasks/{task['id']}"
            detail = (await client.get(path)).json()
            assert detail["input"] == {"value": value, "place": task["index"]}
            assert detail["item"] == value
            assert detail["output"] == value
            assert [one["status"] for one in detail["attempts"]] == ["failed", "completed"]
            assert [one["attempt"] for one in detail["attempts"]] == [1, 2]
            assert detail["attempts"][0]["error"]["message"] == "RuntimeError: not yet"
            got = await client.get(f"/api/v1/runs/{run}/values/tasks.{task['id']}")
            assert got.json() == value
        other = await start(client, {"flow": "o", "steps": [document["steps"][0]]}, {"items": []})
        foreign = await client.get(f"/api/v1/runs/{other}/tasks/{tasks[0]['id']}")
        assert problem(foreign, 404)["code"] == "task_not_found"
        for wrong in ("0", "1.0", "+1", "9223372036854775808", "%EF%BC%91"):
            answer = await client.get(f"/api/v1/runs/{run}/tasks/{wrong}")
            assert problem(answer, 422)["code"] == "parameter_invalid"


async def test_large_values_are_got_by_reference(dsn: str) -> None:
    document = {
        "flow": "large",
        "steps": [{"id": "echo", "tool": "test.echo", "args": {"value": "${{ input.value }}"}}],
        "output": ["${{ steps.echo }}"],
    }
    async with service(dsn, worker=True) as client:
        run = await start(client, document, {"value": LARGE})
        base = f"/api/v1/runs/{run}"
        (listed,) = (await client.get("/api/v1/runs")).json()["items"]
        assert (listed["input"], listed["output"]) == (None, None)
        assert listed["by_reference"] == {
            "input": f"{base}/values/input",
            "output": f"{base}/values/output",
        }
        shown = (await client.get(base)).json()
        assert shown["output"] == [LARGE]
        assert shown["by_reference"] == {}
        (step,) = shown["steps"]
        assert step["by_reference"] == {"output": f"{base}/values/steps.echo"}
        references = [*listed["by_reference"].values(), *step["by_reference"].values()]
        values = [(await client.get(one)).json() for one in references]
        assert values == [{"value": LARGE}, [LARGE], LARGE]
        for task in (await client.get(f"{base}/tasks")).json()["items"]:
            value = (await client.get(task["by_reference"]["output"])).json()
            assert value in (LARGE, [LARGE])
        first = await client.get(f"{base}/values/input")
        again = {"If-None-Match": first.headers["etag"]}
        assert (await client.get(f"{base}/values/input", headers=again)).status_code == 304
        for name, status in (("steps.none", 404), ("tasks.1_0", 422), ("x", 422), ("steps.", 422)):
            answer = await client.get(f"{base}/values/{name}")
            problem(answer, status)
