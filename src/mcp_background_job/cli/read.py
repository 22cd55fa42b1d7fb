"""The commands that read: list, status, output, tail.

Each takes the parsed options and gives the exit status; its errors are JobErrors.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace

from mcp_background_job import responses
from mcp_background_job.errors import InvalidInput, WrongUsage
from mcp_background_job.jobs.manager import JobManager
from mcp_background_job.output.dress import Dress
from mcp_background_job.output.pages import Page
from mcp_background_job.store.models import Job
from mcp_background_job.text import escaped
from mcp_background_job.ui.console import end_last_line, note, print_jobs, print_json, print_page, print_status
from mcp_background_job.ui.looks import Show, colours_wanted, dress_for, html, texts, with_matches
from mcp_background_job.ui.sent import NOTHING_TYPED, inputs_of, sent_lines
from mcp_background_job.ui.units import size
from mcp_background_job.ui.wording import ending_line

from .follow import Follower, follow, line_begins, run_to_end
from .lookup import find_job
from .settings import settings

PAGE = 1_000_000  # characters read at a time


def list_jobs(options: argparse.Namespace) -> int:
    manager = JobManager(settings())
    found = manager.view.jobs(options.all)
    if options.json:
        print_json(responses.listing(manager.view, found))
    elif found.jobs:
        print_jobs(manager.view, found.jobs)
    else:
        print(f"No jobs{'' if options.all else ' now'}. Start one: mcp-background-job run COMMAND", file=sys.stderr)
    if found.unreadable and not options.json:
        note(f"unreadable records: {', '.join(found.unreadable)}. Run mcp-background-job doctor.")
    return 0


def status(options: argparse.Namespace) -> int:
    manager = JobManager(settings())
    job = find_job(manager, options.job)
    if options.json:
        print_json(responses.full_status(manager.view, job, manager.attach_command(job)))
    else:
        print_status(manager, job)
    return 0


def history(options: argparse.Namespace) -> int:
    """What agents typed into a job lately, as the menu shows it."""
    manager = JobManager(settings())
    inputs = inputs_of(manager.view.folder(find_job(manager, options.job).spec.job_id))
    if options.json:
        print_json({"inputs": inputs})
    elif inputs:
        print("\n".join(escaped(line) for facts in inputs for line in sent_lines(facts)))
    else:
        note(NOTHING_TYPED)
    return 0


def output(options: argparse.Namespace) -> int:
    """All of it for a person, page by page; as JSON one answer, bounded as an agent's is."""
    manager = JobManager(settings())
    job = find_job(manager, options.job)
    if options.json:
        found = manager.view.output(job, options.since, options.grep, options.context, since_seconds=options.last)
        print_json(responses.page(found, job))
        return 1 if options.grep and not found.stdout + found.stderr else 0
    if options.grep:
        found = manager.view.output(job, options.since, options.grep, options.context, sys.maxsize, options.last)
        if colours_wanted(options.color):
            found = replace(found, stdout=with_matches(found.stdout, options.grep))
        print_page(responses.page(found, job))
        return 0 if found.stdout + found.stderr else 1
    since = options.since or 0
    if options.last is not None:
        if options.since is not None:
            raise InvalidInput("--since and --last are both given", "Leave one of them out")
        since = manager.view.printed_since(job, manager.view.reader(job), options.last)
    dress = dress_for(manager.view, job, options)
    if dress is not None or options.html:
        return output_dressed(manager, job, dress, since, options.html)
    found = manager.view.output(job, since, max_chars=PAGE)
    if found.dropped_bytes:
        note(f"the oldest {size(found.dropped_bytes)} of output are no longer kept")
    print_page(responses.page(found, job))
    while found.truncated:
        found = manager.view.output(job, found.cursor, max_chars=PAGE)
        print_page(responses.page(found, job))
    end_last_line(found.stdout)
    return 0


def output_dressed(manager: JobManager, job: Job, dress: Dress | None, since: int, as_html: bool) -> int:
    """All of it from a cursor on, with its colours or times; or as a page of HTML."""
    reader, show = manager.view.reader(job, dress), Show(job, dress)
    if since > reader.log.end:
        manager.view.output(job, since)  # refuses it
    shown = map(show.text, texts(reader, since))
    if as_html:
        print(html(job, (line for text in shown for line in text.removesuffix("\n").split("\n"))))
        return 0
    last = ""
    for text in shown:
        print(text, end="", flush=True)
        last = text
    end_last_line(last)
    return 0


def tail(options: argparse.Namespace) -> int:
    manager = JobManager(settings())
    job = find_job(manager, options.job)
    dress = None if options.json else dress_for(manager.view, job, options)
    if options.follow and not options.json:
        return tail_on(manager, job, options.lines, dress)
    if options.follow:
        raise WrongUsage("--follow can't be combined with --json", "Leave one of them out")
    found = manager.view.tail(job, options.lines, dress)
    if options.json:
        print_json(responses.page(found, job))
        return 0
    print_dressed(job, dress, found)
    end_last_line(found.stdout)
    return 0


def print_dressed(job: Job, dress: Dress | None, found: Page) -> None:
    if dress is None:
        print_page({"stdout": found.stdout, "stderr": found.stderr})
    else:
        print(Show(job, dress).text(found.stdout), end="", flush=True)


def tail_on(manager: JobManager, job: Job, lines: int, dress: Dress | None) -> int:
    """The last lines, and what comes after them; the unfinished last line belongs to what comes."""
    found = manager.view.tail(job, lines, dress)
    cursor, out = found.cursor, found.stdout
    if not job.spec.separate_stderr:
        cursor = line_begins(manager.view.log(job.spec.job_id), found.cursor)
        out = out[: out.rfind("\n") + 1]
    print_dressed(job, dress, replace(found, stdout=out))
    ended = run_to_end(lambda: follow(Follower(manager.view, job, cursor, dress)))
    if sys.stderr.isatty():
        note(ending_line(ended))
    return 0
