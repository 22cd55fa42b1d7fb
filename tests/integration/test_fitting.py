"""A job's window in a terminal that is narrower: told, fitted for as long as its person looks, and as it was."""

from __future__ import annotations

import pytest

from support.person import Person
from support.rpc import Server
from support.sandbox import Sandbox, shows
from support.terminal import cli
from support.waiting import wait_until


@pytest.fixture
def job(server: Server, cleared: Sandbox) -> str:
    command = "trap 'stty size' WINCH; echo up; while :; do sleep 0.1; done"
    job_id: str = server.call("execute", command=command, name="wide")["job_id"]
    shows(server, job_id, "up")
    return job_id


def _looking(sandbox: Sandbox, job_id: str, columns: int = 80, rows: int = 24) -> Person:
    """A person who looks at the job's window."""
    person = Person(sandbox, columns=columns, rows=rows)
    person.sees("F12 menu" if columns >= 80 else "0:jobs")
    sandbox.tmux("select-window", "-t", sandbox.window(job_id))
    person.sees(f"wide {job_id}")
    return person


def _size(sandbox: Sandbox, job_id: str) -> str:
    return sandbox.ask(job_id, "#{window_width}x#{window_height}").strip()


@pytest.mark.promise("pair-fit")
def test_a_cut_window_says_so_and_is_fitted_and_as_it_was_by_the_menu(
    cleared: Sandbox, server: Server, job: str
) -> None:
    person = _looking(cleared, job)
    person.sees("cut at 80 of 200: F12 f fits")
    wide = Person(cleared, columns=200, rows=50)
    wide.sees(f"wide {job}")
    assert "cut at" not in wide.screen()
    wide.detach()
    person.press("F12")
    person.sees("Fit to my terminal")
    person.press("f")
    person.sees("fitted: F12 f undoes it")
    assert _size(cleared, job) == "80x22"
    shows(server, job, "21 80")  # the program was told; one line is the border's
    person.press("F12")
    person.sees("As it was")
    person.press("f")
    person.sees("cut at 80 of 200")
    assert _size(cleared, job) == "200x51"
    shows(server, job, "50 200")


@pytest.mark.promise("pair-fit")
@pytest.mark.parametrize("how", ["another window", "detach"])
def test_it_is_as_it_was_when_its_person_looks_elsewhere(cleared: Sandbox, server: Server, job: str, how: str) -> None:
    person = _looking(cleared, job)
    assert "80 columns and 22 lines" in cli(cleared, "fit", job).stdout
    person.sees("fitted: F12 f undoes it")
    assert _size(cleared, job) == "80x22"
    person.press("C-b", *(["0"] if how == "another window" else ["d"]))
    wait_until(lambda: _size(cleared, job) == "200x51")
    assert not cleared.ask(job, "#{@mcp_was}").strip()


@pytest.mark.promise("pair-fit")
def test_the_command_undoes_it_and_needs_somebody_who_looks(cleared: Sandbox, server: Server, job: str) -> None:
    cleared.tmux("detach-client", "-s", "=mcp-jobs", check=False)
    wait_until(lambda: not cleared.tmux("list-clients", check=False).strip())
    refused = cli(cleared, "fit", job, status=1)
    assert "Nobody looks" in refused.stderr and f"attach {job}" in refused.stderr
    person = _looking(cleared, job, 40, 12)
    cli(cleared, "fit", job)
    cli(cleared, "fit", job)  # the size from before is not forgotten
    assert _size(cleared, job) == "40x10"
    assert "as it was" in cli(cleared, "fit", "--undo", job).stdout
    assert _size(cleared, job) == "200x51"
    assert "was not fitted" in cli(cleared, "fit", "--undo", job).stdout
    person.close()
