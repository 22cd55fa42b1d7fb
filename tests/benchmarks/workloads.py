"""What the errands and the compared features are done on: programs and files, as text."""

from __future__ import annotations

BUILD = """
import sys, time
print("\\x1b[1mResolving\\x1b[0m 214 packages")
for stage in ("compile", "link", "bundle"):
    for i in range(101):
        print(f"\\r\\x1b[32m{stage:8}\\x1b[0m {i:3}% |{'#' * (i // 2):50}| {i}/100", end="", flush=True)
        time.sleep(0.004)
    print()
print("warning: 3 deprecated calls\\nerror: bundle too large: 812 kB")
sys.exit(3)
"""

MAKEFILE = """\
all:
\t@python3 build.py
test:
\t@pytest -v test_orders.py
"""

# 400 tests that take some seconds, of which these fail.
TESTS = """
import time, pytest
@pytest.mark.parametrize("cart", range(400))
def test_total(cart):
    time.sleep(0.005)
    total = 41.99 if cart in {failing} else 42.0
    assert total == 42.0
"""

SERVE = """
import http.server, sys, time
for step in range(40):
    print(f"loading module {step} of 40", flush=True)
    time.sleep(0.04)
port = int(sys.argv[1]) if sys.argv[1:] else 0
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_error(500) if self.path.startswith("/orders") else self.send_response(204)
        self.end_headers()
    def log_message(self, form, *words):
        print(form % words, flush=True)
server = http.server.HTTPServer(("127.0.0.1", port), Handler)
print(f"Listening on http://127.0.0.1:{server.server_port}/", flush=True)
server.serve_forever()
"""

INSTALL = """
import pathlib, sys, time
print("Installer of widget 2.1")
time.sleep(0.3)
folder = input("Folder [/opt/widget]: ") or "/opt/widget"
if input("Replace the settings that are there? [y/N] ") != "y":
    sys.exit("Stopped.")
time.sleep(0.3)
port = input("Port (free ones: {free}, {other}): ")
if port != "{free}":
    sys.exit("That port is taken.")
time.sleep(0.3)
pathlib.Path("installed").write_text(f"{{folder}} {{port}}")
print("Installed widget 2.1, receipt {receipt}")
"""

LOGIN = """
import getpass, sys
if getpass.getpass("Password for the vault: ") != "{secret}":
    sys.exit("Wrong password.")
print("Vault open, ticket {ticket}")
"""

CONFIG = "[web]\nhost = localhost\nport = 8080\nworkers = 4\n"

JOB = """
import pathlib, sys, time
number = int(sys.argv[1])
pathlib.Path(f"began{{number}}").write_text(str(time.time()))
time.sleep({seconds}[number])
pathlib.Path(f"ended{{number}}").write_text(str(time.time()))
sys.exit({codes}[number])
"""

# It stops in its third step, with a child that takes no TERM and HUP, and another in a session of its own.
HANG = """\
for step in 1 2; do echo "step $step of 5: done"; sleep 0.3; done
echo "step 3 of 5: {step}"
(trap '' TERM HUP; exec sleep 88881) &
setsid sleep 88882 &
sleep 88883
"""

# 100 MB of log as fast as it goes, one line of which tells of a fault; then it serves on.
NOISY = """
import pathlib, sys, time
line = "2026-01-01 12:00:00 worker-{{}} took order {{:07}} off the queue and passed it on, all is well\\n"
written = number = 0
while written < 100_000_000:
    block = "".join(line.format(i % 7, number + i) for i in range(10_000))
    if number == {at}:
        block += "2026-01-01 12:00:00 ERROR order {order} was lost\\n"
    sys.stdout.write(block)
    written += len(block)
    number += 10_000
sys.stdout.flush()
pathlib.Path("written").touch()
time.sleep(1000)
"""
