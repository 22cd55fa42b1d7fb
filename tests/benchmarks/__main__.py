"""All measurements in one command: `python tests/benchmarks [--quick] [--only SUITE] [--json FILE] [--readme]`.

Ours beside a bare MCPServer, beside bare tmux, and beside the peers, on one machine, in turn. Peers are installed
from their registries into the user's cache folder at first (PEER_PYTHON names a Python of 3.12 or newer for them where
none is found); what can't be had is skipped with a line. Everything runs in folders and on tmux servers of its own.
"""

from __future__ import annotations

import argparse
import contextlib
import signal
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import calls
import endurance
import errands
import features
import output
import programs
import readme
import resting
from bench import Bench
from figures import Figures
from peers import contenders

SUITES = {
    "start": calls.starting,
    "calls": calls.reading,
    "execute": calls.executing,
    "exit": calls.ending,
    "interact": calls.talking,
    "memory": calls.idle_memory,
    "flood": output.flood,
    "output": output.pages_and_grep,
    "large": output.large,
    "idle": resting.idle,
    "waits": resting.waits,
    "resting": programs.resting,
    "endurance": endurance.endurance,
    "errands": errands.errands,
    "features": features.features,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--quick", action="store_true", help="few tries: does it run, where about do we stand")
    parser.add_argument("--only", action="append", choices=SUITES, metavar="SUITE", help=", ".join(SUITES))
    parser.add_argument("--without-peers", action="store_true")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures; keeps older ones of other suites")
    parser.add_argument("--readme", action="store_true", help="rewrite the tables of README and ARCHITECTURE")
    options = parser.parse_args()

    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what was started is ended then too
    figures = Figures()
    if options.json and options.json.exists():
        figures.load(options.json)
    found = contenders(figures.say, options.without_peers)
    figures.versions |= {who: contender.version for who, contender in found.items()}
    figures.condition(options.quick)
    for name in options.only or SUITES:
        figures.say(f"{name}:")
        with contextlib.ExitStack() as stack:
            SUITES[name](Bench(figures, found, options.quick, stack))
        if options.json:
            figures.save(options.json)
    others = [who for who in figures.versions if who not in ("ours", "bare")]
    if figures.rows:
        figures.console.print(figures.table(others))
    if figures.features:
        figures.console.print(figures.feature_table(["ours", *others]))
    if figures.errands.rows:
        figures.console.print(figures.errands.table(["ours", *others]))
    if options.readme:
        readme.write(figures)


if __name__ == "__main__":
    main()
