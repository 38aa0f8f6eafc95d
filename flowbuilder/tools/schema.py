"""From a function's type hints to JSON Schemas, and from JSON arguments to Python values.

`describe_function` reads a signature once, when a tool is declared, and refuses what could not be
called with JSON. The result turns validated JSON arguments into what the parameters are typed as
(models, dataclasses, enums, dates, paths) and return values back into JSON.
"""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, create_model
from pydantic.errors import PydanticInvalidForJsonSchema, PydanticSchemaGenerationError
from pydantic.errors import PydanticUserError as UserError
from pydantic.fields import FieldInfo
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaWarningKind
from pydantic_core import PydanticSerializationError

from flowbuilder.errors import DefinitionError, InvalidValue
from flowbuilder.schemapaths import subschemas
from flowbuilder.tools.docstrings import parameter_texts, summary_of
from flowbuilder.tools.typeddicts import readable
from flowbuilder.types import JsonObject, JsonSchema, JsonValue

#: NaN stays NaN in a dump, so that the gate behind it sees and refuses it.
_KEEP_NAN = ConfigDict(ser_json_inf_nan="constants")
_ANYTHING: TypeAdapter[Any] = TypeAdapter(Any, config=_KEEP_NAN)
_UNREADABLE = (UserError, PydanticSchemaGenerationError, TypeError, RecursionError)


class _SchemaWriter(GenerateJsonSchema):
    """Writes schemas without generated titles; a default that is no JSON is an error."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False

    def emit_warning(self, kind: JsonSchemaWarningKind, detail: str) -> None:
        raise PydanticInvalidForJsonSchema(detail)


@dataclass(frozen=True, kw_only=True, slots=True)
class Parameter:
    """One argument of a tool's function."""

    name: str
    field: str
    """The field's name in the arguments model; the parameter's own name is its alias."""
    positional_only: bool
    default: Any = inspect.Parameter.empty


@dataclass(frozen=True, kw_only=True)
class Signature:
    """What `describe_function` found out about one function."""

    summary: str
    input_schema: JsonSchema
    output_schema: JsonSchema
    parameters: tuple[Parameter, ...]
    context: str | None
    """The name of the parameter that takes the Context."""
    context_positional: bool
    model: type[BaseModel]
    output: TypeAdapter[Any]

    def coerce(self, args: JsonObject, context: object) -> tuple[list[Any], dict[str, Any]]:
        """Turn JSON arguments into the positional and keyword values of the function.

        Raises:
            InvalidValue: An argument does not fit its type; the pointer names it.
        """
        try:
            values = self.model.model_validate(args)
        except ValidationError as error:
            first = error.errors(include_url=False, include_context=False)[0]
            raise InvalidValue(
                first["msg"], pointer=pointer_to(first["loc"]), code="argument_invalid"
            ) from None
        given = values.model_fields_set
        positional: list[Any] = [context] if self.context_positional else []
        named: dict[str, Any] = {}
        for parameter in self.parameters:
            value = getattr(values, parameter.field)
            if parameter.positional_only:
                positional.append(value if parameter.field in given else parameter.default)
            elif parameter.field in given:
                named[parameter.name] = value
        if self.context is not None and not self.context_positional:
            named[self.context] = context
        return positional, named


def pointer_to(path: typing.Iterable[str | int]) -> str:
    """Return the RFC 6901 pointer of a path of keys and indices."""
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in path)


def to_json(value: Any, adapter: TypeAdapter[Any] | None = None) -> Any:
    """Return a Python value as plain JSON values: models, dataclasses, tuples, dates and so on.

    Raises:
        InvalidValue: Something in it has no JSON form.
    """
    try:
        return (adapter or _ANYTHING).dump_python(value, mode="json", by_alias=True, warnings=False)
    except (PydanticSerializationError, ValueError, TypeError, RecursionError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InvalidValue(f"the result is no JSON: {reason}", code="output_invalid") from None


def describe_function(
    function: Callable[..., Any],
    *,
    context_type: type,
    wait_type: type,
    local_names: Mapping[str, Any],
    untyped: bool = False,
) -> Signature:
    """Read a function's parameters, return type and docstring.

    `context_type` marks the parameter that gets the task's context, `wait_type` is left out of
    the return type, `local_names` helps to resolve annotations written as text. With `untyped` a
    parameter without a hint takes anything.

    Raises:
        DefinitionError: The function cannot be called with JSON arguments; the message says why.
    """
    found = _hints(function, {context_type.__name__: context_type, **local_names})
    hints = {name: readable(hint) for name, hint in found.items()}
    texts = parameter_texts(inspect.getdoc(function) or "")
    contexts, taken = _parameters(function, hints, context_type, untyped=untyped)
    fields = {f"p{place}": _field(*found, texts) for place, found in enumerate(taken)}
    parameters = tuple(
        Parameter(
            name=parameter.name,
            field=field,
            positional_only=parameter.kind is inspect.Parameter.POSITIONAL_ONLY,
            default=parameter.default,
        )
        for field, (parameter, _) in zip(fields, taken, strict=True)
    )
    positional = [item for item in contexts if item.kind is inspect.Parameter.POSITIONAL_ONLY]
    _refuse_unclear_context(function, contexts, bool(positional), parameters)
    model, input_schema = _arguments(function, fields, parameters)
    output, output_schema = _output(function, hints.get("return", Any), wait_type)
    return Signature(
        summary=summary_of(function, _name(function)),
        input_schema=input_schema,
        output_schema=output_schema,
        parameters=parameters,
        context=contexts[0].name if contexts else None,
        context_positional=bool(positional),
        model=model,
        output=output,
    )


def _parameters(
    function: Callable[..., Any],
    hints: Mapping[str, Any],
    context_type: type,
    *,
    untyped: bool,
) -> tuple[list[inspect.Parameter], list[tuple[inspect.Parameter, Any]]]:
    """Return the parameters that take the context, and the others with their hints."""
    contexts: list[inspect.Parameter] = []
    taken: list[tuple[inspect.Parameter, Any]] = []
    for parameter in inspect.signature(function).parameters.values():
        _refuse_variadic(function, parameter)
        hint = hints.get(parameter.name, Any if untyped else inspect.Parameter.empty)
        if hint is inspect.Parameter.empty:
            raise DefinitionError(
                f"{_name(function)}: parameter {parameter.name!r} has no type hint",
                code="tool_invalid",
                hint=_hint_for_missing(parameter.name),
            )
        if _bare(hint) is context_type:
            contexts.append(parameter)
        else:
            taken.append((parameter, hint))
    return contexts, taken


def local_references(schema: Any) -> Iterator[str]:
    """Yield every `$ref` of a schema."""
    if isinstance(schema, dict):
        reference = schema.get("$ref")
        if isinstance(reference, str):
            yield reference
        for value in schema.values():
            yield from local_references(value)
    elif isinstance(schema, list):
        for value in schema:
            yield from local_references(value)


def _hints(function: Callable[..., Any], local_names: Mapping[str, Any]) -> dict[str, Any]:
    target: Any = function
    while hasattr(target, "func"):  # functools.partial
        target = target.func
    if not inspect.isroutine(target):
        target = type(target).__call__
    json_names = _json_names(target)
    try:
        return typing.get_type_hints(target, localns=json_names, include_extras=True)
    except NameError:
        pass  # the hint may be known only where the function was written
    except Exception as error:
        raise DefinitionError(
            f"{_name(function)}: the type hints cannot be read: {error}", code="tool_invalid"
        ) from None
    try:
        names = {**local_names, **json_names}
        return typing.get_type_hints(target, localns=names, include_extras=True)
    except Exception as error:
        raise DefinitionError(
            f"{_name(function)}: the type hints cannot be read: {error}",
            code="tool_invalid",
            hint="Import the type where the function is defined, not only for type checkers.",
        ) from None


def _json_names(target: Any) -> dict[str, Any]:
    """Say what the recursive aliases of JSON mean: pydantic cannot expand them by itself."""
    known = getattr(target, "__globals__", {})
    meanings = {"JsonValue": (JsonValue, Any), "JsonObject": (JsonObject, dict[str, Any])}
    return {
        name: meaning
        for name, (alias, meaning) in meanings.items()
        if known.get(name, alias) is alias
    }


def _refuse_variadic(function: Callable[..., Any], parameter: inspect.Parameter) -> None:
    if parameter.kind in (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD):
        stars = "*" if parameter.kind is inspect.Parameter.VAR_POSITIONAL else "**"
        raise DefinitionError(
            f"{_name(function)}: {stars}{parameter.name} has no schema",
            code="tool_invalid",
            hint="Name every parameter; take a list or a dict for an open number of values.",
        )
    if isinstance(parameter.default, FieldInfo):
        raise DefinitionError(
            f"{_name(function)}: the default of {parameter.name!r} is a Field",
            code="tool_invalid",
            hint=f"Write {parameter.name}: Annotated[type, Field(...)] = default.",
        )


def _refuse_unclear_context(
    function: Callable[..., Any],
    contexts: Sequence[inspect.Parameter],
    positional: bool,
    parameters: Sequence[Parameter],
) -> None:
    if len(contexts) > 1:
        raise DefinitionError(
            f"{_name(function)}: two parameters take the Context", code="tool_invalid"
        )
    if positional and any(parameter.positional_only for parameter in parameters):
        raise DefinitionError(
            f"{_name(function)}: a positional-only Context allows no other such parameter",
            code="tool_invalid",
        )


def _hint_for_missing(name: str) -> str:
    if name in ("self", "cls"):
        return "Declare the tool from the bound method: tool(instance.method)."
    if name in ("context", "ctx"):
        return f"Write {name}: Context (from flowbuilder import Context) for the task's context."
    return f"Write for example {name}: str; the hint becomes the tool's input schema."


def _bare(hint: Any) -> Any:
    """Return a hint without `Annotated` and without `| None`."""
    if get_origin(hint) is Annotated:
        hint = get_args(hint)[0]
    if get_origin(hint) in (Union, types.UnionType):
        rest = [part for part in get_args(hint) if part is not type(None)]
        if len(rest) == 1:
            return rest[0]
    return hint


def _field(parameter: inspect.Parameter, hint: Any, texts: Mapping[str, str]) -> tuple[Any, Any]:
    extras = getattr(hint, "__metadata__", ())
    described = any(isinstance(part, FieldInfo) and part.description for part in extras)
    options: dict[str, Any] = {"alias": parameter.name}
    if parameter.name in texts and not described:
        options["description"] = texts[parameter.name]
    if parameter.default is Ellipsis:  # optional, and no JSON value stands for its absence
        options["default_factory"] = lambda: Ellipsis
    elif parameter.default is not inspect.Parameter.empty:
        options["default"] = parameter.default
    return hint, Field(**options)


def _arguments(
    function: Callable[..., Any], fields: dict[str, Any], parameters: Sequence[Parameter]
) -> tuple[type[BaseModel], JsonSchema]:
    try:
        return _model(function, fields)
    except _UNREADABLE as error:
        for parameter in parameters:
            try:
                _model(function, {parameter.field: fields[parameter.field]})
            except _UNREADABLE as culprit:
                raise DefinitionError(
                    f"{_name(function)}: parameter {parameter.name!r} has no JSON form: "
                    + _first_line(culprit),
                    code="tool_invalid",
                ) from None
        raise DefinitionError(
            f"{_name(function)}: {_first_line(error)}", code="tool_invalid"
        ) from None


def _model(
    function: Callable[..., Any], fields: dict[str, Any]
) -> tuple[type[BaseModel], JsonSchema]:
    model = create_model("Arguments", __config__=ConfigDict(extra="forbid"), **fields)
    schema = model.model_json_schema(schema_generator=_SchemaWriter, mode="validation")
    schema.pop("title", None)
    schema.setdefault("properties", {})
    _refuse_unusable(function, schema)
    return model, schema


def _output(
    function: Callable[..., Any], hint: Any, wait_type: type
) -> tuple[TypeAdapter[Any], JsonSchema]:
    hint = _without_wait(hint, wait_type)
    try:
        adapter = _adapter(hint)
        schema = adapter.json_schema(schema_generator=_SchemaWriter, mode="serialization")
    except _UNREADABLE as error:
        raise DefinitionError(
            f"{_name(function)}: the return type has no JSON form: {_first_line(error)}",
            code="tool_invalid",
        ) from None
    _refuse_unusable(function, schema)
    return adapter, schema


def _adapter(hint: Any) -> TypeAdapter[Any]:
    try:
        return TypeAdapter(hint, config=_KEEP_NAN)
    except PydanticSchemaGenerationError:
        raise
    except UserError:  # models, dataclasses and typed dicts bring their own configuration
        return TypeAdapter(hint)


def _without_wait(hint: Any, wait_type: type) -> Any:
    """A wait is answered by the engine: what comes out then is not the function's to promise."""
    if get_origin(hint) in (Union, types.UnionType):
        rest = tuple(part for part in get_args(hint) if part is not wait_type)
        return Union[rest] if rest else Any  # noqa: UP007 - built at run time
    return Any if hint is wait_type else hint


def _refuse_unusable(function: Callable[..., Any], schema: JsonSchema) -> None:
    for reference in local_references(schema):
        if not reference.startswith("#"):
            raise DefinitionError(
                f"{_name(function)}: the schema refers to {reference!r}",
                code="tool_invalid",
                hint="A tool's schemas must be self-contained.",
            )
    if any(part.get("format") == "binary" for _, part in subschemas(schema)):
        raise DefinitionError(
            f"{_name(function)}: bytes have no JSON form",
            code="tool_invalid",
            hint="Take and return text: str, or pydantic's Base64Bytes for bytes in base64.",
        )


def _name(function: Callable[..., Any]) -> str:
    return getattr(function, "__name__", None) or type(function).__name__


def _first_line(error: BaseException) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__
