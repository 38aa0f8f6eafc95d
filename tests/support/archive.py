"""An archive, a shelf and a wall: tools without bodies, to plan with by scripted models."""

from __future__ import annotations

import json
import uuid
from typing import Any

from pydantic import BaseModel

from flowbuilder.models import ScriptedModel
from flowbuilder.plan import Plan
from flowbuilder.planner.base import PlanRequest
from flowbuilder.planner.eligibility import eligible
from flowbuilder.planner.model import ModelPlanner
from flowbuilder.settings import Settings
from flowbuilder.tools import ToolRegistry, tool


class Leaf(BaseModel):
    """A page of the archive."""

    status: int
    words: str


@tool("archive.open", effects="read")
def open_archive(url: str) -> Leaf:
    """Open a page of the archive."""
    return Leaf(status=200, words=url)


@tool("shelf.read", effects="read")
def read_shelf(path: str) -> str:
    """Read a file from the shelf."""
    return path


@tool("tree.pick")
def pick(document: str, path: str) -> str:
    """Pick a value out of a tree."""
    return document + path


@tool("lines.sort")
def sort_lines(lines: str, column: str) -> str:
    """Sort lines by a column."""
    return lines + column


@tool("tongue.render", effects="read")
def render(text: str, language: str) -> str:
    """Translate a text."""
    return text + language


@tool("shelf.put", effects="write")
def put_shelf(path: str, content: str) -> bool:
    """Put a text on the shelf."""
    return bool(path and content)


@tool("post.mail", effects="external")
def post_mail(to: str, subject: str, body: str) -> bool:
    """Send an e-mail."""
    return bool(to and subject and body)


@tool("wall.pin", effects="external")
def pin(channel: str, message: str) -> bool:
    """Pin a message to a wall."""
    return bool(channel and message)


TOOLS = [open_archive, read_shelf, pick, sort_lines, render, put_shelf, post_mail, pin]
REGISTRY = ToolRegistry(TOOLS)
OWN = {"model_api_base": "http://127.0.0.1:9/v1"}
PAGE = "https://archive.example/tides"


def request(goal: str, **given: Any) -> PlanRequest:
    return PlanRequest(id=str(uuid.uuid4()), goal=goal, **{"registry": REGISTRY, **given})


def names(goal: str, **given: Any) -> set[str]:
    asked = request(goal, **given)
    return {item.name for item in eligible(asked, list(asked.registry))}


def step(number: int, name: str, **arguments: Any) -> dict[str, Any]:
    return {"id": f"s{number}", "tool": name, "args": arguments}


def answer(*steps: dict[str, Any]) -> str:
    return json.dumps({"tasks": list(steps)})


async def run(
    goal: str, *answers: Any, settings: dict[str, Any] | None = None
) -> tuple[Plan, ScriptedModel]:
    model = ScriptedModel(answers)
    planner = ModelPlanner(Settings.load(model="scripted", **(settings or OWN)), model)
    found = [event async for event in planner.stream(request(goal))]
    assert found[-1].plan is not None
    return found[-1].plan, model


def tools_of(plan: Plan) -> list[str]:
    assert plan.flow is not None
    return [item.tool.partition("@")[0] for item in plan.flow.steps]
