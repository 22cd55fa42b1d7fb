"""What a tool takes and how it answers: schemas of few bytes, arguments checked, refusals as plain sentences.

Promises: an unknown parameter is refused by name; every refusal is one text that says what is wrong and what to do;
text and structured content say the same.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

from mcp.server.mcpserver import Context
from mcp.server.mcpserver.tools import Tool
from mcp.server.mcpserver.utilities.func_metadata import ArgModelBase, FuncMetadata
from mcp_types import CallToolResult, TextContent, ToolAnnotations
from pydantic import ConfigDict, ValidationError, create_model
from pydantic_core import to_json

from mcp_background_job.errors import JobError
from mcp_background_job.responses.fields import Fields
from mcp_background_job.text import escaped, shorten

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Deferred:
    """In place of an answer that is still to come: what the protocol is told."""

    result: dict[str, Any]


Adapt = Callable[[dict[str, Any]], dict[str, Any]]  # arguments as they are meant; raises JobError
# An answer with what the client is to be told besides, of the call's context, its arguments and the answer.
Complete = Callable[[Context[Any, Any], dict[str, Any], Fields], Awaitable[Fields]]
During = Callable[[Context[Any, Any], dict[str, Any]], AbstractContextManager[None]]  # while a call is open


class Arguments(ArgModelBase):
    """Base of every tool's arguments: unknown ones are refused."""

    model_config = ConfigDict(extra="forbid")


class JobTool(Tool):
    """A tool whose arguments are all known, and whose refusals are plain sentences."""

    adapt: Adapt
    during: During
    complete: Complete

    async def run(self, arguments: dict[str, Any], context: Context[Any, Any], convert_result: bool = False) -> Any:
        """Validate, call, and turn the answer or the refusal into a result."""
        known = self.parameters.get("properties", {})
        try:
            arguments = self.adapt(arguments)
        except JobError as error:
            return failure(str(error))
        if unknown := next((name for name in arguments if name not in known), None):
            return failure(f"Unknown parameter {shorten(escaped(unknown), 60)!r}. Use only: {', '.join(known)}.")
        given = {name: value for name, value in arguments.items() if not is_left_out(value, known[name])}
        try:
            validated = self.fn_metadata.validate_arguments(given)
        except ValidationError as error:
            return failure(explain(error))
        passed = {self.context_kwarg: context} if self.context_kwarg else {}
        try:
            with self.during(context, arguments):
                answer = await self.fn(**validated, **passed)
            if isinstance(answer, Deferred):
                return answer.result
            return success(await self.complete(context, arguments, answer))
        except JobError as error:
            return failure(str(error))
        except OSError as error:
            logger.exception("%s failed", self.name)
            return failure(f"{self.name} failed: {error.strerror or error}. Check the disk and MCP_BG_STATE_DIR.")
        except Exception as error:
            logger.exception("%s failed", self.name)
            return failure(
                f"{self.name} failed inside the server ({type(error).__name__}). The server's stderr has more."
            )


def success(fields: Fields) -> CallToolResult:
    """The same answer twice: clients show their model one or the other."""
    text = to_json(fields).decode()  # in half the time of json.dumps, which long pages feel
    return CallToolResult(content=[TextContent(type="text", text=text)], structured_content=fields)


def failure(text: str) -> CallToolResult:
    return CallToolResult(content=[TextContent(type="text", text=text)], is_error=True)


def is_left_out(value: object, schema: dict[str, Any]) -> bool:
    """Whether a value stands for none: null, and "" or 0 where they can mean nothing else, as some clients fill in."""
    if value is None:
        return True
    if value == "":
        return schema.get("type") != "string"
    return value == 0 and not isinstance(value, bool) and schema.get("minimum", 0) > 0


def explain(error: ValidationError) -> str:
    """The first bad argument as a sentence of what is wrong and one of what to do."""
    first = error.errors(include_url=False, include_context=False)[0]
    name = ".".join(str(part) for part in first["loc"])
    if first["type"] == "missing":
        return f"Parameter {name!r} is missing. Give it a value."
    shown = repr(first["input"])
    message = first["msg"].removeprefix("Value error, ")
    return f"Parameter {name!r} can't be {shown if len(shown) <= 60 else shown[:60] + '…'}. {message}."


def slim(schema: Any) -> Any:
    """A JSON schema without what tells a model nothing and costs it tokens: pydantic's titles, and that a value which
    may be left out may be null or empty, too.
    """
    if isinstance(schema, list):
        return [slim(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    if "anyOf" in schema:
        schema = schema["anyOf"][0] | {key: value for key, value in schema.items() if key != "anyOf"}
    kept = {"properties": {name: slim(value) for name, value in schema.get("properties", {}).items()}}
    return {
        key: kept.get(key) or slim(value)
        for key, value in schema.items()
        if key not in ("title", "additionalProperties") and not (key == "default" and value in (None, {}, []))
    }


def make_tool(
    function: Callable[..., Awaitable[Fields | Deferred]],
    annotations: ToolAnnotations,
    adapt: Adapt,
    during: During,
    complete: Complete,
) -> JobTool:
    """A tool that refuses unknown arguments, with a schema of few bytes."""
    description = " ".join((function.__doc__ or "").split())
    # The SDK's own Tool.from_function would build each model twice, and 40 ms of every start.
    kinds = inspect.get_annotations(function, eval_str=True)
    fields: dict[str, Any] = {
        name: (kinds[name], ... if parameter.default is parameter.empty else parameter.default)
        for name, parameter in inspect.signature(function).parameters.items()
        if name != "ctx"
    }
    arguments = create_model(function.__name__, __base__=Arguments, **fields)
    schema = arguments.model_json_schema()
    return JobTool(
        fn=function,
        name=function.__name__,
        description=description,
        parameters=slim(schema) | {"additionalProperties": False},
        fn_metadata=FuncMetadata(arg_model=arguments),
        is_async=True,
        context_kwarg="ctx" if "ctx" in kinds else None,
        annotations=annotations,
        adapt=adapt,
        during=during,
        complete=complete,
    )
