"""A process that has loaded the bot once, and forks `python -m bot …` from itself whenever it is asked to.

Loading takes a second and a half, which is most of what a short command does. What is forked is a process of
its own like any other: its folder, environment, input and output, and terminal are what is asked for, it runs
`bot/__main__.py` from the first line, and ends as Python ends.

Asked over a socket, one JSON object each with four descriptors: the three that every process has, and where
its number is written when it has begun, and its exit code when it has ended, negative for a signal. The end
of the socket is the end of all of them.
"""

from __future__ import annotations

import ctypes
import fcntl
import gc
import importlib
import json
import os
import pkgutil
import runpy
import select
import signal
import socket
import sys
import termios
from typing import Any

import bot

_PR_SET_PDEATHSIG = 1

_LOADED = (
    *("alembic.command", "alembic.config", "alembic.script", "psycopg"),
    *("sqlalchemy.dialects.sqlite.aiosqlite", "sqlalchemy.dialects.postgresql.psycopg"),
)
"""What is loaded on the way, beside the bot's own modules."""


def main() -> None:
    """Serve until the socket ends, or be one of the commands."""
    with socket.socket(fileno=int(sys.argv[1])) as asking:
        asked = _serve(asking)
    if asked is not None:
        _be(asked)


def _load() -> None:
    for name in _LOADED:
        importlib.import_module(name)
    for module in pkgutil.walk_packages(bot.__path__, "bot."):
        # What is run must not have been loaded; migrations are run as well.
        if not module.name.endswith("__main__") and "migrations" not in module.name:
            importlib.import_module(module.name)


def _serve(asking: socket.socket) -> dict[str, Any] | None:
    """Fork; in each fork, return what it was asked to be."""
    _load()
    gc.collect()
    gc.freeze()
    wake, woken = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.set_wakeup_fd(woken, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    running: dict[int, int] = {}
    while True:
        ready, _, _ = select.select([asking.fileno(), wake], [], [])
        if wake in ready:
            os.read(wake, 4096)
            _reap(running)
        if asking.fileno() in ready:
            data, descriptors, _, _ = socket.recv_fds(asking, 1 << 20, 4)
            if not data:
                break
            *own, told = descriptors
            pid = os.fork()
            if pid == 0:
                signal.set_wakeup_fd(-1)
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                for one in (wake, woken, told, *running.values()):
                    os.close(one)
                return {"descriptors": own, **json.loads(data)}
            for one in own:
                os.close(one)
            running[pid] = told
            _tell(told, pid)
    for pid in running:
        os.kill(pid, signal.SIGKILL)
    return None


def _reap(running: dict[int, int]) -> None:
    while running:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if pid == 0:
            return
        told = running.pop(pid)
        _tell(told, os.waitstatus_to_exitcode(status))
        os.close(told)


def _tell(to: int, number: int) -> None:
    try:
        os.write(to, f"{number}\n".encode())
    except BrokenPipeError:
        return  # nobody waits for it any more


def _be(asked: dict[str, Any]) -> None:
    """Be `python -m bot`, or another program, with these arguments."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if asked["terminal"]:
        os.setsid()
    for number, descriptor in enumerate(asked["descriptors"]):
        os.dup2(descriptor, number)
        os.close(descriptor)
    if asked["terminal"]:
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    # As Python opens them where the environment names no language.
    sys.stdin = os.fdopen(0, encoding="utf-8", errors="surrogateescape", closefd=False)
    sys.stdout = os.fdopen(1, "w", encoding="utf-8", errors="surrogateescape", closefd=False)
    sys.stderr = os.fdopen(2, "w", 1, encoding="utf-8", errors="backslashreplace", closefd=False)
    os.chdir(asked["folder"])
    os.environ.clear()
    os.environ.update(asked["environment"])
    sys.argv[1:] = asked["arguments"]
    if asked["program"] is not None:
        exec(asked["program"], {"__name__": "__main__"})
    else:
        runpy.run_module("bot", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
