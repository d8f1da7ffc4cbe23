"""Message bodies: different ones each time, and each with the word that no log may hold."""

import itertools

from server import CANARY

_count = itertools.count(1)


def body(text="hello"):
    """A body that no other message of this run has."""
    return f"{text} {CANARY} {next(_count)}"
