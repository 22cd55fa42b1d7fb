"""How text passes tmux's parsers."""

from __future__ import annotations

import pytest

from mcp_background_job.tmux.quoting import (
    is_key,
    join_commands,
    key_label,
    literal,
    own_socket,
    pipe_command,
    set_pane_options,
    window_name,
)


@pytest.mark.parametrize(
    ("text", "quoted"), [("#{pane_id}", "##{pane_id}"), ("100%", "100%%"), ("#(w)", "##(w)"), ("a", "a"), ("", "")]
)
def test_formats_and_strftime_are_quoted(text: str, quoted: str) -> None:
    assert literal(text) == quoted


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("make\n all", "make all"),
        ("x" * 30, "x" * 23 + "…"),
        ("\x1b[31m", "[31m"),
        ("\x1b", "job"),
        ("", "job"),
        ("#[fg=red]", "## [fg=red]"),
        ("#S", "##S"),
    ],
)
def test_a_window_is_named_in_one_short_line_that_nothing_obeys(text: str, name: str) -> None:
    assert window_name(text) == name


def test_a_semicolon_at_the_end_of_a_word_stays_one() -> None:
    joined = join_commands([["send-keys", "a;"], ["set", "@x", ";"], ["display", "a;b"]])
    assert joined == ["send-keys", "a\\;", ";", "set", "@x", "\\;", ";", "display", "a;b"]


def test_an_empty_option_is_taken_away() -> None:
    assert set_pane_options("%1", {"@a": "x y", "@b": ""}) == [
        ["set-option", "-p", "-t", "%1", "@a", "x y"],
        ["set-option", "-p", "-t", "%1", "-u", "@b"],
    ]


def test_a_pipe_is_one_shell_command_without_formats() -> None:
    assert pipe_command(["prog", "a b", "100%", "#{x}"]) == "exec prog 'a b' 100%% '##{x}'"


@pytest.mark.parametrize("name", ["a", "C-c", "M-x", "C-M-S-Up", "Escape", "enter", "F12", "KP5", "^A", "ü", "-", "^"])
def test_these_are_keys(name: str) -> None:
    assert is_key(name)


@pytest.mark.parametrize("name", ["", "Hello", "F13", "C-", "Ctrl-c", "\x1b", "ab", "C-cc"])
def test_these_are_not(name: str) -> None:
    assert not is_key(name)


@pytest.mark.parametrize(
    ("variable", "socket"), [("/tmp/t/default,123,0", "/tmp/t/default"), ("/a,b/s,1,2", "/a,b/s"), ("", "")]
)
def test_the_socket_of_ones_own_tmux(monkeypatch: pytest.MonkeyPatch, variable: str, socket: str) -> None:
    monkeypatch.setenv("TMUX", variable)
    assert own_socket() == socket


@pytest.mark.parametrize(
    ("key", "label"),
    [("C-b", "Ctrl-b"), ("M-m", "Alt-m"), ("F12", "F12"), ("C-M-Up", "Ctrl-Alt-Up"), ("C--", "Ctrl--")],
)
def test_a_key_is_written_as_a_person_reads_it(key: str, label: str) -> None:
    assert key_label(key) == label
