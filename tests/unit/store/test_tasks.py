"""What of a task is told once and for good."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

from mcp_background_job.store.tasks import claimed_question, is_answered, read_result, write_result


def test_one_of_many_servers_carries_an_answer_out(tmp_path: Path) -> None:
    everybody_has_tried = Barrier(8)

    def carry_out(_: int) -> bool:
        with claimed_question(tmp_path, "prompt-3") as note_answered:
            everybody_has_tried.wait(10)
            if note_answered is not None:
                note_answered()
            return note_answered is not None

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(carry_out, range(8))).count(True) == 1
    assert is_answered(tmp_path, "prompt-3") and not is_answered(tmp_path, "prompt-30")
    with claimed_question(tmp_path, "prompt-3") as note_answered:
        assert note_answered is None


def test_an_answer_that_was_not_carried_out_leaves_the_question_open(tmp_path: Path) -> None:
    for _ in range(2):
        with claimed_question(tmp_path, "prompt-3") as note_answered:
            assert note_answered is not None and is_answered(tmp_path, "prompt-3")
        assert not is_answered(tmp_path, "prompt-3")


def test_a_server_that_is_killed_while_it_answers_leaves_the_question_open(tmp_path: Path) -> None:
    code = (
        "import os, pathlib, signal, sys\n"
        "from mcp_background_job.store.tasks import claimed_question\n"
        "with claimed_question(pathlib.Path(sys.argv[1]), 'prompt-3') as note_answered:\n"
        "    assert note_answered is not None\n"
        "    os.kill(os.getpid(), signal.SIGKILL)"
    )
    assert subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False).returncode == -9
    assert not is_answered(tmp_path, "prompt-3")


def test_the_first_result_stays(tmp_path: Path) -> None:
    assert read_result(tmp_path) is None
    with ThreadPoolExecutor(8) as pool:
        told = set(pool.map(lambda number: write_result(tmp_path, b"%d" % number * 10_000), range(8)))
    assert told == {read_result(tmp_path)}
    [file] = tmp_path.iterdir()
    assert file.stat().st_mode & 0o077 == 0
