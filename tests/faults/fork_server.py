"""A process that has loaded the bot once, and forks one whenever it is told to.

A bot that is started so is there in a tenth of a second instead of a second and a half, and is as much a
process of its own as any other: it can be killed at any instruction, and everything it held is gone.

Lines of JSON: {"name": …, "options": …} comes in, {"name": …, "pid": …} and {"ended": pid, "code": …} go
out; a negative code is the signal that killed it. The end of the input is the end of all of them.
"""

from __future__ import annotations

import ctypes
import gc
import json
import os
import select
import signal
import sys
import traceback
from typing import Any

_PR_SET_PDEATHSIG = 1


def main() -> None:
    """Serve until the input ends."""
    # What every fork would do anew is done here, once: load everything.
    from tests.faults import bot_process

    bot_process.warm_up(sys.argv[1])
    # A bot here lives for seconds: its collector would only copy what the forks share.
    gc.collect()
    gc.freeze()
    gc.disable()
    wake, woken = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.set_wakeup_fd(woken, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    children: set[int] = set()
    pending = b""
    _tell({"ready": True})
    while True:
        ready, _, _ = select.select([0, wake], [], [])
        if wake in ready:
            os.read(wake, 4096)
            _reap(children)
        if 0 in ready:
            data = os.read(0, 1 << 20)
            if not data:
                break
            *lines, pending = (pending + data).split(b"\n")
            for line in lines:
                asked = json.loads(line)
                pid = os.fork()
                if pid == 0:
                    _run_child(bot_process, asked["options"])
                children.add(pid)
                _tell({"name": asked["name"], "pid": pid})
    for pid in children:
        os.kill(pid, signal.SIGKILL)


def _tell(what: dict[str, Any]) -> None:
    os.write(1, json.dumps(what).encode() + b"\n")


def _reap(children: set[int]) -> None:
    while children:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if pid == 0:
            return
        children.discard(pid)
        _tell({"ended": pid, "code": os.waitstatus_to_exitcode(status)})


def _run_child(bot_process: Any, options: dict[str, Any]) -> None:
    """Be the bot; never returns."""
    code = 70
    try:
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        log = os.open(options["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, 0)
        os.dup2(log, 1)
        os.dup2(log, 2)
        code = bot_process.run(bot_process.BotOptions(**options))
    except BaseException:  # noqa: BLE001 -- the process ends here, and its log must say why
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    main()
