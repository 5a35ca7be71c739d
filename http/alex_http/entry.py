"""Where the program ``alex`` begins: Ctrl-C while it is imported ends it as later, without a traceback."""

from __future__ import annotations

import sys


def alex() -> None:
    """Run the command line; return only by SystemExit."""
    try:
        from alex_http.command_line import main

        main(prog_name="alex")
    except KeyboardInterrupt:
        sys.exit(130)
