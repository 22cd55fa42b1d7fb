"""`uv run python tests/picture.py`: remakes the README's pictures from real jobs on a real terminal.

A person attaches to a session with six jobs; what their terminal shows goes through rich into SVG files, which name
no font or file of another host. Ids, times and memory are those of the run.
"""

from __future__ import annotations

import io
import re
import sys
from pathlib import Path

from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console
from rich.terminal_theme import TerminalTheme
from rich.text import Text

from support.person import Person
from support.sandbox import Sandbox, shows
from support.waiting import wait_until

FOLDER = Path(__file__).parents[1] / ".github"
COLUMNS, ROWS = 108, 18
CELL = 12.2  # width of a character in rich's SVG
FONTS = "ui-monospace, 'DejaVu Sans Mono', Menlo, Consolas, monospace"
PLAIN = [(40, 44, 52), (240, 98, 110), (126, 200, 120), (229, 192, 105), (97, 165, 240), (200, 130, 225)]
BRIGHT = [(110, 118, 130), (250, 120, 130), (150, 215, 145), (240, 210, 130), (125, 185, 250), (215, 155, 235)]
THEME = TerminalTheme(
    (24, 26, 31),
    (214, 218, 224),
    [*PLAIN, (86, 190, 200), (214, 218, 224)],
    [*BRIGHT, (115, 210, 220), (245, 247, 250)],
)
TESTS = r"""for n in 1 2 3 4 5 6; do echo "tests/test_pay_$n.py ......"; done; echo "1 failed, 35 passed"; exit 1"""
BUILD = r"""n=0; while [ $n -lt 400 ]; do n=$((n+1)); printf '\rcompiling %3d/400' $n; sleep .3; done"""
MIGRATE = r"""echo "3 tables will be altered"; read -p 'Go on? [y/n] ' yes; echo ok"""
DEPLOY = r"""echo "Deploying shop 4.2 to production"; printf 'Password for deploy: '; read -rs secret; sleep 1000"""
JOBS = {
    "lint": "echo All checks passed!",
    "test": TESTS,
    "web": "python3 -u -m http.server 0",
    "build": BUILD,
    "migrate": MIGRATE,
    "deploy": DEPLOY,
}
ASKED = "type the deploy password: it is in the safe"


def picture(screen: str, title: str, name: str) -> str:
    """A terminal's content, with its colours, as SVG."""
    console = Console(record=True, width=COLUMNS, file=io.StringIO(), force_terminal=True, color_system="truecolor")
    for line in screen.rstrip("\n").split("\n"):
        text = Text.from_ansi(line)
        text.pad_right(COLUMNS - text.cell_len)
        console.print(text, no_wrap=True, crop=True)
    # rich's own template asks a font host for its font.
    local = re.sub(r"@font-face \{\{.*?\}\}\s*", "", CONSOLE_SVG_FORMAT, flags=re.DOTALL)
    local = local.replace("font-family: Fira Code, monospace", f"font-family: {FONTS}")
    local = local.replace("font-family: arial", "font-family: system-ui, sans-serif")
    drawn = console.export_svg(title=title, theme=THEME, code_format=local, unique_id=name)
    runs = r'(<text [^>]*?x=")([\d.]+)("[^>]*? textLength=")([\d.]+)("[^>]*>)([^<]*)</text>'
    return "\n".join(line.rstrip() for line in re.sub(runs, trimmed, drawn).splitlines() if line.strip()) + "\n"


def trimmed(text: re.Match[str]) -> str:
    """A run of characters without the blanks around it: some programs that show SVG drop them and stretch the rest."""
    before, x, between, length, after, words = text.groups()
    left = blanks(re.match("(?:&#160;)*", words))
    right = blanks(re.search("(?:&#160;)*$", words))
    kept = words.removeprefix("&#160;" * left).removesuffix("&#160;" * right)
    if not kept.strip():
        return ""
    return f"{before}{float(x) + left * CELL:g}{between}{float(length) - (left + right) * CELL:g}{after}{kept}</text>"


def blanks(found: re.Match[str] | None) -> int:
    return found[0].count("&#160;") if found else 0


def start(sandbox: Sandbox) -> dict[str, str]:
    """The jobs, as an agent starts them; name → id."""
    server = sandbox.server(PATH=sandbox.environment["PATH"])
    ids = {name: server.call("execute", command=command, name=name)["job_id"] for name, command in JOBS.items()}
    shows(server, ids["web"], "Serving HTTP")
    shows(server, ids["deploy"], "Password")
    for name in ("migrate", "deploy"):
        server.call("wait", job_ids=[ids[name]], until="input", timeout=50)
    server.call("handoff", job_id=ids["deploy"], message=ASKED)
    return ids


def draw(sandbox: Sandbox) -> dict[str, str]:
    """Name of the file → its content."""
    ids = start(sandbox)
    person = Person(sandbox, columns=COLUMNS, rows=ROWS)
    try:
        sandbox.tmux("select-window", "-t", "=mcp-jobs:0")
        person.sees("1 held by you")
        person.sees("35 passed")
        wait_until(
            lambda: re.search(r"build +[1-9]\ds", person.screen()), 30, what="a build that runs for some seconds"
        )
        board = person.screen(colours=True)
        sandbox.tmux("select-window", "-t", sandbox.window(ids["deploy"]))
        person.sees("F12 t hands them back")
        person.press("F12")
        person.sees("What the agent sent")
        pair = person.screen(colours=True)
    finally:
        person.close()
    return {
        "board.svg": picture(board, "tmux attach -t mcp-jobs", "board"),
        "pair.svg": picture(pair, "the agent asked for a password: the keys are yours, F12 is the menu", "pair"),
    }


def main() -> None:
    sandbox = Sandbox()
    try:
        drawn = draw(sandbox)
    finally:
        sandbox.close()
    FOLDER.mkdir(exist_ok=True)
    for name, content in drawn.items():
        (FOLDER / name).write_text(content, encoding="utf-8")
        print(FOLDER / name, len(content), "bytes", file=sys.stderr)


if __name__ == "__main__":
    main()
