"""A program with a composer as agents have it, for tests: prints what it is sent by Enter; `busy` keeps it at work."""

import os
import sys
import termios
import time
import tty

before = termios.tcgetattr(0)
tty.setraw(0)
line = ""
try:
    while True:
        os.write(1, f"\r\x1b[K❯ {line}".encode())
        char = os.read(0, 1).decode(errors="replace")
        if char == "\r":
            os.write(1, f"\r\x1b[KGOT {line}.\r\n".encode())
            if line == "quit":
                break
            for tick in range(60 if line == "busy" else 0):
                os.write(1, f"\r\x1b[Kworking {tick}\r\n".encode())
                time.sleep(0.1)
            line = ""
        elif char == "\x15":
            line = ""
        else:
            line += char
finally:
    termios.tcsetattr(0, termios.TCSADRAIN, before)
    sys.exit(0)
