"""The two commands, `gsr-view` and `gsr`: arguments in, exit code out, errors as one sentence."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable
from typing import NoReturn

import tyro

from gaussian_lens_app.commands.convert import Convert
from gaussian_lens_app.commands.evaluate import Evaluate
from gaussian_lens_app.commands.inspect import Inspect
from gaussian_lens_app.commands.methods import ListMethods
from gaussian_lens_app.commands.reading import at_home
from gaussian_lens_app.commands.reconstruct import Reconstruct
from gaussian_lens_app.commands.render import RenderViews
from gaussian_lens_app.commands.train import Train
from gaussian_lens_app.commands.upgrade import Upgrade
from gaussian_lens_app.commands.view import OpenViewer
from gaussian_lens_app.errors import GsrError, JobCancelled

SUBCOMMANDS = {
    "upgrade": Upgrade,
    "evaluate": Evaluate,
    "reconstruct": Reconstruct,
    "render": RenderViews,
    "inspect": Inspect,
    "convert": Convert,
    "methods": ListMethods,
    "train": Train,
}

ABOUT = "Gaussian splat scenes without a screen. Add --traceback to see where an error came from."
CONFIG = (tyro.conf.FlagCreatePairsOff, tyro.conf.OmitSubcommandPrefixes, tyro.conf.OmitArgPrefixes)
INTERRUPTED = 130  # 128 + SIGINT, what shells report for Ctrl-C
BROKEN_PIPE = 141  # 128 + SIGPIPE


def gsr() -> NoReturn:
    """The program `gsr`."""
    _leave(main())


def gsr_view() -> NoReturn:
    """The program `gsr-view`."""
    _leave(view_main())


def main(argv: list[str] | None = None) -> int:
    """Exit code of `gsr`."""

    def parse(args: list[str]):
        return tyro.extras.subcommand_cli_from_dict(
            SUBCOMMANDS, prog="gsr", description=ABOUT, args=args, config=CONFIG
        )

    return _run(parse, argv)


def view_main(argv: list[str] | None = None) -> int:
    """Exit code of `gsr-view`."""

    def parse(args: list[str]):
        return tyro.cli(OpenViewer, prog="gsr-view", args=args, config=CONFIG)

    return _run(parse, argv)


def _run(parse: Callable, argv: list[str] | None) -> int:
    args = list(sys.argv[1:] if argv is None else argv)
    traceback = "--traceback" in args or os.environ.get("GSR_TRACEBACK", "0") not in ("", "0")
    command = at_home(parse([arg for arg in args if arg != "--traceback"]))
    try:
        code = command.run() or 0
        sys.stdout.flush()
        return code
    except BrokenPipeError:  # the reader had enough, as `head` does; what is left unwritten must not complain either
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BROKEN_PIPE
    except (KeyboardInterrupt, JobCancelled):
        print("\nStopped.", file=sys.stderr)
        return INTERRUPTED
    except (GsrError, OSError) as error:
        if traceback:
            raise
        print(_sentence(error), file=sys.stderr)
        return 1


def _sentence(error: Exception) -> str:
    """Of an error meant for the user, or of a file or a folder that the system would not let us have."""
    if isinstance(error, OSError) and error.filename and error.strerror:
        return f"{error.filename}: {error.strerror}."
    return str(error)


def _leave(code: int) -> NoReturn:
    """End the process, everything being closed already.

    A daemon thread that frees a tensor while the interpreter shuts down wants the GIL there, is ended by unwinding
    through C++ instead, and that aborts the process with a stack trace. Where a thread is left, nothing is shut down.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    if any(thread.daemon for thread in threading.enumerate()):
        os._exit(code)
    sys.exit(code)
