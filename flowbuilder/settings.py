"""One frozen `Settings`, read from `FLOWBUILDER_*` once, at the composition root.

No other module reads the environment.
"""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Annotated

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from flowbuilder.budget import Budget
from flowbuilder.errors import InvalidValue, SettingsError
from flowbuilder.flow import Duration
from flowbuilder.limits import RATE_PATTERN, Quotas, Rate


class Settings(BaseSettings):
    """Everything that can be set. Every name is also the environment variable's, upper case."""

    model_config = SettingsConfigDict(
        env_prefix="FLOWBUILDER_", frozen=True, extra="ignore", use_attribute_docstrings=True
    )

    # -- database ---------------------------------------------------------------------------
    database_url: SecretStr | None = None
    """DSN of an existing PostgreSQL; without it an embedded server is started."""
    database_direct_url: SecretStr | None = None
    """DSN of the same database past a pooler in transaction mode, for what needs a session: to hear
    of work at once, and to be seen dead within two seconds. Without it there is polling and the
    lease."""
    data_dir: Path = Path(".flowbuilder")
    """Where the embedded server, fetched models and the workspace folder live."""
    database_start_timeout: Duration = timedelta(seconds=120)
    """How long the embedded server may take to start."""
    pool_size: int = Field(default=8, ge=2, le=200)
    """Connections of one process; a service with users has a second pool of this size, and a
    worker two connections of its own."""

    # -- worker -----------------------------------------------------------------------------
    concurrency: int = Field(default=16, ge=1, le=1000)
    """How many tasks one worker runs at once."""
    lease: Duration = timedelta(seconds=15)
    """How long a worker holds a task without extending it."""
    poll_interval: Duration = timedelta(seconds=1)
    """The fallback when a notification is lost."""
    shutdown_grace: Duration = timedelta(seconds=20)
    """How long running handlers may go on after a stop signal."""
    run_timeout: Duration = timedelta(days=7)
    """The deadline of a run that names none."""
    run_budget: str | None = None
    """What a run may cost that says nothing else, such as `tokens=200000,usd=1.5,steps=500`: bounds
    of tokens, usd, seconds, steps and replans, of each run with its children and retries."""
    replan: bool = False
    """Whether a run that says nothing else is planned anew where a step of it fails for good."""
    max_replans: int = Field(default=3, ge=0, le=20)
    """How often that may be in one run."""
    replan_timeout: Duration = timedelta(minutes=10)
    """How long a failed step waits for a new plan; then the run fails with the step's error."""
    event_life: Duration = timedelta(days=7)
    """How long an emitted event is kept for waits that begin later."""
    max_claims: int = Field(default=10, ge=1, le=1000)
    """A task claimed this often without an outcome kills its workers: it fails as poison."""

    hold_cpu: float | None = Field(default=None, gt=0, le=1)
    """A worker takes nothing while the processors that it may use are busier than this share, and
    until they are less busy than nine tenths of it. Not set: whatever they do."""
    hold_memory: float | None = Field(default=None, gt=0, le=1)
    """The same for the share of memory in use, of the host or of the worker's container."""
    schedules: bool = True
    """Whether this process's worker fires schedules. `flowbuilder triggers hold` keeps back
    all of them, whoever would fire."""

    # -- bounds (invariant I12) -------------------------------------------------------------
    max_steps: int = Field(default=1000, ge=1, le=10_000)
    """Of one flow."""
    max_elements: int = Field(default=100_000, ge=1, le=1_000_000)
    """Of one mapped step; a run keeps the bounds that were set where it was started."""
    max_tasks: int = Field(default=200_000, ge=1, le=10_000_000)
    """Of one run, all its steps together."""
    max_open_runs: int = Field(default=100_000, ge=1, le=10_000_000)
    """Of one workspace; a start beyond it is refused."""
    max_json_depth: int = Field(default=32, ge=4, le=200)
    """Levels of any JSON value."""
    max_value_bytes: int = Field(default=1_048_576, ge=1024, le=67_108_864)
    """Of any JSON value: an input, an output, an argument."""

    # -- policy -----------------------------------------------------------------------------
    policy_file: Path | None = None
    """A policy (`policy.v1`, YAML or JSON) that no workspace and no plan can lower. Planners and
    workers read it where they start."""

    # -- tools ------------------------------------------------------------------------------
    tools: Annotated[list[str], NoDecode] = Field(default_factory=list)
    """Modules with `@tool` functions, comma separated."""
    workspace_dir: Path = Path(".")
    """The folder that `file.read` and `file.write` are confined to; of workspaces other than the
    default one, a folder each in `.workspaces` there."""
    http_allow_private: bool = False
    """Let `http.request` reach private, loopback and link-local addresses."""
    http_timeout: Duration = timedelta(seconds=30)
    """Limit of one request that a tool makes."""
    http_max_bytes: int = Field(default=5_242_880, ge=1024)
    """Of an answer that a tool reads; longer ones are cut off."""

    # -- secrets and tools from elsewhere ------------------------------------------------------
    secret_key: SecretStr | None = None
    """Master key of the stored secrets: 32 random bytes in base64. Several, with commas between
    them, while it is changed; the first one seals."""
    secret_key_file: Path | None = None
    """A file with a master key a line; with the embedded database `secret-keys` in `data_dir`."""
    connections: Path | None = None
    """The operator's file of tools from elsewhere: MCP servers, OpenAPI documents, databases,
    e-mail, Slack, object stores, other managers of secrets."""

    # -- model ------------------------------------------------------------------------------
    model: str | None = None
    """Any name that litellm knows, e.g. `openai/gpt-5-mini`, `ollama_chat/qwen3`, or
    `openai/<name>` with `model_api_base` for any OpenAI-compatible server."""
    model_api_base: str | None = None
    """Address of an OpenAI-compatible server of one's own."""
    model_api_key: SecretStr | None = None
    """Handed to litellm; without it litellm reads the provider's own variable."""
    model_timeout: Duration = timedelta(seconds=120)
    """Limit of one model call, streaming included."""
    model_retries: int = Field(default=2, ge=0, le=10)
    """Further tries after a rate limit, a server error or a broken connection."""
    model_mode: str = Field(default="auto", pattern="^(auto|json_schema|tools|json)$")
    """How a model is asked for JSON; `auto` takes what it is known to be able to."""
    model_max_tokens: int = Field(default=4096, ge=64, le=200_000)
    """Length of an answer."""
    plan_repairs: int = Field(default=2, ge=0, le=5)
    """Rounds in which the model sees the problems of its plan. A model on a server of one's own
    (`model_api_base`) writes the whole plan again each time; others mend it by patch, twice at
    most."""
    plan_timeout: Duration = timedelta(minutes=5)
    """How long a model may take to write a plan, whatever its calls are allowed."""
    plan_max_bytes: int = Field(default=1_048_576, ge=1024, le=67_108_864)
    """Of one answer of a model that plans; `max_steps` bounds its steps."""
    memory: bool = True
    """Whether finished runs of plans teach: off, nothing is noted, learnt or recalled."""
    memory_examples: int = Field(default=2, ge=0, le=10)
    """Earlier plans for similar goals that a model is shown."""
    memory_ranking: bool = False
    """Whether tools of finished plans weigh in when those that fit a goal are looked for, as after
    this the same goal may get another plan once other runs have ended."""
    memory_size: int = Field(default=10_000, ge=1, le=1_000_000)
    """Runs of a workspace that are remembered; the oldest are forgotten first."""
    plan_split: int = Field(default=20, ge=2, le=1000)
    """A goal of more parts than this is planned as several flows that one flow calls."""
    plan_subgoals: int = Field(default=12, ge=2, le=100)
    """Flows that one flow of such a plan may call; more are refused (`too_many_subgoals`)."""
    plan_flows: int = Field(default=60, ge=2, le=1000)
    """Flows that all levels of such a plan have together."""
    plan_depth: int = Field(default=2, ge=1, le=8)
    """Levels of flows in a plan; 1 keeps every plan in one flow."""

    # -- service ----------------------------------------------------------------------------
    host: str = "127.0.0.1"
    """Address that the service listens on."""
    port: int = Field(default=8080, ge=0, le=65535)
    """Port that the service listens on; 0 takes any free one."""
    max_body_bytes: int = Field(default=4_194_304, ge=1024)
    """Of a request's body."""
    public_url: str | None = Field(default=None, pattern=r"^https?://[^\s/?#@]+(/[^\s?#]*)?$")
    """Where people reach the service, such as https://flows.example.org: what links in mails begin
    with. Without it, mails have no links."""
    allowed_hosts: Annotated[list[str], NoDecode] = Field(default_factory=list)
    """Names that the service answers to, comma separated; `*.example.org` for all below one. By
    default any, or local ones only where nobody logs in."""
    trusted_proxies: Annotated[list[str], NoDecode] = Field(default_factory=list)
    """Addresses of reverse proxies whose X-Forwarded-For is believed."""

    rate_limits: str = Field(default="auto", pattern="^(auto|on|off)$")
    """Whether requests are limited as follows. `auto`: where users log in."""
    rate_addresses: str = Field(default="2000/s", pattern=RATE_PATTERN)
    """Requests of one address, whoever they are of; each process counts by itself."""
    rate_requests: str = Field(default="1000/s", pattern=RATE_PATTERN)
    """Requests of one key or user; each process counts by itself."""
    rate_starts: str = Field(default="500/s", pattern=RATE_PATTERN)
    """Starts of runs by one key or user, all processes together."""
    rate_plans: str = Field(default="300/1m", pattern=RATE_PATTERN)
    """Plans and edits by words of one key or user, all processes together."""
    rate_triggers: str = Field(default="6000/1m", pattern=RATE_PATTERN)
    """Events emitted by one key or user, and calls of one webhook, all processes together."""
    planning_at_once: int = Field(default=8, ge=1, le=1000)
    """Plans that one process of the service makes at once; more are told to come again."""
    workspace_quotas: str | None = None
    """What a workspace may use that is made from now on, such as
    `runs_per_day=1000,plans_per_hour=50`; also stored_bytes and events_kept. Not set: as much as it
    likes."""
    # -- event streams ----------------------------------------------------------------------
    max_streams: int = Field(default=2000, ge=1, le=100_000)
    """Event streams that one process holds open at once."""
    max_streams_of_workspace: int = Field(default=1000, ge=1, le=100_000)
    """Of one workspace, in one process."""
    max_streams_of_user: int = Field(default=500, ge=1, le=100_000)
    """Of one user, in one process."""
    stream_heartbeat: Duration = timedelta(seconds=15)
    """A stream on which nothing happens says so this often, so that proxies keep it open."""
    stream_patience: Duration = timedelta(seconds=15)
    """A reader who takes nothing for so long is dropped; it may come back and go on."""
    shutdown_notice: Duration = timedelta(seconds=1)
    """How long a service goes on after SIGTERM and says that it is not ready, so that whoever
    distributes requests sends them elsewhere. Part of `shutdown_grace`."""

    # -- users ------------------------------------------------------------------------------
    auth: str = Field(default="auto", pattern="^(auto|local|users)$")
    """Who may call the service. `users`: whoever logs in or has a key. `local`: whoever is on this
    machine, on a loopback address only. `auto`: local with the embedded server on a loopback
    address, else users."""
    auth_secret: SecretStr | None = None
    """Signs access tokens: at least 32 random bytes, the same for all processes."""
    auth_secret_file: Path | None = None
    """A file that holds it instead."""
    auth_secret_before: SecretStr | None = None
    """The secret before this one, while tokens that it has signed still count."""
    access_token_life: Duration = timedelta(minutes=10)
    """How long an access token counts."""
    refresh_token_life: Duration = timedelta(days=7)
    """How long a refresh token counts that is not used."""
    session_life: Duration = timedelta(days=30)
    """After so long one has to log in anew."""
    invitation_life: Duration = timedelta(days=2)
    """How long the one-time link of a new user counts."""

    # -- operations -------------------------------------------------------------------------
    log_level: str = Field(default="warning", pattern="^(debug|info|warning|error)$")
    """How much is told of: of libraries the warnings in any case. Requests are told of from `info`
    on."""
    log_format: str = Field(default="text", pattern="^(text|json)$")
    """`json`: one JSON object a line; `text`: for people. Secrets are left out of either."""
    log_stream: str = Field(default="stderr", pattern="^(stderr|stdout)$")
    """Where log lines of `serve` and `worker` go."""
    metrics_host: str = "127.0.0.1"
    """Address of the port for metrics and probes: nobody has to log in there."""
    metrics_port: int | None = Field(default=None, ge=0, le=65535)
    """A port of its own for `/metrics`, `/healthz` and `/readyz`, of a service or a worker."""
    metrics_token: SecretStr | None = Field(default=None, min_length=16)
    """Opens `/metrics` on the service's own port to whoever sends it as a bearer token."""
    tracing: str = Field(default="off", pattern="^(off|on|console|otlp)$")
    """OpenTelemetry: `on` takes the provider that the program has set up, `otlp` sends spans to a
    collector as the variables `OTEL_EXPORTER_OTLP_…` say, `console` writes them to standard
    error."""
    trace_content: bool = False
    """Let spans hold prompts, arguments and results, without secrets and cut."""
    trace_follow: bool = False
    """Go on with the `traceparent` of requests by who is logged in. Otherwise, and always for
    public routes, a request begins a trace of its own that links to it."""
    audit_life: Duration = timedelta(days=400)
    """How long lines of the log of who did what are kept."""
    session_keep: Duration = timedelta(days=30)
    """How long log-ins are kept that are over."""

    @field_validator("tools", "allowed_hosts", "trusted_proxies", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        if isinstance(value, str):
            return [part.strip() for part in value.split(",") if part.strip()]
        return value

    @field_validator(
        "rate_addresses", "rate_requests", "rate_starts", "rate_plans", "rate_triggers"
    )
    @classmethod
    def _rate(cls, value: str) -> str:
        Rate.read(value)  # its span, too, has bounds
        return value

    @field_validator("workspace_quotas")
    @classmethod
    def _quotas(cls, value: str | None) -> str | None:
        Quotas.read(value)
        return value or None

    @field_validator("run_budget")
    @classmethod
    def _bounds(cls, value: str | None) -> str | None:
        try:
            Budget.read(value or None)
        except InvalidValue as error:
            raise ValueError(f"{error.message}. {error.hint or ''}".strip()) from None
        return value or None

    @field_validator(
        "database_url",
        "database_direct_url",
        "auth_secret",
        "public_url",
        "metrics_token",
        "metrics_port",
        mode="before",
    )
    @classmethod
    def _nothing(cls, value: object) -> object:
        # compose files and shells set what they do not know to an empty text
        return None if isinstance(value, str) and not value.strip() else value

    @classmethod
    def load(cls, **overrides: object) -> Settings:
        """Read the environment; keyword arguments that are not None win.

        Raises:
            SettingsError: A value is wrong; the message names the variable.
        """
        given = {name: value for name, value in overrides.items() if value is not None}
        try:
            return cls(**given)  # type: ignore[arg-type]
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            name = "FLOWBUILDER_" + "_".join(str(part) for part in first["loc"]).upper()
            raise SettingsError(f"{name}: {first['msg']}") from None
