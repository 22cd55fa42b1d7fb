"""Colours as they ride through the emulator."""

from __future__ import annotations

import pytest

from mcp_background_job.output.dress import Dress, Style
from mcp_background_job.output.emulator.render import render


@pytest.mark.parametrize(
    ("sequences", "style"),
    [
        (["1;31"], "1;31"),
        (["31", "0"], ""),
        (["31", ""], ""),
        (["1;4;38;5;208", "24"], "1;38;5;208"),
        (["38;2;1;2;3;48;5;4"], "38;2;1;2;3;48;5;4"),
        (["1;38:2::255:0:0"], "1;38;2;255;0;0"),
        (["38:2:255:0:1"], "38;2;255;0;1"),
        (["38:5:9"], "38;5;9"),
        (["58;5;9"], ""),
        (["58:2::1:2:3;4"], "4"),
        (["4:3"], "4"),
        (["97;104", "39"], "104"),
        (["38;5"], "38;5;0"),
        (["999;1"], "1"),
    ],
)
@pytest.mark.promise("person-looks")
def test_a_style_is_what_its_sequences_make_it(sequences: list[str], style: str) -> None:
    found = Style()
    for sequence in sequences:
        found.obey(sequence)
    assert str(found) == style


@pytest.mark.promise("person-looks")
def test_colours_stay_on_their_characters(tmp_path: object) -> None:
    dress = Dress(colours=True)
    data = "\x1b[31mone\x1b[m 中\x1b[32m👩\u200d💻e\u0301\x1b[m\r\x1b[2C\x1b[34mX\x1b[m\r\n\U0010f001plain\r\n".encode()
    dressed, _ = dress.dressed(0, data, [])
    shown = dress.shown(render(dressed), str, lambda _: "")
    assert shown == "\x1b[31mon\x1b[m\x1b[34mX\x1b[m 中\x1b[32m👩\u200d💻e\u0301\x1b[m\nplain\n"
    assert dress.plain(render(dressed)) == render(data.replace("\U0010f001".encode(), b""))
