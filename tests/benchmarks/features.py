"""The features that are compared, each cell a try against the real server; nothing here is taken from a README."""

from __future__ import annotations

import re
import time
from collections.abc import Callable

import psutil
from bench import Bench
from hands import Commander, Hands, LibTmux, Old, Ours, TmuxMcp
from peers import Place
from stdio import ServerFault
from workloads import BUILD, CONFIG, SERVE

WORKS = re.compile(r"awaiting_input\W+(\w+)|waiting for input|Blocked: (true)")

# Five shapes of children: plain, in a session of its own, nohup, deaf to TERM and HUP, and orphaned.
TREE = """\
sleep 77771 &
setsid sleep 77772 &
nohup sleep 77773 >/dev/null 2>&1 &
(trap '' TERM HUP; sleep 77774) &
(setsid sh -c "trap '' TERM HUP; sleep 77775" &)
sleep 77776
"""


class Trial:
    """One server in a place of its own, with files to try them on."""

    def __init__(self, bench: Bench, who: str) -> None:
        self.bench, self.who = bench, who
        self.place: Place = bench.place()
        files = {"build.py": BUILD, "serve.py": SERVE, "config.ini": CONFIG, "tree.sh": TREE}
        for name, text in files.items():
            (self.place.work / name).write_text(text)
        # libtmux-mcp shows its killing tools only when it is told to.
        self.hands: Hands = bench.hands(who, self.place, LIBTMUX_TOOLSETS="inspect,manage,execute,teardown")
        self.call = self.hands.call

    def again(self) -> Hands:
        """A second client's hands on the same place; the peers' need the session that stands there already."""
        client = self.bench.client(self.who, self.place)
        hands = object.__new__(type(self.hands))
        hands.__dict__.update(self.hands.__dict__, client=client, call=client.call)
        return hands

    def appears(self, name: str, seconds: float = 8.0) -> bool:
        deadline = time.monotonic() + seconds
        while not (self.place.work / name).exists():
            if time.monotonic() > deadline:
                return False
            time.sleep(0.05)
        return True


def survives(trial: Trial) -> str:
    job = trial.hands.begin("bash -c 'sleep 1.5; echo > alive; exit 3'")
    trial.hands.client.kill()
    runs = trial.appears("alive")
    time.sleep(0.5)
    if not runs:
        return "no"
    try:
        text = trial.again().status(job).text
    except (ServerFault, KeyError):
        text = ""
    if re.search(r'exit_code"?: ?3', text):
        return "yes, exit code too"
    return "runs on in tmux" if trial.place.tmux_server() else "runs on, out of reach"


def shared(trial: Trial) -> str:
    job = trial.hands.begin("sleep 1000")
    try:
        text = trial.again().status(job).text
    except (ServerFault, KeyError):
        return "no"
    return "yes" if job in text else "no"


def exit_code(trial: Trial) -> str:
    command = "bash -c 'sleep .3; exit 3'"
    hands = trial.hands
    if isinstance(hands, TmuxMcp):
        return "by echo $?" if re.search(r"^EXIT\d+=3", hands.run(command), re.M) else "no"
    if isinstance(hands, Ours):
        return told(str(trial.call("execute", command=command, wait=20).fields.get("exit_code")))
    if isinstance(hands, LibTmux):
        return told(str(trial.call("run_command", pane_id=hands.pane, command=command).fields["exit_status"]))
    job = hands.begin(command)
    time.sleep(1)
    text = hands.tail(job).text + hands.status(job).text
    return told("3") if re.search(r"exit.code\W+3", text) else "no: failed" if "failed" in text else "no"


def told(code: str) -> str:
    return "yes" if code == "3" else "no"


def whole_output(trial: Trial) -> str:
    """100,000 lines: how many can be read after the end."""
    hands = trial.hands
    job = hands.begin("bash -c 'seq 1 100000; sleep 1000'")
    time.sleep(3)
    if isinstance(hands, Ours):
        text, cursor, more = "", 0, True
        while more:
            page = trial.call("output", job_id=job, since=cursor).fields
            text, cursor, more = text + page["stdout"], page["cursor"], page.get("truncated", False)
    elif isinstance(hands, Old):
        text = trial.call("get_job_output", job_id=job).fields["stdout"]
    elif isinstance(hands, LibTmux):
        text = str(trial.call("capture_pane", pane_id=job, start=-200_000, max_lines=None).text)
    elif isinstance(hands, TmuxMcp):
        text = trial.call("tmux_read_pane", target=job, start_line=-200_000).text
    else:
        text = "\n".join(
            trial.call("read_process_output", pid=int(job), offset=at, length=1000, timeout_ms=100).text
            for at in range(1, 100_001, 1000)
        )
    lines = set(re.findall(r"^\d+$", text, re.M))
    return "all" if len(lines) >= 99_999 else f"the last {len(lines):,} (tmux's own history)"


def after_pause(trial: Trial) -> str:
    """Whether one call brings what a REPL prints after a second."""
    job = trial.hands.open_repl()
    if isinstance(trial.hands, TmuxMcp):
        return "no"  # keys and looks are different calls
    whole = trial.hands.ask(job, "import time; time.sleep(1); print(7 * 191)", "1337")
    return "yes" if whole else "no"


def orphans(trial: Trial) -> str:
    hands = trial.hands
    job = hands.begin("bash tree.sh")
    time.sleep(1.5)
    if len(sleepers(trial.place)) != 6:
        return "not tried: the tree did not start"
    if isinstance(hands, Ours):
        trial.call("kill", job_id=job)
    elif isinstance(hands, Old):
        trial.call("kill_job", job_id=job)
    elif isinstance(hands, LibTmux):
        trial.call("kill_pane", pane_id=job)
    elif isinstance(hands, TmuxMcp):
        trial.call("tmux_kill", target=job, type="pane")
    else:
        trial.call("force_terminate", pid=int(job))
    time.sleep(2)
    return f"{len(sleepers(trial.place))} of 6"


def sleepers(place: Place) -> list[psutil.Process]:
    found = []
    for process in place.processes():
        try:
            words = process.cmdline()
        except psutil.Error:
            continue
        if words[:1] == ["sleep"] and words[1].startswith("7777"):
            found.append(process)
    return found


def says_waiting(trial: Trial, command: str) -> str:
    """What a server says by itself of a job that this command leaves behind."""
    hands = trial.hands
    if isinstance(hands, Commander):
        answer = trial.call("start_process", command=command, timeout_ms=1500)
        text = answer.text + trial.call("list_sessions").text.split(hands.pid(answer))[-1].partition("\n")[0]
    else:
        job = hands.begin(command)
        time.sleep(1.2)
        text = hands.status(job).text
    found = WORKS.search(text)
    return (found[1] or "waiting") if found else ""


def questions(trial: Trial) -> str:
    busy = says_waiting(trial, "sleep 1000")
    asks = says_waiting(trial, "bash -c 'read -p \"Go on? [y/n] \" x'")
    hides = says_waiting(trial, "bash -c 'read -s -p \"Password: \" x'")
    if not asks:
        return "no"
    if busy:
        return "guesses: sleep too"
    return "yes, passwords too" if hides == "password" else "questions"


def person(trial: Trial) -> str:
    """Somebody at a terminal types into a job that an agent has started."""
    trial.hands.begin("bash -c 'read x; echo $x > typed'")
    time.sleep(1)
    panes = trial.place.tmux("list-panes", "-a", "-F", "#{pane_id}", check=False).split()
    for pane in panes:
        trial.place.tmux("send-keys", "-t", pane, "hello", "Enter", check=False)
    return "yes" if trial.appears("typed", 2) else "no"


def screen(trial: Trial) -> str:
    hands = trial.hands
    job = hands.begin("vi config.ini")
    time.sleep(1.5)
    text = (trial.call("screen", job_id=job) if isinstance(hands, Ours) else hands.tail(job)).text
    return "yes" if "port = 8080" in text and "\x1b" not in text and "\\u001b" not in text else "no"


def progress(trial: Trial) -> str:
    text = trial.hands.run("python3 build.py")
    return "no" if " 50/100" in text or "\x1b" in text or "\\u001b" in text else "yes"


def apart(trial: Trial) -> str:
    command = "bash -c 'echo out; echo err >&2'"
    if isinstance(trial.hands, Ours):
        fields = trial.call("execute", command=command, separate_stderr=True, wait=10).fields
    else:
        job = trial.hands.begin(command)
        time.sleep(0.5)
        fields = trial.hands.tail(job).fields if isinstance(trial.hands, Old) else {}
    return "yes" if fields.get("stderr", "").strip() == "err" else "no"


def awaits(trial: Trial) -> str:
    """One call that comes back when a running job prints what a pattern matches."""
    hands, begun = trial.hands, time.monotonic()
    if isinstance(hands, Ours):
        job = hands.begin("python3 serve.py")
        text = trial.call("wait", job_ids=[job], pattern="Listening", since=0).text
    elif isinstance(hands, LibTmux):
        trial.call("send_keys", pane_id=hands.pane, keys="python3 serve.py")
        text = trial.call("wait_for_text", pane_id=hands.pane, patterns=["Listening"], timeout=20).text
    elif isinstance(hands, Commander):
        job = hands.begin("python3 serve.py")
        text = trial.call("read_process_output", pid=int(job), timeout_ms=20_000).text
    else:
        return "no"
    return "yes" if "Listening" in text and time.monotonic() - begun < 10 else "no"


TRIES: dict[str, Callable[[Trial], str]] = {
    "a job outlives a killed server": survives,
    "several clients share the jobs": shared,
    "exit code": exit_code,
    "of 100,000 lines can be read": whole_output,
    "progress bars in their last state, no escape codes": progress,
    "stderr on its own": apart,
    "a call that waits for a pattern": awaits,
    "an answer after 1 s of silence, whole in one call": after_pause,
    "tells a question from work": questions,
    "the screen of vi": screen,
    "a person can type into a job": person,
    "left alive after a kill (children of six shapes)": orphans,
}


def features(bench: Bench) -> None:
    bench.figures.tried = bench.figures.date
    for what, attempt in TRIES.items():
        cells = bench.figures.features.setdefault(what, {})
        for who in bench.handy:
            try:
                with bench.apart() as fresh:
                    cells[who] = attempt(Trial(fresh, who))
            except (ServerFault, KeyError, AssertionError) as error:
                cells[who] = "no"
                bench.figures.say(f"  {what}: {who}: {str(error).splitlines()[0][:80] if str(error) else error!r}")
        bench.figures.say(f"  {what}: " + ", ".join(f"{who} {cell}" for who, cell in cells.items()))
