"""The page that plays a recording: what the job printed is data in it, and nothing comes from outside."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from html.parser import HTMLParser

import pytest

from mcp_background_job.cli.recordings.page import PLAYER, page
from mcp_background_job.text import one_line

HOSTILE = [
    "</script><script>document.title='run'</script>",
    "<!--<script>",
    "]]></SCRIPT\t><img src=x onerror=alert(1)>",
    "</title><script>alert(1)</script>",
    "\x1b]8;;javascript:alert(1)\x07link\x1b]8;;\x07\u2028\u2029\x00&lt;&amp;",
]


class Elements(HTMLParser):
    """Every element of a page with its attributes and its own text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None], str]] = []
        self.comments: list[str] = []
        self.inside = False
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs), ""))
        self.inside = True

    def handle_endtag(self, tag: str) -> None:
        self.inside = False

    def handle_data(self, data: str) -> None:
        if self.inside:
            tag, attributes, text = self.found[-1]
            self.found[-1] = (tag, attributes, text + data)

    def handle_comment(self, data: str) -> None:
        self.comments.append(data)


def cast(*texts: str) -> list[bytes]:
    lines: list[object] = [{"version": 2, "width": 80, "height": 24}, *([1.0, "o", text] for text in texts)]
    return [json.dumps(line, ensure_ascii=False).encode() + b"\n" for line in lines]


def elements(title: str, *texts: str) -> Elements:
    return Elements(b"".join(page(title, cast(*texts))).decode())


@pytest.mark.promise("cast-page")
@pytest.mark.parametrize("text", HOSTILE)
def test_what_the_job_printed_and_is_called_is_text(text: str) -> None:
    plain, hostile = elements("x", "x"), elements(text, text)
    assert [(tag, attributes) for tag, attributes, _ in hostile.found] == [
        (tag, attrs) for tag, attrs, _ in plain.found
    ]
    [data] = [text for _, attributes, text in hostile.found if attributes.get("type") == "application/json"]
    assert [json.loads(line) for line in data.strip().split("\n")] == [json.loads(line) for line in cast(text)]
    assert "<" not in data, "no browser sees an element's end or beginning in it"
    [shown] = [text for tag, _, text in hostile.found if tag == "title"]
    assert shown == one_line(text)


@pytest.mark.promise("cast-page")
def test_only_the_player_and_what_starts_it_may_run_and_nothing_may_be_loaded() -> None:
    found = elements("x", "x").found
    [policy] = [attributes["content"] for _, attributes, _ in found if attributes.get("http-equiv")]
    assert policy is not None
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules["default-src"] == "'none'" and "'unsafe-inline'" not in rules["script-src"]
    scripts = [text for tag, attributes, text in found if tag == "script" and not attributes]
    digests = {f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'" for text in scripts}
    assert set(rules["script-src"].split()) == {*digests, "'wasm-unsafe-eval'"}
    addressed = [attributes for _, attributes, _ in found if attributes.keys() & {"src", "href", "action", "data"}]
    assert addressed == []


def test_the_players_licence_goes_with_it() -> None:
    licence = (PLAYER / "LICENSE").read_text(encoding="utf-8")
    assert "Apache License" in licence and "Marcin Kulik" in licence
    assert any(licence in comment for comment in elements("x", "x").comments)


def test_the_players_files_can_stand_in_a_page() -> None:
    script = (PLAYER / "asciinema-player.min.js").read_text(encoding="utf-8")
    style = (PLAYER / "asciinema-player.css").read_text(encoding="utf-8")
    assert not re.search("</script|<!--", script, re.IGNORECASE) and "</style" not in style.lower()
    assert "url(" not in style and "@import" not in style
