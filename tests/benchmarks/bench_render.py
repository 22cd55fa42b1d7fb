"""How fast render() is, in MB of terminal bytes a second of processor time, beside the baseline of decoding.

    python tests/benchmarks/bench_render.py [--size MB] [name ...]

Rates are of raw bytes in. The promise: plain and coloured logs at about 100 MB/s, progress at 20 MB/s or more.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

from mcp_background_job.output.emulator.render import render


def plain() -> bytes:
    line = "2030-01-01 12:00:%02d worker-%d processed item %d of the batch, nothing to see here\r\n"
    return "".join(line % (i % 60, i % 7, i) for i in range(1000)).encode()


def coloured() -> bytes:
    line = "\x1b[32m2030-01-01 12:00:%02d\x1b[0m \x1b[1;34mINFO\x1b[0m a message with some words, and the number %d\r\n"
    return "".join(line % (i % 60, i) for i in range(1000)).encode()


def unicode() -> bytes:
    line = "✓ tests/test_%d.py — größe: 日本語 прошло │ %d ms\r\n"
    return "".join(line % (i, i) for i in range(1000)).encode()


def carriage_return() -> bytes:
    """One line over and over, as curl and tqdm without colours."""
    line = "\r %2d%%|%-50s| %d/100 [00:%02d<00:10,  9.9it/s]"
    return "".join(line % (i, "#" * (i // 2), i, i % 60) for i in range(100)).encode() + b"\r\n"


def erased() -> bytes:
    """One coloured line, erased before each redraw, as pip."""
    line = "\r\x1b[2K   \x1b[38;5;197m%s\x1b[0m\x1b[38;5;237m%s\x1b[0m \x1b[32m%d MB\x1b[0m eta \x1b[36m0:%02d\x1b[0m"
    return "".join(line % ("━" * (i // 3), "━" * (27 - i // 3), i, 80 - i) for i in range(80)).encode() + b"\r\n"


def cargo() -> bytes:
    """A progress line below lines that stay."""
    bar = "\x1b[0m\x1b[1m\x1b[36m    Building\x1b[0m [=====>      ] %d/200: serde, tokio, hyper, another-crate\r\x1b[K"
    done = "\x1b[0m\x1b[1m\x1b[32m   Compiling\x1b[0m crate-%d v1.0.%d\r\n"
    return "".join(bar % i + done % (i, i) for i in range(200)).encode()


def bars() -> bytes:
    """Five lines redrawn as a block."""
    line = "\r\x1b[2K layer%d: Downloading [%-51s] %d.0MB/100MB\r\n"
    blocks = ("".join(line % (j, "=" * (i // 2) + ">", i) for j in range(5)) for i in range(100))
    return ("\r\n" * 5 + "".join("\x1b[5A" + block for block in blocks)).encode()


def docker() -> bytes:
    """One of five lines redrawn at a time."""
    line = "\x1b[%dA\x1b[2K\r%012x: Downloading [%-51s]  %d.0MB/100MB\r\x1b[%dB"
    redraws = (line % (5 - j, j, "=" * (i // 2) + ">", i, 5 - j) for i in range(100) for j in range(5))
    return ("\r\n" * 5 + "".join(redraws)).encode()


def rich() -> bytes:
    """Three coloured lines, erased from the last one up."""
    up = "\x1b[2K\x1b[1A\x1b[2K\x1b[1A\x1b[2K"
    line = (
        "Task %d \x1b[38;2;249;38;114m%s\x1b[0m\x1b[38;5;237m╺%s\x1b[0m \x1b[35m%3d%%\x1b[0m \x1b[36m0:00:%02d\x1b[0m"
    )
    blocks = (
        "\r\n".join(line % (j, "━" * (i // 3), "━" * (33 - i // 3), i, i % 60) for j in range(3)) for i in range(100)
    )
    return ("\r\n" * 2 + "".join(up + block for block in blocks)).encode()


CASES = [plain, coloured, unicode, carriage_return, erased, cargo, bars, docker, rich]


def seconds(call: Callable[[bytes], object], data: bytes) -> float:
    """The best of five, as processor time, so that a busy machine disturbs less."""
    best = float("inf")
    for _ in range(5):
        start = time.process_time()
        call(data)
        best = min(best, time.process_time() - start)
    return best


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--size", type=float, default=10, help="MB of each kind")
    parser.add_argument("names", nargs="*", help="kinds to measure, else all")
    options = parser.parse_args()
    print(f"{'kind':16} {'render MB/s':>12} {'decode MB/s':>12} {'text/raw':>9}")
    for case in CASES:
        if options.names and case.__name__ not in options.names:
            continue
        sample = case()
        data = sample * (int(options.size * 1e6) // len(sample) + 1)
        rate = len(data) / seconds(render, data) / 1e6
        baseline = len(data) / seconds(bytes.decode, data) / 1e6
        print(f"{case.__name__:16} {rate:12.1f} {baseline:12.0f} {len(render(data)) / len(data):9.3f}")


if __name__ == "__main__":
    main()
