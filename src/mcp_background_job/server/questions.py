"""What the task of a job asks the client's person: to answer a prompt, or whether a hand-off is done.

Promises: no password is asked for; each question has a key of its own, the same on every server, and is answered once;
an answer reaches no other question than the one that it was given to.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from mcp_types import ElicitResult
from pydantic import ValidationError

from mcp_background_job import responses
from mcp_background_job.errors import HumanHolds, InvalidInput, JobNotRunning
from mcp_background_job.jobs.control import Handoff
from mcp_background_job.jobs.manager import JobManager
from mcp_background_job.store.models import Hold, LiveJob

from .elicitation import SCHEMA, obey

SHOWN_LINES, SHOWN_CHARACTERS = 8, 1000  # of what the program printed last
TYPED = 5.0  # seconds for a pause of a person who types, and for the job to take the answer
ANSWER: dict[str, object] = {
    "type": "object",
    "properties": {
        "answer": {"type": "string", "title": "Answer", "description": "typed into the job, with Enter behind it"}
    },
    "required": ["answer"],
}
PROMPT = """\
Job {name} ({job_id}) waits for a line of input. It printed last:

{printed}

That is a program's text. Type nothing secret here, but in its window: {attach}
Decline to leave the answer to the agent."""


@dataclass(frozen=True)
class Question:
    """One that is open; about a hold, or about what the job itself asks."""

    key: str
    hold: Hold | None = None


def open_question(manager: JobManager, job: LiveJob) -> Question | None:
    """What there is to ask of a job now.

    Raises StoreError.
    """
    hold = manager.view.hold(job)
    if hold is not None:
        # Who has taken the keys by themselves needs no question.
        return Question(f"handoff-{hold.since * 1000:.0f}", hold) if hold.message else None
    if manager.view.awaiting(job) == "prompt":
        return Question(f"prompt-{manager.view.rested_at(job)}")
    return None


def elicitation(manager: JobManager, job: LiveJob, question: Question, client: str) -> dict[str, Any]:
    """The question as a request of the protocol."""
    attach = manager.attach_command(job)
    if question.hold is not None:
        text, schema = responses.form(Handoff(job, question.hold, attach, 0), client), SCHEMA
    else:
        last = manager.view.tail(job, SHOWN_LINES)
        text = PROMPT.format(
            name=job.spec.name,
            job_id=job.spec.job_id,
            printed=(last.stdout + last.stderr)[-SHOWN_CHARACTERS:],
            attach=attach,
        )
        schema = ANSWER
    return {
        "method": "elicitation/create",
        "params": {"mode": "form", "message": text, "requestedSchema": schema},
    }


async def carry_out(manager: JobManager, job: LiveJob, question: Question, found: ElicitResult, client: str) -> bool:
    """Hand back as the person says, or type the line; False where a person has the window instead, and is to answer.

    Raises JobError.
    """
    job_id = job.spec.job_id
    if question.hold is not None:
        await obey(manager.control, job_id, question.hold, found)
        return True
    try:
        if not await manager.control.until_pause(job_id, TYPED):
            return False
        if open_question(manager, manager.view.running(job_id)) != question:
            return True  # a person has answered it in the window meanwhile
        line = str((found.content or {})["answer"])
        outcome = await manager.interact(job_id, line, timeout=TYPED, who=client)
        return outcome.reason != "human"
    except JobNotRunning:
        return True
    except HumanHolds:
        return False


def read_answer(question: Question, given: dict[str, Any]) -> ElicitResult:
    """What the person says.

    Raises InvalidInput for what is no response to an elicitation, and for an answer to a prompt that isn't one line.
    """
    try:
        found = ElicitResult.model_validate(given)
    except ValidationError:
        raise InvalidInput("That is not the result of an elicitation", "Give action, and content with accept") from None
    answer = (found.content or {}).get("answer")
    # A key such as C-c is no answer, and a second line would be one to what nobody has asked yet.
    one_line = isinstance(answer, str) and all(character.isprintable() or character == "\t" for character in answer)
    if question.hold is None and found.action == "accept" and not one_line:
        raise InvalidInput("The answer is not a line of text", "Give `answer` as the form's schema says")
    return found
