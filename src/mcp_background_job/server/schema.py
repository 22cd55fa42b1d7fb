"""How a tool is called and how it answers: schemas of few bytes, refusals as plain sentences.

Promises: every refusal is one text that says what is wrong and what to do; text and structured content say the same.
What arguments mean is decided in arguments.py.
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

from .arguments import explain, given

logger = logging.getLogger(__name__)


PRINTED = ("stdout", "stderr", "screen")


@dataclass(frozen=True)
class Deferred:
    """In place of an answer that is still to come: what the protocol is told."""

    result: dict[str, Any]


Resolve = Callable[[dict[str, Any]], dict[str, Any]]  # arguments with the jobs that they name; raises JobError
# An answer with what the client is to be told besides, of the call's context, its arguments and the answer.
Complete = Callable[[Context[Any, Any], dict[str, Any], Fields], Awaitable[Fields]]
During = Callable[[Context[Any, Any], dict[str, Any]], AbstractContextManager[None]]  # while a call is open


class Arguments(ArgModelBase):
    """Base of every tool's arguments: unknown ones are refused."""

    model_config = ConfigDict(extra="forbid")


class JobTool(Tool):
    """A tool whose arguments are all known, and whose refusals are plain sentences."""

    resolve: Resolve
    during: During
    complete: Complete

    async def run(self, arguments: dict[str, Any], context: Context[Any, Any], convert_result: bool = False) -> Any:
        """Validate, call, and turn the answer or the refusal into a result."""
        passed = {self.context_kwarg: context} if self.context_kwarg else {}
        try:
            meant = given(self.name, arguments, self.parameters.get("properties", {}))
            validated = self.resolve(self.fn_metadata.validate_arguments(meant))
        except ValidationError as error:
            return failure(explain(error))
        except JobError as error:
            return failure(str(error))
        try:
            with self.during(context, validated):
                answer = await self.fn(**validated, **passed)
            if isinstance(answer, Deferred):
                return answer.result
            return success(await self.complete(context, validated, answer))
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
    """The same answer twice: clients show their model one or the other.

    What a job printed comes last: clients cut long answers at their end or in their middle (Codex at 10 KB), and what
    is said about it, such as the cursor, must not go with that.
    """
    fields = dict(sorted(fields.items(), key=lambda field: field[0] in PRINTED))
    text = to_json(fields).decode()  # in half the time of json.dumps, which long pages feel
    return CallToolResult(content=[TextContent(type="text", text=text)], structured_content=fields)


def failure(text: str) -> CallToolResult:
    return CallToolResult(content=[TextContent(type="text", text=text)], is_error=True)


def slim(schema: Any) -> Any:
    """A JSON schema without what tells a model nothing and costs it tokens: pydantic's titles, and that a value which
    may be left out may be null or empty, too. Nor that there are no other properties: google-genai can't read that.
    """
    if isinstance(schema, list):
        return [slim(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    if forms := [form for form in schema.get("anyOf", []) if form != {"type": "null"}]:
        rest = {key: value for key, value in schema.items() if key != "anyOf"}
        schema = (forms[0] if len(forms) == 1 else {"anyOf": forms}) | rest
    kept = {"properties": {name: slim(value) for name, value in schema.get("properties", {}).items()}}
    return {
        key: kept.get(key) or slim(value)
        for key, value in schema.items()
        if key not in ("title", "additionalProperties") and not (key == "default" and value in (None, {}, []))
    }


def make_tool(
    function: Callable[..., Awaitable[Fields | Deferred]],
    annotations: ToolAnnotations,
    resolve: Resolve,
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
        parameters=slim(schema),
        fn_metadata=FuncMetadata(arg_model=arguments),
        is_async=True,
        context_kwarg="ctx" if "ctx" in kinds else None,
        annotations=annotations,
        resolve=resolve,
        during=during,
        complete=complete,
    )
