"""The entries of the menu, read from the command that opens it where it fits."""

from __future__ import annotations

from pathlib import Path

from mcp_background_job.ui.menu import VERBS
from mcp_background_job.ui.small_menu import Entry, entries_of

TOP = Path(__file__).parents[3]


def test_entries_are_read_as_tmux_reads_them() -> None:
    written = (
        """display-menu -O -T ' a b ' -x C '#{?x,a,}' t "set-option -p @a '1' ; run-shell \\"b\\"" '' 'All jobs' 0 c"""
    )
    assert entries_of(written) == [
        Entry("#{?x,a,}", "t", "set-option -p @a '1' ; run-shell \"b\""),
        Entry("All jobs", "0", "c"),
    ]


def test_the_packaged_menu_has_every_entry_and_names_verbs_that_exist() -> None:
    conf = (TOP / "tmux.conf").read_text(encoding="utf-8").replace("\\\n", "")
    line = next(line for line in conf.split("\n") if " @mcp_menu " in line)
    entries = entries_of(line.partition(' @mcp_menu "')[2][:-1].replace('\\"', '"'))
    assert [entry.key for entry in entries] == ["t", "k", "i", "r", "f", "0", "d", "?"]
    verbs = {word for entry in entries for word in entry.command.rstrip("'").split() if word in VERBS}
    assert {"show-kill", "show-sent", "again", "fit", "show-help"} <= verbs
