"""A long `execute` as a task: one server begins it, any other one answers for it, and the job is all there is of it."""

from __future__ import annotations

import pytest

from support.rpc import HANDSHAKE_ERA, MODERN_ERA, RpcError, Server
from support.sandbox import Sandbox, ended
from support.tasks import (
    CAPABILITIES,
    FORMS,
    TASKS,
    answer,
    begin,
    execute,
    get,
    job_of,
    listen,
    open_server,
    question,
    reaches,
    structured,
    told,
)
from support.waiting import wait_until

pytestmark = pytest.mark.promise("tasks")
UNTIL = "until test -e {}; do sleep 0.05; done; "  # a file that the test makes once it may go on


@pytest.fixture(scope="module")
def client(shared: Sandbox) -> Server:
    """A server whose client has tasks, and no forms."""
    return open_server(shared)


@pytest.fixture(scope="module")
def asking(shared: Sandbox) -> Server:
    """A server whose client has tasks, and forms."""
    return open_server(shared, FORMS)


def error_of(server: Server, method: str, task: str, **params: object) -> RpcError:
    with pytest.raises(RpcError) as refused:
        server.request(method, {"taskId": task, **params})
    return refused.value


def test_a_long_execute_is_a_task_whose_result_is_its_answer(client: Server, shared: Sandbox) -> None:
    go = shared.path("go")
    found = execute(client, f"echo begun; {UNTIL.format(go)}echo over; exit 3", name="build")
    assert found["resultType"] == "task" and found["status"] == "working"
    assert found["ttlMs"] is None and found["pollIntervalMs"] == 1000 and "build" in found["statusMessage"]
    task = found["taskId"]
    working = get(client, task)
    assert (working["resultType"], working["taskId"], working["status"]) == ("complete", task, "working")
    assert "result" not in working and working["createdAt"] == found["createdAt"]
    go.touch()
    over = reaches(client, task, "completed")
    # A command that fails has been run all the same: the task is completed, and tells how.
    assert "isError" not in over["result"] or over["result"]["isError"] is False
    answered = structured(over)
    assert (answered["status"], answered["exit_code"], answered["reason"]) == ("failed", 3, "exit")
    assert answered["stdout"] == "begun\nover\n" and answered["job_id"] == job_of(task)
    assert "attach" not in answered and "effective_timeout" not in answered
    assert over["ttlMs"] >= 7 * 24 * 3600 * 1000 and over["lastUpdatedAt"] > over["createdAt"]
    assert get(client, task) == over


def test_what_ends_soon_is_answered_at_once(client: Server) -> None:
    found = execute(client, "echo quick")
    assert found["resultType"] == "complete" and found["structuredContent"]["stdout"] == "quick\n"


def test_what_asks_soon_is_answered_at_once_as_the_agent_is_there(asking: Server) -> None:
    found = execute(asking, "read -p 'Go on? ' x")
    assert found["structuredContent"]["awaiting_input"] == "prompt"


@pytest.mark.parametrize("arguments", [{"wait": 0.5}, {"wait": 0}, {"pattern": "up"}])
def test_a_limit_or_a_pattern_of_the_agent_holds(client: Server, arguments: dict[str, object]) -> None:
    found = execute(client, "sleep 0.5; echo up; exec sleep 300", **arguments)
    assert found["resultType"] == "complete" and found["structuredContent"]["status"] == "running"


@pytest.mark.parametrize("protocol", [MODERN_ERA, HANDSHAKE_ERA])
def test_a_client_without_the_extension_sees_nothing_of_it(shared: Sandbox, protocol: str) -> None:
    server = shared.silent_server(protocol=protocol, MCP_BG_MAX_JOBS="300")
    if protocol == HANDSHAKE_ERA:
        server.capabilities = CAPABILITIES  # of which its protocol knows nothing
    server.open()
    answered = server.call("execute", command="sleep 2.5; echo done", wait=50)
    assert answered["stdout"] == "done\n" and answered["exit_code"] == 0
    codes = {error_of(server, f"tasks/{verb}", "x", inputResponses={}).code for verb in ("get", "update", "cancel")}
    assert codes == ({-32021} if protocol == MODERN_ERA else {-32601})


def test_the_server_says_that_it_has_tasks(client: Server) -> None:
    assert client.hello["capabilities"]["extensions"] == {TASKS: {}}
    assert "tasks" not in client.hello["capabilities"]


def test_a_task_outlives_its_server(sandbox: Sandbox) -> None:
    server = open_server(sandbox)
    go = sandbox.path("go")
    task = begin(server, f"echo begun; {UNTIL.format(go)}echo over")
    server.kill9()
    server = open_server(sandbox)
    assert get(server, task)["status"] == "working"
    server.kill9()
    go.touch()
    server = open_server(sandbox)
    over = reaches(server, task, "completed")
    assert structured(over)["stdout"] == "begun\nover\n"
    server.kill9()
    assert get(open_server(sandbox), task) == over


def test_cancelling_a_task_kills_its_job(client: Server, server: Server) -> None:
    task = begin(client, "sleep 300")
    assert set(client.request("tasks/cancel", {"taskId": task})) <= {"resultType", "_meta"}
    assert get(client, task)["status"] == "cancelled"
    status = server.call("status", job_id=job_of(task))
    assert (status["reason"], status["killed_by"]) == ("kill", "tests (task cancelled)")
    # Once more changes nothing.
    client.request("tasks/cancel", {"taskId": task})
    assert get(client, task)["status"] == "cancelled"


def test_a_job_that_somebody_else_has_killed_is_completed_and_says_killed(client: Server, server: Server) -> None:
    task = begin(client, "sleep 300")
    server.call("kill", job_id=job_of(task))
    assert structured(reaches(client, task, "completed"))["status"] == "killed"


@pytest.mark.promise("tasks-end")
def test_a_task_that_is_over_is_not_cancelled(client: Server) -> None:
    task = begin(client, "sleep 0.5")
    over = reaches(client, task, "completed")
    client.request("tasks/cancel", {"taskId": task})
    assert get(client, task) == over


def test_a_job_in_a_persons_hands_is_not_cancelled(client: Server, server: Server) -> None:
    task = begin(client, "cat > /dev/null & sleep 300")
    server.call("handoff", job_id=job_of(task), message="look")
    refused = error_of(client, "tasks/cancel", task)
    assert "A person holds" in str(refused)
    assert get(client, task)["status"] == "working"
    server.call("handoff", job_id=job_of(task), take_back=True)


@pytest.mark.parametrize("task", ["", "x", "../../x-1", "{job}", "{job}-1", "{job}-"])
def test_an_id_that_is_no_tasks_is_refused(client: Server, server: Server, task: str) -> None:
    job_id = server.call("execute", command="true", wait=5)["job_id"]
    for method in ("tasks/get", "tasks/cancel"):
        refused = error_of(client, method, task.format(job=job_id))
        assert refused.code == -32602 and "not found" in str(refused)


# -- input_required -------------------------------------------------------------------------------------------

ASK = "sleep 0.5; read -p 'Delete all? ' a; read -p 'Really? ' b; echo \"got $a $b\""


@pytest.mark.promise("tasks-ask")
def test_a_prompt_is_asked_of_the_clients_person(asking: Server) -> None:
    task = begin(asking, ASK, name="tidy")
    key, form = question(asking, task)
    assert "tidy" in form["message"] and "Delete all? " in form["message"] and "nothing secret" in form["message"]
    assert form["mode"] == "form" and form["requestedSchema"]["properties"]["answer"]["type"] == "string"
    # The same question is the same, also after a wait has left its marks behind it.
    asking.call("wait", job_ids=[job_of(task)], until="input", timeout=5)
    assert question(asking, task) == (key, form)
    assert set(answer(asking, task, key, "accept", answer="yes")) <= {"resultType", "_meta"}
    other, form = question(asking, task)
    assert other != key and "Really? " in form["message"]
    answer(asking, task, key, "accept", answer="no")  # answered already: it reaches no other question
    answer(asking, task, "unknown", "accept", answer="no")
    answer(asking, task, other, "accept", answer="sure")
    assert "got yes sure" in structured(reaches(asking, task, "completed"))["stdout"]


@pytest.mark.promise("tasks-ask")
def test_an_answer_finds_its_question_on_a_server_that_was_started_since(sandbox: Sandbox) -> None:
    server = open_server(sandbox, FORMS)
    task = begin(server, ASK)
    key, _ = question(server, task)
    server.kill9()
    server = open_server(sandbox, FORMS)
    answer(server, task, key, "accept", answer="yes")
    server.kill9()
    other, _ = question(open_server(sandbox, FORMS), task)
    assert other != key


@pytest.mark.promise("tasks-end")
@pytest.mark.parametrize("action", ["decline", "cancel"])
def test_a_prompt_that_the_person_leaves_is_the_agents(asking: Server, server: Server, action: str) -> None:
    task = begin(asking, ASK)
    key, _ = question(asking, task)
    answer(asking, task, key, action)
    over = reaches(asking, task, "completed")
    assert (structured(over)["status"], structured(over)["awaiting_input"]) == ("running", "prompt")
    assert structured(over)["attach"]
    # What the agent goes on with is no longer the task's.
    asking.call("interact", job_id=job_of(task), input="a")
    asking.call("interact", job_id=job_of(task), input="b")
    assert ended(server, job_of(task))["exit_code"] == 0
    assert "got a b" in server.call("tail", job_id=job_of(task))["stdout"]
    assert [get(asking, task)[field] for field in ("status", "result")] == [over["status"], over["result"]]


@pytest.mark.parametrize("content", [{}, {"answer": 3}, {"answer": "a\nb"}, {"done": True}])
def test_an_answer_that_is_no_line_is_refused_and_asked_for_again(asking: Server, content: dict[str, object]) -> None:
    task = begin(asking, ASK)
    key, _ = question(asking, task)
    refused = error_of(asking, "tasks/update", task, inputResponses={key: {"action": "accept", "content": content}})
    assert refused.code == -32602
    assert question(asking, task)[0] == key
    asking.request("tasks/cancel", {"taskId": task})


@pytest.mark.promise("tasks-ask")
def test_a_password_is_never_asked_for(asking: Server) -> None:
    task = begin(asking, "sleep 0.5; read -s -p 'Password: ' x")
    over = structured(reaches(asking, task, "completed"))
    assert (over["status"], over["awaiting_input"], over["reason"]) == ("running", "password", "input")


@pytest.mark.promise("tasks-end")
def test_without_forms_a_prompt_is_the_agents(client: Server) -> None:
    task = begin(client, ASK)
    assert structured(reaches(client, task, "completed"))["awaiting_input"] == "prompt"
    # Of the job that goes on the task's client has nothing any more, whatever key it may try.
    tried = {f"prompt-{offset}": {"action": "accept", "content": {"answer": "late"}} for offset in range(400)}
    client.request("tasks/update", {"taskId": task, "inputResponses": tried})
    client.request("tasks/cancel", {"taskId": task})
    found = client.call("interact", job_id=job_of(task), input="a")
    assert found["status"] == "running" and "late" not in client.call("tail", job_id=job_of(task))["stdout"]


def test_a_hand_off_asks_whether_it_is_done(asking: Server, server: Server) -> None:
    task = begin(asking, "read -s -p 'Password: ' x & sleep 300")
    server.call("handoff", job_id=job_of(task), message="type the deploy password")
    key, form = question(asking, task)
    assert "type the deploy password" in form["message"] and set(form["requestedSchema"]["properties"]) == {"done"}
    answer(asking, task, key, "accept", done=False)
    assert get(asking, task)["status"] == "working"
    assert server.call("status", job_id=job_of(task))["holder"] == "human"
    # Another hand-off is another question.
    server.call("handoff", job_id=job_of(task), message="and the other one")
    other, _ = question(asking, task)
    assert other != key
    answer(asking, task, other, "accept", done=True)
    assert server.call("status", job_id=job_of(task))["holder"] == "agent"
    server.call("handoff", job_id=job_of(task), message="once more")
    answer(asking, task, question(asking, task)[0], "decline")
    assert server.call("wait", job_ids=[job_of(task)], until="handback")["declined"] is True


def test_what_a_task_has_told_is_no_news(client: Server) -> None:
    other = client.call("execute", command="exec sleep 300")["job_id"]
    task = begin(client, "sleep 0.5")
    client.call("status", job_id=job_of(task))
    reaches(client, task, "completed")
    last = client.call("execute", command="exit 7")["job_id"]
    client.news.clear()
    wait_until(lambda: client.call("status", job_id=other) and client.news, what="the news")
    assert [item["job_id"] for item in client.news] == [last]


# -- notifications --------------------------------------------------------------------------------------------


def bare(state: dict[str, object]) -> dict[str, object]:
    return {name: value for name, value in state.items() if name not in ("resultType", "_meta")}


@pytest.mark.promise("tasks-streams")
def test_a_stream_tells_each_state_as_get_does(asking: Server, shared: Sandbox) -> None:
    go = shared.path("go-on")
    asking.notifications.clear()
    task = begin(asking, f"{UNTIL.format(go)}read -p 'Go on? ' x; sleep 1; echo over")
    stream = listen(asking, task, "abcdef-1")
    wait_until(lambda: told(asking, task), what="the first state")
    hello = asking.notifications[0]
    assert hello["method"] == "notifications/subscriptions/acknowledged"
    assert hello["params"]["notifications"] == {"taskIds": [task]}  # the other is none
    assert told(asking, task)[0]["ttlMs"] is None
    go.touch()
    wait_until(lambda: len(told(asking, task)) == 2, what="the question")
    [key] = told(asking, task)[1]["inputRequests"]
    answer(asking, task, key, "accept", answer="yes")
    wait_until(lambda: len(told(asking, task)) == 4, what="the end")
    states = told(asking, task)
    assert [state["status"] for state in states] == ["working", "input_required", "working", "completed"]
    assert bare(states[-1]) == bare(get(asking, task))
    assert {state["_meta"]["io.modelcontextprotocol/subscriptionId"] for state in states} == {stream.number}
    # Whoever comes late is told how it ended; a stream that was ended tells nothing more.
    asking.cancel(stream)
    listen(asking, task)
    wait_until(lambda: len(told(asking, task)) == 5)
    assert told(asking, task)[4]["status"] == "completed"


def test_a_stream_of_tasks_is_for_clients_that_have_them(shared: Sandbox) -> None:
    server = open_server(shared, {})
    with pytest.raises(RpcError) as refused:
        listen(server, "abcdef-1").result()
    assert refused.value.code == -32021
