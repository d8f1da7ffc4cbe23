#!/usr/bin/env python3
"""SIGKILL under load: `crash.py --binary target/debug/linnet [--rounds 20] [--seed N]`.

Senders write numbered messages to accounts that are online and to accounts that come and go, and ping the server every
few messages. The server is killed at random moments and started again on the same data directory. In the end everybody
fetches what is theirs and history.py judges. Needs nothing but Python; last line: `N passed, N failed`.
"""

import argparse
import asyncio
import logging
import random
import sys
import time

from history import Received, Sent, findings
from server import CANARY, DOMAIN, Linnet, Prosody, ServerError
from xmpp import CLIENT, PING, SID, Client, LoginFailed, StreamClosed

BODY = f"{{{CLIENT}}}body"
GONE = (StreamClosed, OSError, TimeoutError, LoginFailed)


class World:
    """What all clients of a run share."""

    def __init__(self, server, dice):
        self.server = server
        self.dice = dice
        self.sent = []
        self.received = []
        self.stopping = False
        self.problems = []
        self.unconfirmed_streams = 0

    async def session(self, name, until):
        """A logged-in client, however often the server is away meanwhile; None when `until()` turns true."""
        while not until():
            client = None
            try:
                client = await Client.open(self.server, self.dice.random() < 0.5, DOMAIN)
                return await client.login(name, self.server.passwords[name])
            except LoginFailed as refused:
                self.problems.append(f"{name} could not log in: {refused}")
                return None
            except GONE:
                if client:
                    client.close()
                await asyncio.sleep(0.03)
        return None


class Sender:
    """Writes bursts of numbered messages, each followed by a ping; the pong confirms all that went before it."""

    def __init__(self, world, name, recipients):
        self.world, self.name, self.recipients = world, name, recipients
        self.number = 0

    async def run(self):
        world = self.world
        while not world.stopping:
            client = await world.session(self.name, lambda: world.stopping)
            if client is None:
                return
            try:
                await self._talk(client)
                await client.end()
            except GONE:
                world.unconfirmed_streams += 1
                client.close()

    async def _talk(self, client):
        world, dice = self.world, self.world.dice
        client.send("<presence><priority>-1</priority></presence>")
        on_stream, waiting = [], {}
        try:
            while not world.stopping or waiting:
                # Up to three pings in flight, so that a kill meets messages in every state.
                if not world.stopping and len(waiting) < 3:
                    for _ in range(dice.randint(1, 12)):
                        on_stream.append(self._one(client))
                    ping = f"p{self.number}"
                    client.send(f"<iq type='get' id='{ping}' to='{DOMAIN}'><ping xmlns='{PING}'/></iq>")
                    waiting[ping] = len(on_stream)
                    if dice.random() < 0.7:
                        await asyncio.sleep(dice.random() * 0.04)
                        continue
                self._take(await client.read(), on_stream, waiting)
        finally:
            # What the server had answered before the connection broke counts as well.
            while client.ready:
                self._take(client.ready.popleft(), on_stream, waiting)

    def _one(self, client):
        recipient = self.world.dice.choice(self.recipients)
        self.number += 1
        message = Sent(self.name, recipient, self.number)
        self.world.sent.append(message)
        client.send(
            f"<message type='chat' id='{self.name}-{self.number}' to='{recipient}@{DOMAIN}'>"
            f"<body>{CANARY} {self.name} {self.number}</body></message>"
        )
        return message

    def _take(self, element, on_stream, waiting):
        if element.tag == f"{{{CLIENT}}}iq" and element.get("id") in waiting:
            if element.get("type") != "result":
                self.world.problems.append(f"a ping was answered with {element.get('type')}")
            for message in on_stream[: waiting.pop(element.get("id"))]:
                message.confirmed = True
        elif element.tag == f"{{{CLIENT}}}message" and element.get("type") == "error":
            for message in on_stream:
                if f"{self.name}-{message.number}" == element.get("id"):
                    message.refused = True


class Recipient:
    """Reads its messages. `sleepy` ones are away most of the time and leave politely, so that nothing is in flight."""

    def __init__(self, world, name, sleepy):
        self.world, self.name, self.sleepy = world, name, sleepy

    async def run(self):
        world = self.world
        while not world.stopping:
            if self.sleepy:
                await asyncio.sleep(world.dice.random() * 4)
            if not await self.visit(lambda: world.stopping, world.dice.random() if self.sleepy else 3600):
                return

    async def visit(self, until, seconds):
        """One session: takes what comes for that long; False when there was none to be had."""
        client = await self.world.session(self.name, until)
        if client is None:
            return False
        leave = time.monotonic() + seconds
        try:
            client.send("<presence/>")
            while time.monotonic() < leave and not until():
                try:
                    self._take(await client.read(min(0.3, max(0.01, leave - time.monotonic()))))
                except TimeoutError:
                    pass
            await self._leave(client)
        except GONE:
            pass
        finally:
            while client.ready:
                self._take(client.ready.popleft())
            client.close()
        return True

    async def _leave(self, client):
        client.send("<presence type='unavailable'/></stream:stream>")
        while True:
            self._take(await client.read(3))

    async def fetch(self):
        """At the end: everything that is still kept, until nothing has come for a while."""
        client = await self.world.session(self.name, lambda: False)
        client.send("<presence/>")
        try:
            while True:
                self._take(await client.read(1.5))
        except TimeoutError:
            await client.end()

    def _take(self, element):
        if element.tag != f"{{{CLIENT}}}message" or element.get("type") == "error":
            return
        words = (element.findtext(BODY) or "").split()
        if len(words) != 3 or words[0] != CANARY:
            self.world.problems.append(f"{self.name} got a message that nobody sent: {words}")
            return
        account = f"{self.name}@{DOMAIN}"
        ids = [e.get("id") for e in element.iter(f"{{{SID}}}stanza-id") if e.get("by") == account]
        self.world.received.append(Received(self.name, words[1], int(words[2]), ids[0] if ids else None))


async def torment(server, rounds, dice, graceful):
    """The whole run; returns the world as it was left."""
    world = World(server, dice)
    online, sleepy = ["on1", "on2"], ["off1", "off2", "off3"]
    recipients = [Recipient(world, name, name in sleepy) for name in online + sleepy]
    # off3 never shows up before the end.
    tasks = [asyncio.create_task(r.run()) for r in recipients if r.name != "off3"]
    tasks += [asyncio.create_task(Sender(world, f"s{n}", online + sleepy).run()) for n in range(3)]
    for round_number in range(rounds):
        # Sometimes in the middle of the logins, mostly in the middle of the talk.
        await asyncio.sleep(dice.choice([0.2, 0.8, 1.5, 2.5]) * (0.5 + dice.random()))
        await asyncio.to_thread(server.stop if graceful else server.kill)
        began = await asyncio.to_thread(server.start)
        confirmed = sum(m.confirmed for m in world.sent)
        print(
            f"round {round_number + 1}: {len(world.sent)} sent, {confirmed} confirmed, started in {began:.2f} s",
            flush=True,
        )
    await asyncio.sleep(1.0)
    world.stopping = True
    await asyncio.wait_for(asyncio.gather(*tasks), 60)
    await asyncio.wait_for(asyncio.gather(*(r.fetch() for r in recipients)), 120)
    return world


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--server", choices=["linnet", "prosody"], default="linnet")
    parser.add_argument("--binary", default="target/debug/linnet")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--seed", type=int, default=None, help="repeat the choices (not the timing) of a run")
    parser.add_argument("--graceful", action="store_true", help="SIGTERM in place of SIGKILL")
    options = parser.parse_args()
    seed = options.seed if options.seed is not None else random.randrange(1 << 30)
    print(f"seed {seed}")
    # Writes into a connection that just died are what this program is about.
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)
    server = Prosody() if options.server == "prosody" else Linnet(options.binary)
    try:
        for name in ("s0", "s1", "s2", "on1", "on2", "off1", "off2", "off3"):
            server.passwords[name] = f"pw {CANARY} {name}"
            server.add_account_now(name, server.passwords[name])
        server.start()
        world = asyncio.run(torment(server, options.rounds, random.Random(seed), options.graceful))
        # A second copy counts against a server that stamps no ids; Prosody is only here to try the harness out.
        found = findings(world.sent, world.received, ids="0359" not in server.lacks) + world.problems
        confirmed = sum(m.confirmed for m in world.sent)
        copies = len(world.received) - len({(r.sender, r.number) for r in world.received})
        print(
            f"{len(world.sent)} sent, {confirmed} confirmed, {sum(m.refused for m in world.sent)} refused, "
            f"{len(world.received)} received, {copies} second copies, {world.unconfirmed_streams} streams cut"
        )
        if confirmed < options.rounds * 10:
            found.append(f"only {confirmed} messages were confirmed: no load, no proof")
        found += [f"in the log: {line}" for line in server.leaks()[:5]]
        for line in found[:40]:
            print(f"FAILED  {line}")
        if found:
            print(f"{len(found)} findings (seed {seed}); last lines of the log:\n{server.log_tail(25)}")
        print(f"{0 if found else options.rounds} passed, {1 if found else 0} failed")
        return 1 if found else 0
    except (ServerError, TimeoutError) as error:
        print(f"FAILED  {type(error).__name__} {error}\n{server.log_tail(25)}\n0 passed, 1 failed")
        return 1
    finally:
        server.remove()


if __name__ == "__main__":
    sys.exit(main())
