"""The program of a decoder process: it reads encoded images and writes pixels, and can do little else.

Usage: ``python -I -S decoder_child.py PARENT MEMORY_BYTES MODULE:FUNCTION [FOLDER…]``, with a socket as standard input;
the folders are where modules are found.

It says ``READY``; then it takes one image after the other (its length, its bytes) and answers each: ``PIXELS``, height,
width and the RGB bytes, or ``REFUSED``, a length and so many bytes of text, the parts of a ``Refusal`` with NUL between
them, or ``RAISED``, a length and the error's text, and then it ends. An answer has a fixed form and is no pickle:
whoever has taken this process over must not have its parent too.

This file is a program of its own on the standard library alone; what it decodes with is imported by name.
"""

import ctypes
import importlib
import os
import resource
import signal
import socket
import struct
import sys
from collections.abc import Callable, Sequence
from dataclasses import astuple
from functools import partial
from types import TracebackType
from typing import Any

READY = b"\1"
PIXELS, REFUSED, RAISED = 1, 2, 3

#: Before an image: its length. Before an answer: what it is, then height and width, or a length and 0.
LENGTH = struct.Struct(">I")
ANSWER = struct.Struct(">BII")

#: Files that may be open at a time: the standard ones, and one for whatever Pillow imports late.
_OPEN_FILES = 16

#: The longest explanation of an error.
_CHARACTERS = 500

# Numbers of prctl(2), from <linux/prctl.h>.
_SET_PARENT_DEATH_SIGNAL = 1
_SET_NO_NEW_PRIVILEGES = 38


def main(arguments: Sequence[str]) -> None:
    """Decode until the parent is gone."""
    parent, memory, decoder, *folders = arguments
    _follow(int(parent))
    sys.path[:] = folders
    module, _, function = decoder.partition(":")
    decode = getattr(importlib.import_module(module), function)
    _confine(int(memory))
    pipe = socket.socket(fileno=0)
    # Standard error may be a file, which is out of reach by now.
    sys.excepthook = partial(_tell, pipe)
    pipe.sendall(READY)
    while (head := _read(pipe, LENGTH.size)) is not None:
        (length,) = LENGTH.unpack(head)
        encoded = _read(pipe, length)
        if encoded is None:
            return
        _answer(pipe, decode, bytes(encoded))


def _answer(pipe: socket.socket, decode: Callable[[bytes], Any], encoded: bytes) -> None:
    """Decode one image and send what came of it. Whatever is raised ends the process."""
    unpacked = decode(encoded)
    if hasattr(unpacked, "shape"):
        height, width, _ = unpacked.shape
        pipe.sendall(ANSWER.pack(PIXELS, height, width))
        pipe.sendall(memoryview(unpacked).cast("B"))
    else:
        _say(pipe, REFUSED, "\0".join(astuple(unpacked)))


def _tell(pipe: socket.socket, kind: type[BaseException], error: BaseException, _: TracebackType | None) -> None:
    _say(pipe, RAISED, f"{kind.__name__}: {error}"[:_CHARACTERS])


def _say(pipe: socket.socket, what: int, text: str) -> None:
    said = text.encode(errors="replace")
    pipe.sendall(ANSWER.pack(what, len(said), 0) + said)


def _follow(parent: int) -> None:
    """End with the parent, even in the middle of an image; what a terminal sends is for the parent alone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.platform == "linux":
        prctl = ctypes.CDLL(None).prctl
        prctl(_SET_PARENT_DEATH_SIGNAL, signal.SIGKILL, 0, 0, 0)
        prctl(_SET_NO_NEW_PRIVILEGES, 1, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)


def _confine(memory: int) -> None:
    """Give up what decoding does not need. What is open already stays open."""
    limits = {
        resource.RLIMIT_AS: memory,
        resource.RLIMIT_FSIZE: 0,
        resource.RLIMIT_NOFILE: _OPEN_FILES,
        resource.RLIMIT_CORE: 0,
    }
    for which, most in limits.items():
        _, hard = resource.getrlimit(which)
        most = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(which, (most, most))


def _read(pipe: socket.socket, length: int) -> bytearray | None:
    """Read so many bytes; None where the parent has closed its end."""
    held = bytearray(length)
    left = memoryview(held)
    while left:
        count = pipe.recv_into(left)
        if not count:
            return None
        left = left[count:]
    return held


if __name__ == "__main__":
    main(sys.argv[1:])
