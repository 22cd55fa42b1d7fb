"""What tmux prints of the session, read back."""

from __future__ import annotations

from mcp_background_job.tmux.condition import glancing, seen

LINES = [
    "%7 4711",
    "mcp-opened",
    "mcp-pane 0 @0 %0 0 1 0.2.0 /usr/bin/my python",
    "mcp-pane 1 ",
    "mcp-pane 9 @3 %3 0 0 0.2.0 /usr/bin/python",
    "mcp-looked C-a None",
    "@mcp_jobs abc",
    '@mcp_options "@mcp_jobs status"',
    "@mcp_keys F12",
    "key-table mine",
    "status 2",
    'bind-key    -T mine F12 run-shell -C "#{E:@mcp_open}"',
    "bind-key -r -T mine F11 display-message hi",
]


def test_a_session_that_is_well() -> None:
    found = seen(LINES)
    assert found is not None
    assert found.has_board() and found.has_options({"key-table": "mine"})
    assert (found.marker, found.prefixes, found.keys) == ("abc", ("C-a",), frozenset({"F12"}))
    assert [one.is_board for one in found.boards] == [True, False]
    assert found.boards[0].program == "0.2.0 /usr/bin/my python"


def test_what_is_missing_is_noticed() -> None:
    for line in ("status 2", "@mcp_keys F12", LINES[-2]):
        found = seen([one for one in LINES if one != line])
        assert found is not None and not found.has_options({})
    found = seen([one for one in LINES if not one.startswith("mcp-pane 0")])
    assert found is not None and not found.has_board()
    found = seen(LINES)
    assert found is not None and not found.has_options({"key-table": "root"})


def test_where_there_is_no_session_nothing_is_found() -> None:
    assert seen([]) is None


def test_a_glance_asks_for_window_0_and_the_known_keys_alone() -> None:
    commands = glancing("=mine:", "mine", {"F9", "F12"})
    assert "list-panes -t =mine:0" in " ".join(commands[0]).replace("'", "").replace('"', "")
    assert [command[-1].split()[-1].strip("'\"") for command in commands[-2:]] == ["F12", "F9"]
    assert all(command[0] == "if-shell" for command in (commands[0], *commands[-2:])), "their errors end nothing"
