#!/usr/bin/env python3
"""Runs the negative-conformance kit against a server: `robust_kit.py --kit PATH --binary target/debug/linnet`.

The kit is a program of its own that prints one JSON line per case. Here it gets a server with the wide per-address
limits that it asks for; failures are shown with clause and detail, skipped cases (features not offered) counted apart.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

from server import DOMAIN, ServerError, start_server

GROUPS = "xml,stream,sasl,stanza,muc,sm,privacy,load,files,s2s,ws,bosh"
# The domain of the kit's own server: an address of loopback.
PEER, PEER_PORT = "127.0.0.7", 5269
# What the kit has about uploads and the HTTP under them; its other cases of HTTP are about pages.
FILES = "slot|get|put|methods|active|content-type|smuggling|chunk|garbage|huge|endless|body-huge|no-trace"


def command(kit, server, groups, extra):
    """The kit's command line for this server."""
    user = {name: f"{name}:{server.passwords[name]}" for name in ("alice", "bob", "boss")}
    chosen = [rf"http\.({FILES})" if group == "files" else rf"{group}\." for group in groups.split(",")]
    only = rf"^({'|'.join(chosen)})"
    return [
        sys.executable, str(kit), "--host", "127.0.0.1", "--c2s", str(server.c2s_port), "--tls", str(server.tls_port),
        "--domain", DOMAIN, "--user1", user["alice"], "--user2", user["bob"], "--admin", user["boss"],
        "--server-pid", str(server.pid), "--only", only, "--http", f"http://127.0.0.1:{server.http_port}",
        "--s2s", str(server.s2s_port), "--peer", PEER, "--peer-port", str(PEER_PORT), *extra,
    ]  # fmt: skip


def run(kit, server, groups, seconds, extra=()):
    """Runs the kit to its end or its time; returns (passed, failed, skipped) and prints the failures."""
    process = subprocess.Popen(
        command(kit, server, groups, extra), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        start_new_session=True, cwd=server.dir,
    )  # fmt: skip
    watchdog = threading.Timer(seconds, lambda: os.killpg(process.pid, signal.SIGKILL))
    watchdog.start()
    errors = []
    threading.Thread(target=lambda: errors.extend(process.stderr), daemon=True).start()
    counts = {True: 0, False: 0, None: 0}
    for line in process.stdout:
        try:
            result = json.loads(line)
        except ValueError:
            continue
        if "case" not in result:
            continue
        counts[result["ok"]] += 1
        if result["ok"] is False:
            print(f"FAILED  {result['case']}  [{result['spec']}]\n    {result['detail']}", flush=True)
    process.wait()
    timed_out = not watchdog.is_alive()
    watchdog.cancel()
    passed, failed, skipped = counts[True], counts[False], counts[None]
    if timed_out or not passed or (process.returncode != 0 and not failed):
        print(f"FAILED  the kit ended with {process.returncode}" + (f" after {seconds} s" if timed_out else ""))
        print("".join(f"    {line}" for line in errors[-15:]))
        failed += 1
    return passed, failed, skipped


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kit", required=True, help="path of robust.py")
    parser.add_argument("--server", choices=["linnet", "prosody"], default="linnet")
    parser.add_argument("--binary", default="target/debug/linnet")
    parser.add_argument("--groups", default=GROUPS)
    parser.add_argument("--seconds", type=float, default=600, help="time for the whole kit")
    parser.add_argument("--trace", action="store_true", help="pass --trace to the kit")
    options = parser.parse_args()
    try:
        server = start_server(options.server, options.binary)
    except ServerError as error:
        print(f"FAILED  {error}\n0 passed, 1 failed")
        return 1
    try:
        # The kit's users are given on its command line as name:password, so no colon and no space in these.
        for name in ("alice", "bob", "boss"):
            password = f"pw-{name}-x"
            if name == "boss":
                continue
            server.add_account_now(name, password)
            server.passwords[name] = password
        passed, failed, skipped = run(
            Path(options.kit).resolve(), server, options.groups, options.seconds, ["--trace"] * options.trace
        )
        if server.process.poll() is not None:
            print(f"FAILED  the server ended with {server.process.returncode}")
            failed += 1
        if failed:
            print(f"last lines of the log:\n{server.log_tail(25)}")
        print(f"{passed} passed, {failed} failed, {skipped} skipped")
        return 1 if failed or not passed else 0
    finally:
        server.remove()


if __name__ == "__main__":
    sys.exit(main())
