"""What render() makes of terminal bytes, compared with what tmux itself shows of them.

One server with a few windows of different sizes serves all examples: `cat` hands bytes from a FIFO to the
window's terminal in raw mode, and a control client captures it. RENDER_EXAMPLES sets how many examples each
property gets (default 250).
"""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mcp_background_job.output.emulator.printing import LINE_DRAWING
from mcp_background_job.output.emulator.render import PAST_NOTE, render
from mcp_background_job.output.emulator.row import WIDTHS

EXAMPLES = int(os.environ.get("RENDER_EXAMPLES", "250"))
DEADLINE = 20.0  # seconds for tmux to do one thing
SIZES = [(200, 50), (20, 6), (9, 3)]

pytestmark = pytest.mark.skipif(shutil.which("tmux") is None, reason="tmux is not installed")


class Tmux:
    """A server of its own with a window for each size, and a control client that asks it."""

    def __init__(self, folder: Path) -> None:
        self.environment = {k: v for k, v in os.environ.items() if k not in ("TMUX", "TMUX_PANE")}
        self.environment |= {"TMUX_TMPDIR": str(folder), "HOME": str(folder), "LC_ALL": "C.UTF-8"}
        self.fifos: dict[tuple[int, int], int] = {}
        self.marks = 0
        start = ["set", "-g", "history-limit", "100000", ";"]
        start += ["set", "-g", "status", "off"]
        for columns, rows in SIZES:
            fifo = folder / f"{columns}x{rows}"
            os.mkfifo(fifo)
            self.fifos[columns, rows] = os.open(fifo, os.O_RDWR)
            feed = f"stty raw -echo; exec cat {shlex.quote(str(fifo))}"
            start += [";", "new-session", "-d", "-s", f"{columns}x{rows}"]
            start += ["-x", str(columns), "-y", str(rows), feed]
        self._run("start-server", ";", *start)
        self.control = subprocess.Popen(
            ["tmux", "-u", "-C", "attach-session", "-f", "no-output,ignore-size"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=self.environment,
        )
        self._answer()

    def _run(self, *arguments: str) -> None:
        command = ["tmux", "-u", "-f", "/dev/null", *arguments]
        subprocess.run(command, env=self.environment, check=True, timeout=DEADLINE)

    def close(self) -> None:
        with contextlib.suppress(subprocess.CalledProcessError):
            self._run("kill-server")
        self.control.communicate(timeout=DEADLINE)
        for fifo in self.fifos.values():
            os.close(fifo)

    def _answer(self) -> list[str]:
        """Lines between the next %begin and its %end."""
        assert self.control.stdout is not None
        lines: list[str] = []
        number = b""
        for line in self.control.stdout:
            if not number and line.startswith(b"%begin "):
                number = line.split(b" ")[2]
            elif number and line.startswith((b"%end ", b"%error ")) and line.split(b" ")[2] == number:
                assert line.startswith(b"%end "), lines
                return lines
            elif number:
                lines.append(line.decode(errors="replace").removesuffix("\n"))
        raise AssertionError("the control client ended")

    def ask(self, command: str) -> list[str]:
        assert self.control.stdin is not None
        self.control.stdin.write(command.encode() + b"\n")
        self.control.stdin.flush()
        return self._answer()

    def _send(self, size: tuple[int, int], data: bytes) -> None:
        """Write data to the window and wait until tmux has read it all: a title set behind it arrives."""
        self.marks += 1
        title = f"mark-{self.marks}"
        data += f"\x1b]2;{title}\x1b\\".encode()
        while data:
            data = data[os.write(self.fifos[size], data) :]
        deadline = time.monotonic() + DEADLINE
        while self.ask(f"display-message -p -t {size[0]}x{size[1]} '#{{pane_title}}'") != [title]:
            assert time.monotonic() < deadline, "tmux did not read all"

    def show(self, data: bytes, columns: int, rows: int, codes: str = "") -> list[str]:
        """Lines that tmux shows of data, history first, wrapped lines joined."""
        size = columns, rows
        target = f"{columns}x{rows}"
        self._send(size, b"\x1b\\\x1b[?1049l\x1bc")
        self.ask(f"send-keys -R -t {target}")
        self.ask(f"clear-history -t {target}")
        self._send(size, data)
        return tidy(self.ask(f"capture-pane -p -J {codes} -S - -E - -t {target}"))

    def show_resized(self, pieces: list[tuple[bytes, tuple[int, int]]], columns: int, rows: int) -> list[str]:
        """The same of pieces, each drawn before the window gets another size, as a person may do."""
        self.show(b"\r", columns, rows)
        target = f"{columns}x{rows}"
        try:
            for data, (new_columns, new_rows) in pieces:
                self._send((columns, rows), data)
                self.ask(f"resize-window -t {target} -x {new_columns} -y {new_rows}")
            return tidy(self.ask(f"capture-pane -p -J -S - -E - -t {target}"))
        finally:
            self.ask(f"resize-window -t {target} -x {columns} -y {rows}")


def tidy(lines: list[str]) -> list[str]:
    """Without the padding at the end of lines and of the whole, which tmux shows and we don't."""
    lines = [line.rstrip(" ") for line in lines]
    while lines and not lines[-1]:
        lines.pop()
    return lines


def expand_tabs(line: str, columns: int) -> str:
    """Tabs as the spaces that a terminal shows for them, also behind a wrap."""
    if "\t" not in line:
        return line
    shown: list[str] = []
    x = 0
    joining = False
    for character in line:
        if character == "\t":
            stop = x if x >= columns - 1 else min(x + 8 - x % 8, columns - 1)
            shown.append("\0" * (stop - x))
            x = stop
        else:
            width = 0 if joining else WIDTHS[character]
            joining = character == "\u200d"
            if width and x + width > columns:
                x = 0
                while shown and not shown[-1].strip("\0"):
                    shown.pop()
            x += width
            shown.append(character)
    return "".join(shown).replace("\0", " ")


def read(data: bytes, columns: int, rows: int) -> list[str]:
    text = render(data, columns, rows)
    return tidy([expand_tabs(line, columns) for line in text.split("\n")])


@pytest.fixture(scope="module")
def tmux(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tmux]:
    server = Tmux(tmp_path_factory.mktemp("tmux"))
    yield server
    server.close()


def csi(final: str, *parameters: st.SearchStrategy[int]) -> st.SearchStrategy[str]:
    return st.tuples(*parameters).map(lambda values: f"\x1b[{';'.join(map(str, values))}{final}")


counts = st.integers(0, 8)
ascii_text = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), min_size=1, max_size=12)
long_text = st.builds(lambda text, times: text * times, ascii_text, st.integers(2, 30))
drawn = st.text(st.sampled_from("█━╸─│┌✓•…é±ß"), min_size=1, max_size=8)
wide = st.text(st.sampled_from("日本語한국🚀✅a"), min_size=1, max_size=6)
clusters = st.sampled_from(["e\u0301", "n\u0303o\u0308", "👩\u200d💻", "❤\ufe0f", "👍🏽", "🇩🇪", "क\u093e", "x\u20dd"])
text = st.one_of(ascii_text, ascii_text, long_text, drawn, wide, clusters)

colours = st.sampled_from(
    ["\x1b[m", "\x1b[0m", "\x1b[1;32m", "\x1b[38;5;208m", "\x1b[48;2;1;2;3m", "\x1b[4:3m", "\x1b[7m"]
)
silent = st.sampled_from(
    [
        "\x07",
        "\x00",
        "\x1b[?25l",
        "\x1b[?25h",
        "\x1b[?2004h",
        "\x1b[?2004l",
        "\x1b(B",
        "\x0f",
        "\x1b=",
        "\x1b>",
        "\x1b]0;a title\x07",
        "\x1b]8;;http://example.org\x1b\\",
        "\x1bP$q m\x1b\\",
        "\x1b_note\x1b\\",
        "\x1b^pm\x1b\\",
        "\x1bXsos\x1b\\",
        "\x1bkname\x1b\\",
        "\x1b[?1h",
        "\x1b[6 q",
        "\x1b[>4;1m",
        "\x1b[12;1$p",
        "\x1b[5;\x18",
        "\x7f",
    ]
)
erasing = st.one_of(
    st.sampled_from(["\x1b[K", "\x1b[1K", "\x1b[2K", "\x1b[J", "\x1b[1J", "\r\x1b[K", "\x1b[2K\r"]),
    csi("X", counts),
)
moving = st.one_of(
    st.sampled_from(["\r", "\b", "\b\b\b", "\x1b[A", "\x1b[H", "\x1bM", "\x1bD", "\x1bE"]),
    *(csi(final, counts) for final in "ABCDEFGd`"),
    csi("H", counts, st.integers(0, 30)),
)
inserting = st.one_of(*(csi(final, counts) for final in "@PLMST"))
saving = st.sampled_from(["\x1b7", "\x1b8", "\x1b[s", "\x1b[u"])
regions = st.one_of(csi("r", st.integers(0, 4), st.integers(0, 8)), st.just("\x1b[r"))
modes = st.sampled_from(
    ["\x1b[4h", "\x1b[4l", "\x1b[?7l", "\x1b[?7h", "\x1b[?6h", "\x1b[?6l", "\x1b[2J", "\x1bc", "\x1b#8"]
)
stops = st.sampled_from(["\x1bH", "\x1b[g", "\x1b[3g", "\x1b[Z", "\x1b[2Z", "\t"])
repeats = st.builds(lambda c, n: f"{c}\x1b[{n}b", st.sampled_from("ab-="), st.integers(0, 30))
newlines = st.sampled_from(["\r\n", "\r\n", "\r\n\r\n", "\n", "\v", "\x0c"])

everything = st.lists(
    st.one_of(
        text,
        text,
        text,
        newlines,
        newlines,
        colours,
        silent,
        erasing,
        moving,
        moving,
        inserting,
        saving,
        regions,
        modes,
        stops,
        repeats,
        st.just("\t"),
    ),
    max_size=40,
)
logs = st.lists(st.one_of(text, text, st.just("\t"), st.just("\r\n"), colours, silent, st.just("\x1b[K")), max_size=60)
progress = st.lists(
    st.one_of(text, text, st.sampled_from(["\r", "\r", "\r\n", "\x1b[K", "\r\x1b[K", "\x1b[2K", "\b"]), colours),
    max_size=60,
)
bars = st.lists(
    st.one_of(
        text,
        st.just("\r\n"),
        st.sampled_from(["\r", "\x1b[K", "\x1b[2K", "\x1b[J", "\x1b[0J", "\x1b[1G"]),
        csi("A", st.integers(1, 4)),
        csi("B", st.integers(1, 4)),
        csi("F", st.integers(1, 4)),
        colours,
    ),
    max_size=60,
)

sizes = st.sampled_from(SIZES)
many = settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


def agrees(tmux: Tmux, parts: list[str], size: tuple[int, int]) -> None:
    data = ("\r" + "".join(parts)).encode()
    assert read(data, *size) == tmux.show(data, *size)


@many
@given(parts=logs, size=sizes)
@pytest.mark.promise("output-readable")
def test_a_coloured_log_reads_as_tmux_shows_it(tmux: Tmux, parts: list[str], size: tuple[int, int]) -> None:
    agrees(tmux, parts, size)


@many
@given(parts=progress, size=sizes)
@pytest.mark.promise("output-readable")
def test_a_progress_line_reads_as_tmux_shows_it(tmux: Tmux, parts: list[str], size: tuple[int, int]) -> None:
    agrees(tmux, parts, size)


@many
@given(parts=bars, size=sizes)
@pytest.mark.promise("output-readable")
def test_bars_redrawn_in_place_read_as_tmux_shows_them(tmux: Tmux, parts: list[str], size: tuple[int, int]) -> None:
    agrees(tmux, parts, size)


@many
@given(parts=everything, size=sizes)
@pytest.mark.promise("output-readable")
def test_any_mix_of_control_sequences_reads_as_tmux_shows_it(
    tmux: Tmux, parts: list[str], size: tuple[int, int]
) -> None:
    agrees(tmux, parts, size)


@many
@given(parts=st.lists(st.one_of(text, st.sampled_from(["\r\n", "\r", "\x1b(0", "\x1b(B", "\x1b)0", "\x0e", "\x0f"]))))
@pytest.mark.promise("output-readable")
def test_line_drawing_reads_as_tmux_draws_it(tmux: Tmux, parts: list[str]) -> None:
    data = ("\r" + "".join(parts)).encode()
    assert read(data, 200, 50) == tidy(drawn_lines(tmux.show(data, 200, 50, "-e")))


def drawn_lines(lines: list[str]) -> list[str]:
    """Lines that were captured with their codes, in which SO and SI enclose the line drawing set."""
    text = re.sub("\x1b\\[[0-9;:]*m", "", "\n".join(lines))
    parts = re.split("\x0e([^\x0f]*)\x0f?", text)
    return "".join(part.translate(LINE_DRAWING) if i % 2 else part for i, part in enumerate(parts)).split("\n")


# Without wide characters: where one wraps early, tmux forgets on wrapping anew that its line goes on. And without going
# up: wrapping anew, tmux counts rows as scrolled that were not, and loses what is below the cursor on the next change.
resized = st.lists(
    st.tuples(
        st.lists(
            st.one_of(ascii_text, long_text, drawn, newlines, st.sampled_from(["\r", "\x1b[K"]), colours), max_size=20
        ),
        st.tuples(st.integers(5, 40), st.integers(2, 12)),
    ),
    min_size=1,
    max_size=5,
)


@many
@given(pieces=resized)
@pytest.mark.promise("output-resized")
def test_a_window_that_is_resized_reads_as_tmux_shows_it(
    tmux: Tmux, pieces: list[tuple[list[str], tuple[int, int]]]
) -> None:
    drawn = [("".join(parts).encode(), size) for parts, size in pieces]
    data, sizes = b"\r", []
    for piece, (columns, rows) in drawn:
        data += piece
        sizes.append((len(data), columns, rows))
    ours = tidy(render(data, 20, 6, sizes=sizes).split("\n"))
    assert ours == tmux.show_resized(drawn, 20, 6)


broken = st.binary(max_size=4).map(lambda data: bytes(byte for byte in data if byte >= 0x20))


@many
@given(data=st.lists(st.one_of(ascii_text.map(str.encode), st.just(b"\r\n"), broken)).map(b"".join))
@pytest.mark.promise("output-any-bytes")
def test_bytes_that_are_no_text_add_nothing_but_their_mark(tmux: Tmux, data: bytes) -> None:
    data = b"\r" + data
    ours = [re.sub("[^ -~]", "", line) for line in read(data, 200, 50)]
    assert tidy(ours) == tidy([re.sub("[^ -~]", "", line) for line in tmux.show(data, 200, 50)])


RECORDED = sorted((Path(__file__).parent.parent / "unit" / "output" / "emulator" / "corpus").glob("*.raw"))
CLEARS_HISTORY = "clear"  # tmux forgets what was above, we keep it


@pytest.mark.parametrize("raw", [raw for raw in RECORDED if raw.stem != CLEARS_HISTORY], ids=lambda path: path.stem)
@pytest.mark.promise("output-readable")
def test_a_recorded_program_reads_as_tmux_shows_it(tmux: Tmux, raw: Path) -> None:
    data = raw.read_bytes()
    assert [line for line in read(data, 200, 50) if line != PAST_NOTE] == tmux.show(data, 200, 50)
