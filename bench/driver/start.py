"""The scenario `start`, measured from outside: time to the first connection, memory with nobody on, size on disk."""

import pathlib
import time

LISTED = {
    "scenario": "start", "variants": [""], "on_relay": [],
    "about": "A server with its accounts is started; memory is read 2 s after it takes connections, with nobody on.",
}
SETTLE_S = 2


def measure(server, state):
    """Starts `server` in `state`, leaves it stopped, and returns the rows."""
    try:
        start_ms = server.start(state)
        time.sleep(SETTLE_S)
        rss_kib = tree_rss_kib(server.process.pid)
    finally:
        server.stop()
    rows = [
        _row("ms from exec to accepting connections", start_ms, 100),
        _row("MiB RSS with nobody on", rss_kib / 1024, 18),
    ]
    size = server.size_bytes()
    return rows if size is None else [*rows, _row("MiB of the release binary", size / 2**20, 20)]


def tree_rss_kib(pid):
    """Resident memory of a process and its descendants."""
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    own = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS:"))
    tasks = pathlib.Path(f"/proc/{pid}/task").glob("*/children")
    return own + sum(tree_rss_kib(child) for task in tasks for child in task.read_text().split())


def _row(figure, value, goal):
    return {"scenario": "start", "variant": "", "figure": figure, "value": value, "better": "less",
            "goals": [{"kind": "value", "value": goal}]}
