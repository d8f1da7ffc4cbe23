#!/usr/bin/env python3
"""Foreign clients against a server: `run.py --binary target/debug/linnet [--only TEXT]`, or `--server prosody`.

The last line counts: `N passed, N failed[, N skipped]`.
"""

import argparse
import asyncio
import sys

import cases_admin  # noqa: F401  (each import registers its cases)
import cases_archive  # noqa: F401
import cases_circles  # noqa: F401
import cases_cli  # noqa: F401
import cases_files  # noqa: F401
import cases_login  # noqa: F401
import cases_messages  # noqa: F401
import cases_node  # noqa: F401
import cases_presence  # noqa: F401
import cases_pubsub  # noqa: F401
import cases_push  # noqa: F401
import cases_queries  # noqa: F401
import cases_rooms  # noqa: F401
import cases_roster  # noqa: F401
import cases_streams  # noqa: F401
import cases_terminal  # noqa: F401
import cases_web  # noqa: F401
from runner import run_cases, total
from server import ServerError, start_server


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--server", choices=["linnet", "prosody"], default="linnet")
    parser.add_argument("--binary", default="target/debug/linnet")
    parser.add_argument("--only", default="", help="run the cases whose name holds this")
    parser.add_argument("--at-once", type=int, default=6, help="how many cases run at the same time")
    parser.add_argument("--keep", action="store_true", help="keep the server's directory")
    options = parser.parse_args()
    try:
        server = start_server(options.server, options.binary)
    except ServerError as error:
        print(f"FAILED  {error}")
        return total(0, 1, 0)
    try:
        counts = list(asyncio.run(run_cases(server, options.only, options.at_once)))
        try:
            code = server.stop()
            good = code == 0 or options.server == "prosody"
            detail = f"exit code {code}"
        except ServerError as error:
            good, detail = False, str(error)
        print(f"{'ok' if good else 'FAILED':7} stops on SIGTERM ({detail})")
        counts[0 if good else 1] += 1
        return total(*counts)
    finally:
        if options.keep:
            server.kill()
            print(f"kept {server.dir}")
        else:
            server.remove()


if __name__ == "__main__":
    sys.exit(main())
