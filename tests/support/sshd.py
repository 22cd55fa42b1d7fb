"""Another machine: this one, behind an sshd of the test's own on 127.0.0.1; what is there is in the sandbox."""

from __future__ import annotations

import getpass
import os
import shlex
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anyio
from mcp import Client
from mcp.client.stdio import StdioServerParameters, stdio_client

from support.rpc import Answer
from support.sandbox import Sandbox
from support.waiting import wait_until

SSHD = shutil.which("sshd") or shutil.which("sshd", path="/usr/sbin:/usr/local/sbin:/sbin")
MISSING = "" if SSHD and shutil.which("ssh") else "no sshd here: install openssh-server and openssh-client"

SSHD_CONFIG = """\
Port {port}
ListenAddress 127.0.0.1
HostKey {root}/host_key
AuthorizedKeysFile {root}/user_key.pub
PidFile none
StrictModes no
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
SetEnv {environment}
"""
SSH_CONFIG = """\
Host box host
    HostName 127.0.0.1
    Port {port}
    User {user}
    IdentityFile {root}/user_key
    IdentitiesOnly yes
    IdentityAgent none
    UserKnownHostsFile {root}/known_hosts
    GlobalKnownHostsFile none
    StrictHostKeyChecking accept-new
    BatchMode yes
    ConnectTimeout 10
    LogLevel ERROR
"""


class Box:
    """The other machine: what is there is in the sandbox; what the client's side has is next to nothing."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox
        self.root = sandbox.root / "ssh"
        self.root.mkdir(mode=0o700)
        for key in ("host_key", "user_key"):
            subprocess.run(
                ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(self.root / key)], check=True, timeout=120
            )
        tools = self.root / "bin"
        tools.mkdir()
        program = tools / "mcp-background-job"
        program.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m mcp_background_job "$@"\n')
        program.chmod(0o755)
        there = {**sandbox.environment, "PATH": f"{tools}:{os.environ['PATH']}", "WHERE": "there"}
        self._reserved = reserved_port()
        self.port = self._reserved.getsockname()[1]
        facts = {
            "port": self.port,
            "root": self.root,
            "user": getpass.getuser(),
            "environment": " ".join(f'"{name}={value}"' for name, value in there.items()),
        }
        (self.root / "sshd_config").write_text(SSHD_CONFIG.format(**facts))
        (self.root / "config").write_text(SSH_CONFIG.format(**facts))
        self.log = self.root / "sshd.log"
        with self.log.open("wb") as log:
            self.sshd = subprocess.Popen(
                [str(SSHD), "-D", "-e", "-f", str(self.root / "sshd_config")],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def listens(self) -> bool:
        """Raises AssertionError with sshd's own words where it has ended."""
        assert self.sshd.poll() is None, self.log.read_text()
        try:
            socket.create_connection(("127.0.0.1", self.port), 5).close()
        except OSError:
            return False
        return True

    def ssh(self, *arguments: str) -> list[str]:
        return ["ssh", "-F", str(self.root / "config"), *arguments]

    def with_client(self, act: Callable[[Client], Any]) -> Any:
        """A session of an MCP client whose command is `ssh box mcp-background-job`."""
        command, *arguments = self.ssh("box", "mcp-background-job")
        here = {"PATH": os.environ["PATH"], "HOME": str(self.root), "WHERE": "here"}

        async def main() -> Any:
            async with Client(stdio_client(StdioServerParameters(command=command, args=arguments, env=here))) as client:
                return await act(client)

        return anyio.run(main)

    def call(self, tool: str, **arguments: Any) -> Answer:
        found = self.with_client(lambda client: client.call_tool(tool, arguments))
        assert not found.is_error, found.content
        answer: Answer = found.structured_content
        return answer

    def close(self) -> None:
        self.sshd.terminate()
        self.sshd.wait(60)
        self._reserved.close()


def reserved_port() -> socket.socket:
    """A socket that has a port and does not listen: nobody else gets it, but one who says so too, as sshd does."""
    holder = socket.socket()
    holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    holder.bind(("127.0.0.1", 0))
    return holder


@contextmanager
def another_machine(sandbox: Sandbox) -> Iterator[Box]:
    """The machine, for as long as it is needed."""
    # Of root's, sshd asks for an empty folder, which the system's own service makes when it starts.
    empty = Path("/run/sshd")
    made = os.getuid() == 0 and not empty.exists()
    if made:
        empty.mkdir(mode=0o755, exist_ok=True)
    machine = Box(sandbox)
    try:
        wait_until(machine.listens)
        yield machine
    finally:
        machine.close()
