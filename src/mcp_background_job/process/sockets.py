"""What a process's sockets are connected to, by /proc and sock_diag(7) of Linux."""

import os
import re
import socket
import stat
import struct
import sys
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from .procfs import open_files, read_file

# Names of sockets over which programs are served, and no terminal: display, bus, sound, keys, names, logs.
_SERVICES = re.compile(rb"X11-unix|wayland|bus|pulse|pipewire|agent|keyring|nscd|systemd")
_SOCK_DIAG = 4  # NETLINK_SOCK_DIAG


def is_network_socket(pid: int, fd: int) -> bool:
    path = Path(f"/proc/{pid}/fd/{fd}")
    try:
        if not stat.S_ISSOCK(path.stat().st_mode):
            return False
        return not os.getxattr(path, "system.sockprotoname").startswith((b"UNIX", b"NETLINK"))
    except OSError:
        return True


def is_connected(pid: int, fd: int) -> bool:
    """Whether a descriptor is a socket with another end that is nobody of its own: not one that listens.

    Of Unix sockets those that were connected by name: a pair is a wake-up of its own, or for its children.
    """
    if not is_network_socket(pid, fd):
        peer = unix_peer(pid, fd)
        return peer is not None and bool(peer.name)
    inode = b"%d" % _socket_inode(pid, fd)
    for name in ("tcp", "tcp6"):
        for line in read_file(f"/proc/{pid}/net/{name}", whole=True).splitlines()[1:]:
            words = line.split()
            if len(words) > 9 and words[9] == inode:
                return words[3] == b"01"  # established
    return False


class Peer(NamedTuple):
    """The other end of a Unix socket: its name, empty for a pair's, and whether the process itself has it open."""

    name: bytes
    own: bool


def unix_peer(pid: int, fd: int) -> Peer | None:
    """The other end of a Unix socket, by sock_diag(7).

    None if there is none, if it only serves programs (`_SERVICES`), and where the kernel or the network namespace
    tells nothing.
    """
    inode = _socket_inode(pid, fd)
    if not inode:
        return None
    with suppress(OSError, struct.error), socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _SOCK_DIAG) as kernel:
        other = _unix_facts(kernel, inode).get(2, b"")  # UNIX_DIAG_PEER
        if len(other) == 4:
            inode = int.from_bytes(other, sys.byteorder)
            name = _unix_facts(kernel, inode).get(0, b"")  # UNIX_DIAG_NAME
            own = f"socket:[{inode}]" in open_files(pid).values()
            return None if _SERVICES.search(name) else Peer(name, own)
    return None


def _socket_inode(pid: int, fd: int) -> int:
    """0 where a descriptor is no socket."""
    try:
        kind, _, inode = str(Path(f"/proc/{pid}/fd/{fd}").readlink()).partition(":")
    except OSError:
        return 0
    return int(inode[1:-1]) if kind == "socket" else 0


def _unix_facts(kernel: socket.socket, inode: int) -> dict[int, bytes]:
    """What the kernel tells of a Unix socket in this network namespace, by <linux/unix_diag.h>'s numbers."""
    # The header of netlink(7), then unix_diag_req: any state, the socket of this inode, its name and its peer.
    asked = struct.pack("=BBHIIIII", socket.AF_UNIX, 0, 0, 0xFFFFFFFF, inode, 1 | 4, 0xFFFFFFFF, 0xFFFFFFFF)
    kernel.send(struct.pack("=IHHII", 16 + len(asked), 20, 1, 0, 0) + asked)
    answer = kernel.recv(4096)
    facts = {}
    position = 32  # behind netlink's header and unix_diag_msg; an error has no attributes and is shorter than that
    while int.from_bytes(answer[4:6], sys.byteorder) == 20 and position + 4 <= len(answer):
        size, kind = struct.unpack_from("=HH", answer, position)
        facts[kind] = answer[position + 4 : position + size]
        position += max(4, size + 3 & ~3)
    return facts
