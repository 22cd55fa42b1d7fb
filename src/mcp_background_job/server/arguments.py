"""What an argument means: the one place that decides it.

Promises: what clients and models send in other forms is taken where it has one meaning; a value that can mean nothing
is the same as leaving the parameter out; all else is refused by its name, with what to give instead.
"""

from __future__ import annotations

import json
import re
import shlex
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, ValidationError, WithJsonSchema
from pydantic_core import ErrorDetails

from mcp_background_job.errors import InvalidInput
from mcp_background_job.jobs.view import JobView
from mcp_background_job.text import escaped, shorten

Arguments = dict[str, Any]
Until = Literal["exit", "input", "quiet", "handback"]

ASSIGNMENT = re.compile(r"\w+=")
# Some clients (Gemini CLI, qwen-code) check against the published schema themselves, so it has what models often send.
TEXT = {"type": "string"}
ONE_OR_MORE = {"anyOf": [{"type": "array", "items": TEXT}, TEXT]}


# -- the forms that one value is sent in ----------------------------------------------------------------------


def as_text(value: object) -> object:
    """A number or boolean where text is meant, as its JSON text: PORT=3000."""
    return json.dumps(value) if isinstance(value, (bool, int, float)) else value


def as_command(value: object) -> object:
    """A program and its arguments as a command line; a list of one is one already."""
    if isinstance(value, list) and value and all(isinstance(word, str) for word in value):
        return value[0] if len(value) == 1 else shlex.join(value)
    return value


def as_variables(value: object) -> object:
    """`["A=1"]` as a map; a variable without a value is none."""
    given = [value] if isinstance(value, str) and not re.search(r"\s", value) else value
    if isinstance(given, list) and all(isinstance(one, str) and ASSIGNMENT.match(one) for one in given):
        return dict(one.split("=", 1) for one in given)
    if isinstance(given, dict):
        return {name: one for name, one in given.items() if one is not None}
    return value


def as_list(value: object) -> object:
    return [value] if isinstance(value, str) else value


def as_keys(value: object) -> object:
    """`"Up Down"` as two; no key's name has a blank. Of several each is taken as it stands."""
    return value.split() or [value] if isinstance(value, str) else value


def as_word(value: object) -> object:
    """A word of a list of words, however it is written."""
    return value.strip().lower() if isinstance(value, str) else value


Text = Annotated[str, BeforeValidator(as_text)]
Command = Annotated[str, BeforeValidator(as_command)]
Variables = Annotated[dict[str, Text], BeforeValidator(as_variables)]
Keys = Annotated[list[str], BeforeValidator(as_keys), WithJsonSchema(ONE_OR_MORE)]
JobIds = Annotated[
    list[str], BeforeValidator(as_list), Field(min_length=1, max_length=100), WithJsonSchema(ONE_OR_MORE)
]
When = Annotated[Until, BeforeValidator(as_word)]
Seconds = Annotated[float, Field(ge=0), WithJsonSchema({"anyOf": [{"type": "number", "minimum": 0}, TEXT]})]
Limit = Annotated[float, Field(ge=1), WithJsonSchema({"anyOf": [{"type": "number", "minimum": 1}, TEXT]})]


# -- what is given at all ---------------------------------------------------------------------------------------


def given(tool: str, arguments: Arguments, properties: dict[str, dict[str, Any]]) -> Arguments:
    """The arguments that mean something, under the tool's own names.

    Raises InvalidInput for a parameter that the tool has not.
    """
    found = renamed(tool, arguments)
    if unknown := next((name for name in found if name not in properties), None):
        raise InvalidInput(f"Unknown parameter {shorten(escaped(unknown), 60)!r}", f"Use only: {', '.join(properties)}")
    found = {name: value for name, value in found.items() if not is_left_out(value, properties[name])}
    # Who must fill in every parameter gives 0 here, which is where a job's output begins anyway.
    if found.get("since") == 0 and ("since_seconds" in found or several(found.get("job_ids"))):
        del found["since"]
    return found


def renamed(tool: str, arguments: Arguments) -> Arguments:
    """Without what models bring from other tools: a description names the job, and all jobs are in the background."""
    found = dict(arguments)
    if tool == "wait" and "job_id" in found and not found.get("job_ids"):
        found["job_ids"] = found.pop("job_id")
    if tool == "execute":
        description = found.pop("description", None)
        found.pop("run_in_background", None)
        if description and not found.get("name"):
            found["name"] = description
    return found


def is_left_out(value: object, schema: dict[str, Any]) -> bool:
    """Whether a value stands for none: null, and "" or 0 where they can mean nothing else, as some clients fill in."""
    if value is None:
        return True
    if value == "":
        return schema.get("type") != "string" or "enum" in schema or bool(schema.get("default"))
    kind = schema.get("anyOf", [schema])[0]
    above = kind.get("minimum", 0) > 0 or "exclusiveMinimum" in kind
    return above and value == 0 and not isinstance(value, bool)


def several(job_ids: object) -> bool:
    return isinstance(job_ids, list) and len(job_ids) > 1


# -- which job is meant -----------------------------------------------------------------------------------------


def with_ids(view: JobView, arguments: Arguments) -> Arguments:
    """Checked arguments in which a job that is named by its name has its id.

    Raises InvalidInput for a name that could be several jobs'.
    """
    found = dict(arguments)
    if "job_id" in found:
        found["job_id"] = view.id_of(found["job_id"])
    if "job_ids" in found:
        found["job_ids"] = [job_id for one in found["job_ids"] for job_id in ids_in(view, one)]
    return found


def ids_in(view: JobView, text: str) -> list[str]:
    """The ids of the job that `text` names, or of those between whose names it has commas or blanks."""
    job_id = view.id_of(text)
    parts = [part for part in re.split(r"[,\s]+", text) if part]
    return [job_id] if job_id != text or len(parts) < 2 else [view.id_of(part) for part in parts]


# -- what is wrong with one -------------------------------------------------------------------------------------

# By the kind of pydantic's error: what to give, filled from its context.
REMEDIES = {
    "dict_type": 'Give a map, such as {{"PORT": "3000"}}',
    "list_type": 'Give a list, such as ["a", "b"]',
    "string_type": "Give a text",
    "float_type": "Give a number",
    "float_parsing": "Give a number, without a unit",
    "finite_number": "Give a number",
    "int_type": "Give a whole number",
    "int_parsing": "Give a whole number",
    "int_from_float": "Give a whole number",
    "bool_type": "Give true or false",
    "bool_parsing": "Give true or false",
    "literal_error": "Give {expected}",
    "greater_than_equal": "Give at least {ge:g}",
    "greater_than": "Give more than {gt:g}",
    "less_than_equal": "Give at most {le:g}",
    "too_short": "Give at least {min_length}",
    "too_long": "Give at most {max_length}",
}


def explain(error: ValidationError) -> str:
    """The first bad argument as a sentence of what is wrong and one of what to do."""
    first: ErrorDetails = error.errors(include_url=False)[0]
    name = ".".join(str(part) for part in first["loc"])
    if first["type"] == "missing":
        return f"Parameter {name!r} is missing. Give it a value."
    shown = repr(first["input"])
    remedy = REMEDIES.get(first["type"], first["msg"]).format(**first.get("ctx", {}))
    return f"Parameter {name!r} can't be {shown if len(shown) <= 60 else shown[:60] + '…'}. {remedy}."
