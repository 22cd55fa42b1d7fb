"""`mcp-background-job doctor`: what is wrong here, and what to do about it.

Promises: one step that fails doesn't keep the others from being made; exit status 1 where something is wrong.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from dataclasses import asdict

from mcp_background_job.config import ConfigError
from mcp_background_job.errors import JobError
from mcp_background_job.ui.console import console, print_json, progress

from .checks import STEPS, Finding


def doctor(options: argparse.Namespace) -> int:
    findings: list[Finding] = []
    told: set[str] = set()  # what is wrong for one step is for others, too
    for step in STEPS:
        with progress(step.__doc__ or ""):
            found = [finding for finding in guarded(step) if finding.level != "wrong" or finding.text not in told]
        told |= {finding.text for finding in found}
        findings += found
        if not options.json:
            print_findings(found)
    wrong = sum(finding.level == "wrong" for finding in findings)
    if options.json:
        print_json({"healthy": not wrong, "findings": [asdict(finding) for finding in findings]})
    elif wrong:
        console().print(f"\n{wrong} of {len(findings)} findings need attention.", style="bold red")
    else:
        console().print("\nNothing is wrong.", style="bold green")
    return 1 if wrong else 0


def guarded(step: Callable[[], Iterator[Finding]]) -> list[Finding]:
    """The findings of one step; where it fails, that is its finding."""
    found: list[Finding] = []
    try:
        found.extend(step())
    except ConfigError:
        pass  # check_settings says so
    except JobError as error:
        problem, _, remedy = str(error).partition(". ")
        found.append(Finding("wrong", step.__name__.removeprefix("check_").replace("_", " "), problem, remedy))
    except OSError as error:
        text = f"{error.strerror or error} ({error.filename})"
        found.append(Finding("wrong", step.__name__.removeprefix("check_"), text, "Make it readable and writable"))
    return found


def print_findings(findings: list[Finding]) -> None:
    from rich.padding import Padding
    from rich.text import Text

    out = console()
    for finding in findings:
        sign, style = {"ok": ("✓", "green"), "note": ("!", "yellow"), "wrong": ("✗", "bold red")}[finding.level]
        line = Text.assemble((sign, style), " ", (finding.check, "bold"), ": ", finding.text)
        line.overflow = "fold"
        out.print(line)
        if finding.remedy:
            out.print(Padding(Text(f"→ {finding.remedy}", style=style), (0, 0, 0, 4), expand=False))
