"""What only Linux has is decided in one file, costs a job's start nothing, and can be switched off as a whole."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from mcp_background_job import system

SOURCES = Path(system.__file__).parent
# How the rest of the program would decide for itself.
DECIDES = re.compile(
    r"""sys\.platform\b.*linux|hasattr\((os|signal|socket|select|time), |getattr\(time|(exists|isdir)\(f?"/proc"""
)
SWITCHES = ("PROC", "PIDFD", "SUBREAPER", "INOTIFY", "MEMFD", "PEERCRED", "TUNABLE")


def ask(portable: str, expression: str) -> str:
    program = f"from mcp_background_job import system; print({expression})"
    env = {"MCP_BG_PORTABLE": portable, "PYTHONPATH": str(SOURCES.parent)}
    return subprocess.run([sys.executable, "-S", "-c", program], env=env, capture_output=True, text=True).stdout


def test_no_other_file_decides_what_the_system_has() -> None:
    found = [
        f"{path.relative_to(SOURCES)}: {line.strip()}"
        for path in SOURCES.rglob("*.py")
        if path.name != "system.py"
        for line in path.read_text(encoding="utf-8").splitlines()
        if DECIDES.search(line)
    ]
    assert found == []


def test_all_of_it_is_in_the_list() -> None:
    for name in (*SWITCHES, "UPTIME_CLOCK", "LINE_LIMIT", "DISABLED", "MAXRSS_UNIT"):
        assert name in (system.__doc__ or "") and hasattr(system, name)


@pytest.mark.linux("there is something to switch off")
def test_one_variable_switches_all_of_it_off() -> None:
    switches = f"{{{', '.join(f'system.{name}' for name in SWITCHES)}}}"
    assert ask("", switches) == "{True}\n"
    assert ask("1", switches) == "{False}\n"


def test_a_runner_imports_nothing_slow_for_it() -> None:
    assert (
        ask("", "sorted({'pathlib', 'typing', 'subprocess', 'signal', 'enum'} & system.sys.modules.keys())") == "[]\n"
    )
