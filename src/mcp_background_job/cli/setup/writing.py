"""Writing a file that a person keeps.

Promises: before a change the file is copied, and no earlier copy is written over; the change appears whole; a link
stays a link, and owner, mode and line ends stay what they were.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from mcp_background_job.errors import InvalidInput


@dataclass(frozen=True)
class Written:
    """What became of a file: whether it was changed, and where the old one was copied to."""

    changed: bool
    backup: Path | None = None


def read_file(file: Path) -> str:
    """The file's text, with the line ends that it has; "" where there is none.

    Raises InvalidInput where it is not UTF-8.
    """
    try:
        return file.read_bytes().decode() if file.exists() else ""
    except UnicodeDecodeError:
        raise InvalidInput(
            f"{file} is not UTF-8", "Add the entry by hand: run this without --write to see it"
        ) from None


def change_file(file: Path, change: Callable[[str], str]) -> Written:
    """Have `change` make the new text of the old one."""
    # An editor's configuration is often a link into a folder of dotfiles: the link stays.
    real = file.resolve()
    before = read_file(real)
    # Lines that all end as on Windows go on doing so; where they are mixed, none is touched.
    windows = 0 < before.count("\n") == before.count("\r\n")
    after = change(before.replace("\r\n", "\n") if windows else before)
    if windows:
        after = after.replace("\n", "\r\n")
    return Written(False) if after == before else Written(True, replace_file(real, after))


def replace_file(file: Path, text: str) -> Path | None:
    """Replace the file's content in one step; where a copy of the old one was put."""
    file.parent.mkdir(parents=True, exist_ok=True)
    backup: Path | None = None
    if file.exists():
        backup = unused(file.with_name(f"{file.name}.{time.strftime('%Y%m%d-%H%M%S')}.bak"))
        shutil.copy2(file, backup)
    descriptor, made = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}-")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as stream:
            stream.write(text)
        if backup is not None:
            shutil.copymode(backup, made)
            keep_owner(file, made, backup)
        Path(made).replace(file)
    except BaseException:
        Path(made).unlink(missing_ok=True)
        raise
    return backup


def unused(path: Path) -> Path:
    """`path`, or one like it that is not there: an earlier copy is never written over."""
    number = 1
    while (found := path if number == 1 else path.with_name(f"{path.name}.{number}")).exists():
        number += 1
    return found


def keep_owner(file: Path, *copies: str | Path) -> None:
    """Give copies the owner of `file`, which under sudo is not the one who makes them."""
    facts = file.stat()
    for copy in copies:
        if (Path(copy).stat().st_uid, Path(copy).stat().st_gid) != (facts.st_uid, facts.st_gid):
            os.chown(copy, facts.st_uid, facts.st_gid)
