"""A page that plays a recording by itself, offline: the player, its style and the recording are in it.

Promises: what the job printed, and its name, are data in the page, whatever they hold; its policy lets nothing run but
the player and the line that starts it, by their digests, and nothing be loaded or sent.
"""

from __future__ import annotations

import base64
import hashlib
import html
from collections.abc import Iterable, Iterator
from pathlib import Path

from mcp_background_job.text import one_line

PLAYER = Path(__file__).parent / "player"  # made by .ci/vendor-player
STYLE = """
html, body { height: 100%; margin: 0; background: #121314; color: #ccc; font-family: sans-serif }
#player { height: 100vh }
"""
# The player has the keys at once: space pauses, digits and arrows seek, ? shows them all.
START = """
const recording = document.getElementById("recording").textContent.trim();
AsciinemaPlayer.create({ data: recording }, document.getElementById("player"), { autoPlay: true, fit: "both" });
document.querySelector(".ap-wrapper").focus();
"""


def page(title: str, cast: Iterable[bytes]) -> Iterator[bytes]:
    """The page in pieces; `cast` are the lines of an asciicast."""
    licence, style, script = map(player_file, ("LICENSE", "asciinema-player.css", "asciinema-player.min.js"))
    policy = (
        f"default-src 'none'; script-src {digest(script)} {digest(START)} 'wasm-unsafe-eval'; "
        f"style-src {digest(style)} {digest(STYLE)}; base-uri 'none'; form-action 'none'"
    )
    yield f"""<!DOCTYPE html>
<!-- It plays with asciinema-player:
{licence}-->
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{html.escape(one_line(title))}</title>
<style>{style}</style>
<style>{STYLE}</style>
</head>
<body>
<main id="player"></main>
<noscript>This recording is played by JavaScript, which is off here.</noscript>
<script type="application/json" id="recording">
""".encode()
    for line in cast:
        # In JSON it stands in strings alone, and without it no text ends the element.
        yield line.replace(b"<", rb"\u003c")
    yield f"""</script>
<script>{script}</script>
<script>{START}</script>
</body>
</html>
""".encode()


def player_file(name: str) -> str:
    return (PLAYER / name).read_text(encoding="utf-8")


def digest(text: str) -> str:
    """How a policy names a script or a style."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
