from __future__ import annotations

import logging

import pytest

from flowbuilder.errors import (
    Conflict,
    DatabaseError,
    DatabaseUnavailable,
    DefinitionError,
    EmbeddedServerError,
    ExecutionError,
    FlowBuilderError,
    InvalidTransition,
    InvalidValue,
    ModelError,
    ModelTimeout,
    NoFittingTool,
    NotFound,
    PlanningError,
    Problem,
    SettingsError,
    StaleTask,
)
from flowbuilder.executor.readiness import Trouble, schema_trouble
from flowbuilder.settings import Settings
from tests.support.api import BASE, Raising, app_over, http, problem, users_settings

RUN = "5b0f3c5e-8f3a-4d39-9d5e-0f6f1f4b7a11"
SECRET = "postgresql://ada:s3cr3t@db.internal/x"


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (NotFound("no", code="run_not_found"), 404),
        (Conflict("twice"), 409),
        (InvalidTransition("ended"), 409),
        (StaleTask("late"), 409),
        (InvalidValue("bad", pointer="/input/a"), 422),
        (DefinitionError("bad"), 422),
        (PlanningError("bad"), 422),
        (NoFittingTool("bad"), 422),
        (ModelError("down"), 502),
        (ModelTimeout("slow"), 504),
        (DatabaseUnavailable(SECRET), 503),
        (EmbeddedServerError(SECRET), 503),
        (DatabaseError(SECRET), 500),
        (SettingsError(SECRET), 500),
        (ExecutionError("not you", code="approver_not_allowed"), 403),
        (FlowBuilderError("odd"), 500),
    ],
)
async def test_every_error_has_its_status_and_keeps_its_code(
    error: FlowBuilderError, status: int
) -> None:
    async with http(app_over(Raising(error))) as client:
        body = problem(await client.get(f"/api/v1/runs/{RUN}"), status)
    assert body["code"] == error.code
    assert "s3cr3t" not in str(body)


async def test_all_findings_of_a_definition_are_listed_with_their_pointers() -> None:
    error = DefinitionError(
        "two problems",
        problems=[
            Problem(code="tool_unknown", pointer="/steps/0/tool", message="no", hint="try that"),
            Problem(code="cycle", pointer="/steps/1", message="a > b > a"),
        ],
        hint="mend them",
    )
    async with http(app_over(Raising(error))) as client:
        body = problem(await client.get(f"/api/v1/runs/{RUN}"), 422)
    assert [(item["pointer"], item["code"], item["hint"]) for item in body["errors"]] == [
        ("/steps/0/tool", "tool_unknown", "try that"),
        ("/steps/1", "cycle", None),
    ]
    assert body["hint"] == "mend them"


async def test_details_of_a_conflict_never_replace_the_standard_members() -> None:
    error = Conflict(
        "decided",
        code="already_decided",
        details={"status": "approved", "decided_by": "ada", "decided_at": "2026-01-01"},
    )
    async with http(app_over(Raising(error))) as client:
        body = problem(await client.get(f"/api/v1/runs/{RUN}"), 409)
    assert (body["decided_by"], body["decided_at"]) == ("ada", "2026-01-01")
    assert body["details"]["status"] == "approved"


async def test_an_unforeseen_exception_is_logged_and_says_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    app = app_over(Raising(RuntimeError(f"cannot reach {SECRET}; select 1 from tasks")))
    with caplog.at_level(logging.ERROR, logger="flowbuilder.api"):
        async with http(app) as client:
            response = await client.get(f"/api/v1/runs/{RUN}")
    body = problem(response, 500)
    assert body["code"] == "internal_error"
    assert "s3cr3t" not in response.text
    assert "select" not in response.text
    (record,) = caplog.records
    assert body["instance"] in record.getMessage()
    assert record.exc_info is not None


@pytest.mark.parametrize("path", ["/", "/nothing", "/api/v1", "/api/v1/nothing", "/docs", "/redoc"])
async def test_an_unknown_address_is_a_problem(path: str) -> None:
    async with http(app_over(Raising(AssertionError()))) as client:
        found = problem(await client.get(path), 404)
    assert found["code"] == "not_found"
    assert "/openapi.json" in found["hint"]


async def test_a_slash_at_the_end_is_no_redirect_to_the_host_header() -> None:
    app = app_over(Raising(AssertionError()), users_settings(host="0.0.0.0"))
    async with http(app) as client:
        response = await client.get("/api/v1/runs/", headers={"Host": "evil.example"})
    assert "slash" in problem(response, 404)["detail"]
    assert "evil.example" not in response.text


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("PATCH", "/api/v1/flows", "GET, HEAD, POST"),
        ("POST", "/api/v1/flows/x", "DELETE, GET, HEAD, PUT"),
        ("DELETE", f"/api/v1/runs/{RUN}", "GET, HEAD"),
        ("GET", f"/api/v1/runs/{RUN}/cancel", "POST"),
        ("POST", "/healthz", "GET, HEAD"),
        ("OPTIONS", "/api/v1/runs", "GET, HEAD, POST"),
    ],
)
async def test_a_wrong_method_names_all_the_right_ones(method: str, path: str, allow: str) -> None:
    async with http(app_over(Raising(AssertionError()))) as client:
        response = await client.request(method, path)
    assert problem(response, 405)["code"] == "method_not_allowed"
    assert response.headers["allow"] == allow


@pytest.mark.parametrize(
    "run_id", ["1", "x" * 3000, "%00", "%ff", "%ED%A0%80", f"{RUN}%00", "..%2f..", RUN[:-1], "💥"]
)
async def test_what_is_no_uuid_is_not_found(run_id: str) -> None:
    async with http(app_over(Raising(AssertionError("reached the client")))) as client:
        for rest in ("", "/events", "/tasks"):
            response = await client.get(f"{BASE}/api/v1/runs/{run_id}{rest}")
            assert problem(response, 404)["code"] in ("run_not_found", "not_found")


@pytest.mark.parametrize("slug", ["%00", "a%20b", "%ff", "-x", "a" * 81, "a%0A", "a.b"])
async def test_what_is_no_slug_is_not_found(slug: str) -> None:
    async with http(app_over(Raising(AssertionError("reached the client")))) as client:
        response = await client.get(f"{BASE}/api/v1/flows/{slug}")
    assert problem(response, 404)["code"] == "flow_not_found"


@pytest.mark.parametrize(
    ("path", "parameter"),
    [
        ("/runs?limit=0", "limit"),
        ("/runs?limit=201", "limit"),
        ("/runs?limit=x", "limit"),
        ("/runs?limit=1e3", "limit"),
        ("/runs?limit=" + "9" * 5000, "limit"),
        ("/runs?status=%00", "status"),
        ("/runs?flow=%00", "flow"),
        ("/runs?flow=%ED%A0%80", "flow"),
        ("/plans?limit=-1", "limit"),
        ("/approvals?status=maybe", "status"),
        (f"/runs/{RUN}/events?after=-1", "after"),
        (f"/runs/{RUN}/events?after=99999999999999999999", "after"),
        (f"/runs/{RUN}/tasks?limit=NaN", "limit"),
    ],
)
async def test_wrong_parameters_are_named(path: str, parameter: str) -> None:
    async with http(app_over(Raising(AssertionError("reached the client")))) as client:
        body = problem(await client.get(f"/api/v1{path}"), 422)
    assert [item["parameter"] for item in body["errors"]] == [parameter]


@pytest.mark.parametrize("path", ["/runs?cursor=%00", "/runs?cursor=1", "/approvals?run_id=x"])
async def test_ids_in_the_query_are_checked_too(path: str) -> None:
    async with http(app_over(Raising(AssertionError("reached the client")))) as client:
        problem(await client.get(f"/api/v1{path}"), 404)


@pytest.mark.parametrize("path", ["/healthz", "/openapi.json"])
async def test_head_is_get_without_content(path: str) -> None:
    async with http(app_over(Raising(AssertionError("reached the client")))) as client:
        head, get = await client.head(path), await client.get(path)
    assert head.status_code == get.status_code == 200
    assert head.headers["content-length"] == get.headers["content-length"]
    assert head.content == b""


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost", 200),
        ("LOCALHOST:8080", 200),
        ("flows.localhost", 200),
        ("127.0.0.1:1", 200),
        ("[::1]:8080", 200),
        ("testserver", 200),
        ("", 200),
        ("evil.example", 421),
        ("evil.example:8080", 421),
        ("localhost.evil.example", 421),
        ("127.0.0.1.evil.example", 421),
        ("evil.example.", 421),
        ("x/?", 421),
        ("a#b", 421),
        ("localhost:8080@evil.example", 421),
        ("[::1", 421),
    ],
)
async def test_a_local_service_answers_to_local_names(host: str, status: int) -> None:
    raw = {b"Host": host.encode()}
    async with http(app_over(Raising(AssertionError()))) as client:
        response = await client.get("/healthz", headers=raw)
    assert response.status_code == status
    if status != 200:
        assert problem(response, 421)["code"] == "host_not_local"
        public = app_over(Raising(AssertionError()), users_settings(host="0.0.0.0"))
        async with http(public) as client:
            response = await client.get("/healthz", headers=raw)
        # every name is as good as another, but it has to be one
        assert response.status_code == (400 if set(host) & set("/#@[") else 200)


async def test_no_other_origin_is_let_in() -> None:
    headers = {"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"}
    async with http(app_over(Raising(AssertionError()))) as client:
        response = await client.options("/api/v1/runs", headers=headers)
        simple = await client.get("/healthz", headers=headers)
    assert not [name for name in response.headers if name.startswith("access-control")]
    assert not [name for name in simple.headers if name.startswith("access-control")]


async def test_a_schema_that_is_behind_is_not_ready() -> None:
    class Behind:
        settings = Settings()

        async def trouble(self) -> Trouble | None:
            return schema_trouble(["0002_more", "functions/exchange"])

    async with http(app_over(Behind())) as client:
        assert (await client.get("/healthz")).status_code == 200
        body = problem(await client.get("/readyz"), 503)
    assert body["code"] == "schema_behind"
    assert "2 migrations" in body["detail"]
    assert body["hint"] == "Run: flowbuilder migrate"


async def test_health_needs_no_database_and_readiness_does() -> None:
    async with http(app_over(Raising(DatabaseUnavailable(SECRET)))) as client:
        assert (await client.get("/healthz")).json() == {"status": "ok"}
        response = await client.get("/readyz")
    assert problem(response, 503)["code"] == "database_unavailable"
    assert response.headers["retry-after"] == "1"
