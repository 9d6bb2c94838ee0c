"""Run a server that would listen to the whole world so that only this machine reaches it, and only at one port.

Usage: ``python -I -S confined.py PORT SERVERS_PORT COMMAND [ARGUMENT…]``

The command runs in a network of its own (a Linux network namespace), where every port is free and nobody else is. What
connects to PORT on this machine's loopback address is passed on to SERVERS_PORT in there.

This file is a program of its own on the standard library alone, like the leash that it runs under.
"""

import asyncio
import ctypes
import fcntl
import os
import socket
import struct
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

_HOST = "127.0.0.1"

# From <sched.h>, <linux/sockios.h> and <net/if.h>.
_NEW_USERS, _NEW_NETWORK = 0x10000000, 0x40000000
_SET_INTERFACE_FLAGS = 0x8914
_UP = 0x1


def main(arguments: Sequence[str]) -> int:
    """Run the command and pass connections on until it ends; return its exit status."""
    # A socket stays in the network that it was made in: this one listens outside.
    listener = socket.create_server((_HOST, int(arguments[0])))
    try:
        _leave_network()
    except OSError as error:
        print(f"This system does not allow a network of one's own: {error}", file=sys.stderr)
        return 1
    return asyncio.run(_serve(listener, int(arguments[1]), arguments[2:]))


def _leave_network() -> None:
    """Move this process into a new network that has a loopback interface and nothing else."""
    user, group = os.geteuid(), os.getegid()
    wanted = _NEW_NETWORK if user == 0 else _NEW_NETWORK | _NEW_USERS
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(wanted) != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    if user != 0:  # the new user namespace must know who we are, or our own files would not be ours
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"{user} {user} 1")
        Path("/proc/self/gid_map").write_text(f"{group} {group} 1")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        fcntl.ioctl(control, _SET_INTERFACE_FLAGS, struct.pack("16sh14x", b"lo", _UP))


async def _serve(listener: socket.socket, servers_port: int, command: Sequence[str]) -> int:
    async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            inside_reader, inside_writer = await asyncio.open_connection(_HOST, servers_port)
            await asyncio.gather(_pump(reader, inside_writer), _pump(inside_reader, writer))
        writer.close()

    async with await asyncio.start_server(pass_on, sock=listener):
        process = await asyncio.create_subprocess_exec(*command)
        return await process.wait()


async def _pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while block := await source.read(65_536):
            sink.write(block)
            await sink.drain()
    sink.close()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
