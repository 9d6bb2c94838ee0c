"""How a process ended, in words."""

import signal


def ending(code: int | None) -> str:
    """Say how a process ended, by its exit code as Python gives it.

    >>> ending(-6), ending(-40), ending(1)
    ('signal SIGABRT', 'signal 40', 'exit code 1')
    """
    if code is None or code >= 0:
        return f"exit code {code}"
    names = {each.value: each.name for each in signal.Signals}
    return f"signal {names.get(-code, -code)}"
