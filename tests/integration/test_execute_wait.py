"""One call from a command to what an agent wants to know of it: its end, a question, a line that it waits for."""

from __future__ import annotations

import pytest

from support.rpc import Server, ToolError
from support.sandbox import PYTHON, Sandbox, shows

CHATTY = f'{PYTHON} -u -c \'import time; print("warming up"); print("Listening on port 80"); time.sleep(300)\''


@pytest.mark.promise("wait-pattern")
def test_a_server_is_ready_in_one_call(server: Server) -> None:
    answer = server.call("execute", command=CHATTY, wait=50, pattern=r"Listening on port \d+")
    assert (answer["reason"], answer["status"]) == ("match", "running")
    assert "Listening on port 80" in answer["stdout"] and "match" not in answer
    server.call("kill", job_id=answer["job_id"])


def test_with_a_pattern_a_job_that_ends_is_still_told_of_at_once(server: Server) -> None:
    answer = server.call("execute", command="echo no such thing; exit 3", wait=50, pattern="ready")
    assert (answer["reason"], answer["exit_code"], answer["stdout"]) == ("exit", 3, "no such thing\n")


@pytest.mark.promise("job-refused-whole")
@pytest.mark.parametrize(
    ("given", "why"), [({"pattern": "(", "wait": 5}, "not a regular expression"), ({"pattern": "x"}, "no wait")]
)
def test_a_pattern_that_cant_be_waited_for_starts_nothing(
    server: Server, shared: Sandbox, given: dict[str, object], why: str
) -> None:
    before = shared.records()
    with pytest.raises(ToolError, match=why):
        server.call("execute", command="touch started", **given)
    assert shared.records() == before and not shared.path("started").exists()


@pytest.mark.promise("output-bounded")
def test_of_a_long_output_an_agent_gets_the_ends_and_the_way_to_the_rest(server: Server) -> None:
    answer = server.call("execute", command="seq 1 50000; exit 4", wait=50)
    text = answer["stdout"]
    assert answer["exit_code"] == 4 and answer["truncated"] and len(text) < 2000
    assert text.startswith("1\n2\n3\n") and text.endswith("49999\n50000\n")
    head, note, tail = text.partition("[…")
    note = note + tail[: tail.index("\n")]
    since = int(note.split("since=")[1].split()[0])
    rest = server.call("output", job_id=answer["job_id"], since=since, max_chars=1_000_000)["stdout"]
    assert head + rest == "".join(f"{n}\n" for n in range(1, 50001)), "the cursor in the note leads on"
    assert "grep" in note


def test_an_output_of_some_hundred_lines_comes_whole(server: Server) -> None:
    answer = server.call("execute", command="seq 1 2000", wait=50)
    assert answer["stdout"] == "".join(f"{n}\n" for n in range(1, 2001)) and "truncated" not in answer


def test_a_line_that_matched_is_told_though_much_was_printed_behind_it(server: Server) -> None:
    job_id = server.call("execute", command="seq 1 3000; echo HERE it is; seq 1 3000; echo done; sleep 300")["job_id"]
    shows(server, job_id, "done")
    answer = server.call("wait", job_ids=[job_id], pattern="HERE", since=0, timeout=50)
    assert answer["reason"] == "match" and answer["stdout"].endswith("\n3000\nHERE it is\n") and answer["truncated"]
    following = server.call("wait", job_ids=[job_id], pattern="done", since=answer["cursor"], timeout=50)
    assert following["stdout"].startswith("1\n2\n") and following["stdout"].endswith("\ndone\n"), "nothing is hidden"
    server.call("kill", job_id=job_id)
