"""Where the `flowerlib` command begins and ends: its process, its exit code, its last words."""

from __future__ import annotations

import io
import os
import sys
import warnings
from collections.abc import Sequence
from contextlib import suppress
from typing import NoReturn

from flowerlib.cli import config
from flowerlib.cli.complaints import give_up
from flowerlib.cli.grammar import parser
from flowerlib.support import distributed, torchrun
from flowerlib.support.console import flush, say
from flowerlib.support.errors import InputError

# How OpenMP's threads wait for the next operation: some microseconds awake (libgomp's count), then
# asleep. Awake for long, they take the cores from whoever works; asleep at once, they are late for
# small operations: the head of 6,552 photos takes 0.8 instead of 0.55 s.
WAITING = {"OMP_WAIT_POLICY": "PASSIVE", "GOMP_SPINCOUNT": "1000"}

CACHED = "features computed so far are cached"
AGAIN = f"{CACHED}; start all of them once more, train with --resume"
TOGETHER = ("train", "predict", "evaluate")  # commands that several processes may run together
STOPPED = {  # by Ctrl-C; for all other commands, CACHED
    "train": f"{CACHED}; add --resume to continue",
    "download": "what has arrived is saved; run the same command again to continue",
}


def command() -> NoReturn:
    """`flowerlib` in a shell: `main`, and an end without Python's clean-up.

    That would run the destructors of torch's libraries, which takes half a second and 100 MB.
    """
    settle()
    code = main()
    with suppress(OSError, ValueError):  # nobody reads it any more; it is closed
        sys.stderr.flush()
    os._exit(code)


def settle() -> None:
    """Settings of a process that is ours alone; before torch is imported."""
    for name, value in WAITING.items():
        os.environ.setdefault(name, value)
    if sys.stderr is None:  # closed: there is nobody to tell
        sys.stderr = open(os.devnull, "w")
    for stream in (sys.stdout, sys.stderr):  # help and progress bars, too, in any code page
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    warnings.showwarning = _note


def _note(message: Warning | str, *_: object, **__: object) -> None:
    """Shows a warning as a line for the user, without the line of code that it came from."""
    with suppress(InputError, OSError, ValueError):
        if distributed.is_main():
            say(f"note: {message}", sys.stderr)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command.

    Returns:
        The exit code: 0, or 2 after one sentence on stderr about what was wrong with the input or
        the output; 1 where `check` found something serious, or `predict` left out photos that it
        names; 141, as of a process that SIGPIPE has ended, where the reader of the output is gone.
    """
    typed = list(sys.argv[1:] if arguments is None else arguments)
    options = parser().parse_args(typed)
    try:
        if sys.stdout is None:
            raise InputError(
                "standard output is closed; send it to a file, or to /dev/null (NUL on Windows)."
            )
        if getattr(options, "config", None):
            from_file = config.arguments(options.config, options)
            options = parser().parse_args([options.command, *from_file, *typed[1:]])
        if torchrun.requested() and options.command not in TOGETHER:
            raise InputError(f"{options.command} is for one process; start it without torchrun.")
        with distributed.started():
            code: int = options.run(options)
            flush()
        return code
    except InputError as problem:
        give_up(str(problem))
        return 2
    except (ImportError, RuntimeError) as problem:
        from flowerlib.cli import doctor

        if distributed.lost(problem):
            give_up(f"another process has ended or cannot be reached; {AGAIN}.")
            return 2
        if not doctor.is_broken_installation(problem):
            raise
        give_up(doctor.import_problem(problem))
        return 2
    except SystemExit as end:  # by torchrun, because another process has failed
        return int(end.code or 0)
    except KeyboardInterrupt:
        give_up(f"stopped; {STOPPED.get(options.command, CACHED)}.")
        return 130
    except BrokenPipeError:  # the reader of our output, such as `head`, has seen enough
        if options.command == "train":
            give_up("stopped, since nobody reads the output any more; features are cached.")
        return 141
