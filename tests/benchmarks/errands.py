"""Twelve errands: the calls, the bytes to and from the model and the answers, with each server's own tools.

The errands stand in tasks.py, the agents in agents/. Each try has a place and a server of its own, with the settings
that the server comes with; a tmux session that stands there already costs nothing. Before each call the agent thinks
for half a second, so that nobody types ahead of a program.
"""

from __future__ import annotations

import contextlib
import time

from agents import AGENTS, Missing
from bench import Bench
from peers import NotToBeHad
from stdio import ServerFault
from tallies import Tally
from tasks import TASKS, Task, World

THINKING = 0.5  # seconds; less than any model takes


def errands(bench: Bench) -> None:
    tallies = bench.figures.errands
    for task in TASKS:
        row = {}
        for who in bench.handy:
            with bench.apart() as fresh:
                try:
                    row[who] = one(fresh, task, who)
                except NotToBeHad as error:
                    bench.figures.say(f"  {task.name} is left out: {error}")
                    break
            bench.figures.say(f"  {task.name:32} {who:18} {row[who].in_full()}")
        if row:
            tallies.rows[task.name] = tallies.rows.get(task.name, {}) | row
    for who in bench.handy:
        with bench.apart() as fresh:
            tallies.listing[who] = fresh.client(who).listing_size
    tallies.date = bench.figures.date


def one(bench: Bench, task: Task, who: str) -> Tally:
    """One errand by one agent. Raises NotToBeHad where the errand can't be laid out here."""
    with contextlib.ExitStack() as stack:
        place = bench.place()
        world = World(place, stack)
        task.prepare(world)
        client = bench.client(who, place)
        begun = time.perf_counter()
        outcome = ""
        try:
            agent = AGENTS[who](client)
            client.count()
            client.pause = THINKING
            answer = getattr(agent, task.act)(world)
            task.check(world, client, answer)
        except Missing as error:
            outcome = f"missing: {error}"
        except (ServerFault, AssertionError, KeyError) as error:
            words = str(error).splitlines()
            outcome = f"wrong: {words[0][:90] if words else type(error).__name__}"
        return Tally(client.calls, client.written, client.read, outcome, time.perf_counter() - begun)
