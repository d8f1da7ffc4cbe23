"""Runs the cases: several at once against one server, each bounded in time, one line each, counts at the end.

A case is an async function marked with `@case`. It gets a `Scene`, which makes accounts of its own for it and logs
people in over the transport of the run, and cleans up behind it.
"""

import asyncio
import sys
import time
import traceback

from slix import Person

CASES = []


class Skipped(Exception):
    """The server does not offer what the case is about."""


def case(once=False, needs=None, timeout=25.0, lane="fast", expects=None):
    """Marks a case. `once`: not once per transport. `needs`: skipped for servers that lack this. `lane`: "fast", or
    "terminal" for the few that start programs with a screen. `expects`: what it shows, in a few words."""

    def mark(function):
        transports = [None] if once else ["starttls", "direct"]
        for transport in transports:
            CASES.append((function, transport, needs, timeout, lane))
        return function

    return mark


class Scene:
    """What one case works with."""

    count = 0

    def __init__(self, server, transport):
        self.server = server
        self.direct = transport == "direct"
        self.people = []
        self.closers = []
        Scene.count += 1
        self.suffix = str(Scene.count)

    async def account(self, name):
        """A fresh account whose local part starts with `name`; its bare JID."""
        return await self.server.account(f"{name}{self.suffix}")

    def password(self, jid):
        return self.server.passwords[jid.split("@")[0]]

    def session(self, jid, resource=None, password=None, **options):
        """A slixmpp client for the account, not connected yet."""
        full = f"{jid}/{resource}" if resource else jid
        person = Person(self.server, full, password or self.password(jid), self.direct, **options)
        self.people.append(person)
        return person

    async def person(self, name, resource=None, available=True, **options):
        """A fresh account with one session, logged in and (unless told otherwise) available."""
        person = await self.session(await self.account(name), resource, **options).login()
        return await person.online() if available else person

    async def again(self, person, resource=None, available=True):
        """One more session of the same account."""
        other = await self.session(person.boundjid.bare, resource).login()
        return await other.online() if available else other

    async def admin(self):
        """A session of the administrator's account."""
        return await (await self.session("boss@localhost").login()).online()

    async def friends(self, one, other):
        """Makes both accounts subscribe to each other and clears what they have read so far."""
        for asking, asked in ((one, other), (other, one)):
            asking.send_presence_subscription(asked.boundjid.bare, ptype="subscribe")
            await asked.presence(asking.boundjid.bare, "subscribe")
            asked.send_presence_subscription(asking.boundjid.bare, ptype="subscribed")
            await asking.presence(asked.boundjid.bare, "subscribed")
        await one.push(other.boundjid.bare, subscription="both")
        await other.push(one.boundjid.bare, subscription="both")
        await one.sync()
        await other.sync()
        one.seen.clear()
        other.seen.clear()

    async def close(self):
        await asyncio.gather(*(person.leave() for person in self.people), return_exceptions=True)
        for closer in self.closers:
            await closer()


async def _run_one(entry, server, slots, results):
    function, transport, needs, timeout, lane = entry
    name = f"{function.__module__.removeprefix('cases_')}.{function.__name__}" + (
        f" [{transport}]" if transport else ""
    )
    async with slots[lane]:
        scene = Scene(server, transport)
        began = time.monotonic()
        outcome, detail = "ok", ""
        try:
            if needs and needs in server.lacks:
                raise Skipped(f"{server.name} does not offer {needs}")
            await asyncio.wait_for(function(scene), timeout)
        except Skipped as why:
            outcome, detail = "skipped", str(why)
        except Exception as error:  # whatever a case raises is its result
            outcome = "FAILED"
            frames = [f for f in traceback.extract_tb(error.__traceback__) if "interop" in f.filename]
            where = " < ".join(f"{f.filename.rsplit('/', 1)[-1]}:{f.lineno}" for f in reversed(frames))
            detail = f"{type(error).__name__}: {str(error)[:1500]}\n    at {where}"
            if isinstance(error, TimeoutError) and time.monotonic() - began >= timeout:
                detail = f"not done after {timeout} s\n    at {where}"
        finally:
            try:
                await asyncio.wait_for(scene.close(), 8)
            except Exception as error:  # cleaning up is no part of the case, but worth a line
                print(f"        {name}: while cleaning up: {type(error).__name__} {error}")
        seconds = time.monotonic() - began
        print(f"{outcome:7} {name} ({seconds:.1f} s)" + (f"\n    {detail}" if detail else ""), flush=True)
        results.append(outcome)


async def run_cases(server, pattern="", at_once=6):
    """Runs the cases whose name holds `pattern`; returns (passed, failed, skipped)."""
    chosen = [e for e in CASES if pattern in f"{e[0].__module__}.{e[0].__name__} {e[1] or ''}"]
    slots = {"fast": asyncio.Semaphore(at_once), "terminal": asyncio.Semaphore(2)}
    results = []
    # Programs with a screen take longest: first in the queue of the loop.
    chosen.sort(key=lambda entry: entry[4] != "terminal")
    await asyncio.gather(*(_run_one(entry, server, slots, results) for entry in chosen))
    if server.process.poll() is not None:
        print(f"FAILED  the server ended with {server.process.returncode}\n{server.log_tail()}")
        results.append("FAILED")
    leaks = server.leaks()
    print(
        f"{'FAILED' if leaks else 'ok':7} logs hold no password and no message body"
        + "".join(f"\n    {x}" for x in leaks[:5])
    )
    results.append("FAILED" if leaks else "ok")
    if "FAILED" in results:
        print(f"last lines of {server.name}'s log:\n{server.log_tail(25)}")
    sys.stdout.flush()
    return results.count("ok"), results.count("FAILED"), results.count("skipped")


def total(passed, failed, skipped):
    """The closing line of every program here."""
    print(f"{passed} passed, {failed} failed" + (f", {skipped} skipped" if skipped else ""), flush=True)
    return 1 if failed or not passed else 0
