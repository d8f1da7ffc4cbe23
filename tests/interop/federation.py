#!/usr/bin/env python3
"""Servers with each other: `federation.py --binary target/debug/linnet [--only WORD]`.

Two of ours, and ours with stock Prosody and stock ejabberd, all started here on loopback addresses with domains and
certificates of their own.
"""

import argparse
import asyncio
import inspect
import sys
import time
import traceback

import cases_federation
from peers import Network
from server import ServerError


def cases():
    """All cases in the order of their file."""
    found = [value for name, value in vars(cases_federation).items() if name.startswith("case_")]
    return sorted(found, key=lambda case: case.__code__.co_firstlineno)


async def run(binary, only):
    passed = failed = 0
    for case in cases():
        name = case.__name__.removeprefix("case_")
        if only and only not in name:
            continue
        network, began = Network(), time.monotonic()
        world = cases_federation.World(binary, network)
        try:
            await asyncio.wait_for(case(world), 60)
            leaks = world.leaks()
            if leaks:
                raise AssertionError(f"logs tell secrets: {leaks[:2]}")
            passed += 1
            print(f"passed  {name} ({time.monotonic() - began:.1f} s)", flush=True)
        except Exception as error:  # the next case is another world
            failed += 1
            print(f"FAILED  {name}: {type(error).__name__}: {error}", flush=True)
            if not isinstance(error, (AssertionError, TimeoutError)):
                traceback.print_exc()
            print(world.tails(), flush=True)
        finally:
            world.remove()
            network.remove()
    print(f"{passed} passed, {failed} failed")
    return 1 if failed or not passed else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--binary", default="target/debug/linnet")
    parser.add_argument("--only", default="")
    options = parser.parse_args()
    assert all(inspect.iscoroutinefunction(case) for case in cases())
    try:
        return asyncio.run(run(options.binary, options.only))
    except ServerError as error:
        print(f"FAILED  {error}\n0 passed, 1 failed")
        return 1


if __name__ == "__main__":
    sys.exit(main())
