"""flowbuilder as an MCP server, called by the reference client of the SDK."""

from __future__ import annotations

import asyncio
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
import uvicorn
from mcp import Client, StdioServerParameters

from flowbuilder import FlowBuilder, __version__
from flowbuilder.api.mcp import mcp_application, mcp_server
from tests.support.waiting import eventually

WAIT = 60.0
TEMPLATE = {"template": "hi {{ n }}", "values": {"n": "${{ input.name }}"}}
GREETING = {
    "flow": "greeting",
    "description": "Greets somebody.",
    "input": {
        "type": "object",
        "properties": {"name": {"type": "string"}},
        "required": ["name"],
    },
    "steps": [{"id": "say", "tool": "text.template", "args": TEMPLATE}],
    "output": "${{ steps.say }}",
}
ASKING = {
    "flow": "asking",
    "steps": [{"id": "ask", "tool": "human.approve", "args": {"message": "May I?"}}],
}
TOOLS = {"list_flows", "plan_flow", "run_flow", "get_run", "get_result", "cancel_run"}


@pytest.fixture
async def fb(dsn: str) -> AsyncIterator[FlowBuilder]:
    async with FlowBuilder.connect(dsn, worker=True) as opened:
        await opened.save_flow(GREETING)
        await opened.save_flow(ASKING)
        yield opened


async def call(client: Client, name: str, /, **args: Any) -> Any:
    answer = await client.call_tool(name, args)
    assert not answer.is_error, answer.content
    return answer.structured_content


async def refused(client: Client, name: str, /, **args: Any) -> str:
    answer = await client.call_tool(name, args)
    assert answer.is_error
    text = str(getattr(answer.content[0], "text", ""))
    assert "Traceback" not in text
    assert "psycopg" not in text
    return text


async def ask_everything(client: Client, fb: FlowBuilder) -> None:
    tools = {tool.name: tool for tool in (await client.list_tools()).tools}
    assert set(tools) == TOOLS
    assert client.server_info is not None and client.server_info.version == __version__
    assert not [name for name in tools if "approve" in name or "decide" in name]
    for tool in tools.values():
        assert tool.description
        assert tool.output_schema
    assert tools["run_flow"].annotations is not None
    assert tools["run_flow"].annotations.read_only_hint is False
    flows = (await call(client, "list_flows"))["flows"]
    assert [item["flow"] for item in flows] == ["asking", "greeting"]
    assert flows[1]["input_schema"]["required"] == ["name"]
    started = await call(
        client, "run_flow", flow="greeting", input={"name": "Ada"}, idempotency_key="k"
    )
    again = await call(
        client, "run_flow", flow="greeting", input={"name": "Ada"}, idempotency_key="k"
    )
    assert again["run_id"] == started["run_id"]
    result = await call(client, "get_result", run_id=started["run_id"], wait_seconds=WAIT)
    assert (result["status"], result["finished"], result["error"]) == ("completed", True, None)
    assert "Ada" in str(result["output"])
    for name, args, code in (
        ("run_flow", {"flow": "greeting", "input": {}}, "input_invalid"),
        ("run_flow", {"flow": "none"}, "flow_not_found"),
        ("run_flow", {}, "run_subject"),
        ("get_run", {"run_id": "x"}, "run_not_found"),
        ("get_result", {"run_id": "x", "wait_seconds": 1}, "run_not_found"),
        ("cancel_run", {"run_id": started["run_id"]}, "invalid"),
    ):
        assert code in await refused(client, name, **args)


async def test_the_reference_client_does_everything(fb: FlowBuilder) -> None:
    for mode in ("auto", "legacy"):
        async with Client(mcp_server(fb), mode=mode) as client:
            await ask_everything(client, fb)


async def test_approvals_stay_with_people(fb: FlowBuilder) -> None:
    async with Client(mcp_server(fb)) as client:
        run = await call(client, "run_flow", flow="asking")

        async def asked() -> bool:
            return bool((await call(client, "get_run", run_id=run["run_id"]))["waiting_for"])

        await eventually(asked)
        found = await call(client, "get_run", run_id=run["run_id"])
        assert found["status"] == "running"
        assert found["waiting_for"][0]["message"] == "May I?"
        assert found["why"]
        unfinished = await call(client, "get_result", run_id=run["run_id"], wait_seconds=0.05)
        assert (unfinished["finished"], unfinished["output"]) == (False, None)
        approval = found["waiting_for"][0]["approval_id"]
        for name in ("approve", "decide", "approve_run"):
            answer = await client.call_tool(name, {"approval_id": approval})
            assert answer.is_error
        assert (await fb.approvals())[0].id == approval
        cancelled = await call(client, "cancel_run", run_id=run["run_id"], reason="enough")
        assert cancelled["status"] == "cancelled"
        assert (await fb.approvals()) == []


async def test_goals_become_plans_and_only_certain_ones_run(fb: FlowBuilder) -> None:
    async with Client(mcp_server(fb)) as client:
        plan = await call(client, "plan_flow", goal='write "hello" to the file hello.txt')
        assert plan["valid"], plan
        assert plan["steps"][0]["tool"] == "file.write"
        assert plan["approvals"] == 1
        run = await call(client, "run_flow", plan_id=plan["plan_id"])
        assert run["flow"]
        await call(client, "cancel_run", run_id=run["run_id"])
        open_plan = await call(client, "plan_flow", goal="fetch the page and count its words")
        assert not (open_plan["valid"] and open_plan["certain"])
        told = await refused(client, "run_flow", plan_id=open_plan["plan_id"])
        assert "plan_needs_person" in told


async def test_it_speaks_over_standard_input_and_output(dsn: str, fb: FlowBuilder) -> None:
    server = StdioServerParameters(
        command=sys.executable, args=["-m", "flowbuilder.cli", "--database-url", dsn, "mcp"]
    )
    async with Client(server) as client:
        await ask_everything(client, fb)


@asynccontextmanager
async def served(fb: FlowBuilder) -> AsyncIterator[str]:
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    host = f"127.0.0.1:{listener.getsockname()[1]}"
    app = mcp_application(fb, hosts=[host])
    running = uvicorn.Server(uvicorn.Config(app, log_level="error", lifespan="on"))
    task = asyncio.create_task(running.serve(sockets=[listener]))
    await eventually(lambda: running.started)
    try:
        yield f"http://{host}/mcp"
    finally:
        running.should_exit = True
        await task
        listener.close()


async def test_it_speaks_over_http_and_only_as_itself(fb: FlowBuilder) -> None:
    async with served(fb) as url:
        async with Client(url) as client:
            await ask_everything(client, fb)
        ping = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
        accept = {"Accept": "application/json, text/event-stream"}
        async with httpx.AsyncClient() as raw:
            for odd in ({"Host": "evil.example"}, {"Origin": "https://evil.example"}):
                answer = await raw.post(url, json=ping, headers={**accept, **odd})
                assert answer.status_code in (403, 421), odd
