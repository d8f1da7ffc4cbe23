#!/usr/bin/env python3
"""A planned restart in the middle of a conversation: `restart.py --binary target/debug/linnet [--rounds 5]`.

A client with stream management is sent messages, some of which it acknowledges. The server is stopped with SIGTERM and
started again on the same data, and the client resumes: the counts go on, what it had not acknowledged comes, in order and
nothing twice, and so does what was written to it meanwhile. A session without stream management is told of the stop.
Needs nothing but Python; last line: `N passed, N failed`.
"""

import argparse
import asyncio
import sys

from server import DOMAIN, Linnet
from xmpp import CLIENT, Client, StreamClosed

SM = "urn:xmpp:sm:3"
MESSAGE = f"{{{CLIENT}}}message"
BODY = f"{{{CLIENT}}}body"


class Managed:
    """A client that counts what it is sent (XEP-0198 §4)."""

    def __init__(self, client):
        self.client, self.handled, self.bodies, self.resumption = client, 0, [], None

    async def until(self, tag):
        """Reads and counts up to an element of stream management."""
        while True:
            element = await self.client.read()
            if element.tag == f"{{{SM}}}{tag}":
                return element
            if element.tag.startswith(f"{{{CLIENT}}}"):
                self.handled += 1
            if element.tag == MESSAGE and element.find(BODY) is not None:
                self.bodies.append(element.find(BODY).text)

    async def enable(self):
        self.client.send(f"<enable xmlns='{SM}' resume='true'/>")
        enabled = await self.until("enabled")
        self.resumption = enabled.get("id")
        assert self.resumption and int(enabled.get("max")) > 0, "the session cannot be resumed"

    async def take(self, count):
        """Reads so many messages."""
        wanted = len(self.bodies) + count
        while len(self.bodies) < wanted:
            element = await self.client.read()
            self.handled += element.tag.startswith(f"{{{CLIENT}}}")
            if element.tag == MESSAGE:
                self.bodies.append(element.find(BODY).text)

    def acknowledge(self):
        self.client.send(f"<a xmlns='{SM}' h='{self.handled}'/>")

    async def resume(self, server, name, handled):
        """A new connection; gives how many stanzas the server has handled."""
        self.client = await Client.open(server, True, DOMAIN)
        await self.client.authenticate(name, server.passwords[name])
        self.handled = handled
        self.client.send(f"<resume xmlns='{SM}' previd='{self.resumption}' h='{handled}'/>")
        return int((await self.until("resumed")).get("h"))


async def login(server, name):
    client = await Client.open(server, True, DOMAIN)
    return await client.login(name, server.passwords[name])


def tell(romeo, bodies):
    for body in bodies:
        romeo.send(f"<message to='juliet@{DOMAIN}' type='chat' id='{body}'><body>{body}</body></message>")


async def told_of_the_stop(client):
    try:
        while True:
            element = await client.read()
            if element.tag.endswith("}error") and any(child.tag.endswith("}system-shutdown") for child in element):
                return True
    except StreamClosed:
        return False


async def run(server, rounds):
    for name in ("romeo", "juliet"):
        await server.account(name)
    juliet = Managed(await login(server, "juliet"))
    await juliet.enable()
    juliet.client.send("<presence/>")
    said = []
    sent = 1
    for number in range(rounds):
        romeo = await login(server, "romeo")
        batch = [f"m{number}-{place}" for place in range(6)]
        said += batch
        tell(romeo, batch)
        await juliet.take(3)
        juliet.acknowledge()
        acknowledged = juliet.handled
        kept = len(juliet.bodies)
        # The rest is on its way or not even sent when the server stops.
        juliet.client.send("<iq type='get' id='ping'><ping xmlns='urn:xmpp:ping'/></iq>")
        sent += 1
        juliet.client.send(f"<r xmlns='{SM}'/>")
        await juliet.until("a")
        watching = asyncio.create_task(told_of_the_stop(romeo))
        code = await asyncio.to_thread(server.stop)
        assert code == 0, f"the server ended with {code}"
        assert await watching, "who cannot resume is told that the server stops"
        await asyncio.to_thread(server.start)
        romeo = await login(server, "romeo")
        said.append(f"after{number}")
        tell(romeo, said[-1:])
        # What came behind its acknowledgement comes again.
        juliet.bodies = juliet.bodies[:kept]
        handled = await juliet.resume(server, "juliet", acknowledged)
        assert handled == sent, f"{handled} of {sent} stanzas were handled"
        await juliet.take(len(said) - len(juliet.bodies))
        assert juliet.bodies == said, f"{juliet.bodies}\n{said}"
        juliet.acknowledge()
        await romeo.end()
    last = Managed(juliet.client)
    last.client.send(f"<r xmlns='{SM}'/>")
    await last.until("a")
    assert not last.bodies, "something came twice"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--binary", default="target/debug/linnet")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    server = Linnet(options.binary)
    failed = 0
    try:
        server.start()
        asyncio.run(run(server, options.rounds))
        print(f"ok      {options.rounds} planned restarts, and the session goes on")
    except (AssertionError, Exception) as error:  # noqa: BLE001  (whatever it is, it is told)
        failed = 1
        print(f"FAILED  {type(error).__name__}: {error}\n{server.log_tail()}")
    finally:
        server.remove()
    print(f"{1 - failed} passed, {failed} failed")
    return failed


if __name__ == "__main__":
    sys.exit(main())
