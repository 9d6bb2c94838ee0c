"""Runs a module as a program, and writes down at its end the most memory that its process held: FILE MODULE ARGUMENTS.

What a parent is told of a child's memory counts the moment before it became that child.
"""

import atexit
import re
import runpy
import sys
from pathlib import Path


def most_memory() -> int:
    """Return the most memory that this process held so far, in kB."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    return int(found.group(1)) if found else 0


if __name__ == "__main__":
    file, module = Path(sys.argv[1]), sys.argv[2]
    sys.argv = sys.argv[2:]
    atexit.register(lambda: file.write_text(str(most_memory())))
    runpy.run_module(module, run_name="__main__", alter_sys=True)
