#!/usr/bin/env python3
"""A stock client through crashes: `crash.py --binary target/debug/linnet --judge target/debug/judge [--rounds 24]`.

slixmpp sessions with stream management write numbered messages to each other and to people who come and go. Connections
are cut and the server is killed at random moments and started again on the same data. What all of them saw, with the
stanza-ids that they got, goes as lines of JSON to the judge (crates/testkit/src/history.rs). The program with our own
client, for many more rounds, is crates/linnet/tests/torment. Last line: `N passed, N failed`.
"""

import argparse
import asyncio
import json
import random
import subprocess
import sys
from pathlib import Path

from server import CANARY, DOMAIN, Linnet, ServerError
from slix import Person

MAM = "urn:xmpp:mam:2"
RSM = "http://jabber.org/protocol/rsm"
SID = "{urn:xmpp:sid:0}stanza-id"
CARBONS = "{urn:xmpp:carbons:2}"
FORWARDED = "{urn:xmpp:forward:0}forwarded"
MESSAGE = "{jabber:client}message"
USERS = ("benvolio", "juliet", "romeo")


class World:
    """What all devices of a run share."""

    def __init__(self, server, dice):
        self.server, self.dice = server, dice
        self.history = []
        self.number = 0
        self.stopping = False
        self.resumed = 0
        self.acknowledged = 0

    def note(self, event, **fields):
        self.history.append({"event": event, **fields})


class Device:
    """A session of slixmpp that comes back whenever it is gone."""

    def __init__(self, world, user, resource):
        self.world, self.user, self.name = world, user, f"{user}/{resource}"
        self.address = f"{user}@{DOMAIN}"
        self.cursor = None
        self.is_up = False
        self.person = person = Person(world.server, f"{self.address}/{resource}", world.server.passwords[user], True)
        person.register_plugin("xep_0198")
        person.plugin["xep_0198"].window = 4
        person.plugin["xep_0198"].window_counter = 4
        person.add_event_handler("session_start", self._started)
        person.add_event_handler("session_resumed", self._resumed)
        person.add_event_handler("stanza_acked", self._acknowledged)
        person.add_event_handler("disconnected", self._gone)
        person.add_event_handler("connection_failed", self._gone)
        person.add_filter("in", self._take)
        self._connect()

    def _connect(self):
        if not self.is_up:
            self.person.connect("127.0.0.1", self.world.server.tls_port)

    def _gone(self, _):
        self.is_up = False
        if not self.world.stopping:
            self.person.loop.call_later(0.1, self._connect)

    def _resumed(self, _):
        self.is_up = True
        self.world.resumed += 1

    def _started(self, _):
        self.is_up = True
        self.world.note("ended", account=self.user)
        self.world.note("began", device=self.name)
        self.person.send_raw("<iq type='set' id='carbons'><enable xmlns='urn:xmpp:carbons:2'/></iq>")
        self.person.send_presence()

    def _acknowledged(self, stanza):
        if stanza.name == "message" and stanza["id"].isdigit():
            self.world.acknowledged += 1
            self.world.note("acknowledged", id=int(stanza["id"]))

    def say(self):
        world = self.world
        to = world.dice.choice([user for user in USERS if user != self.user])
        world.number += 1
        world.note("sent", sender=self.name, to=to, id=world.number, kept=True)
        message = self.person.make_message(mto=f"{to}@{DOMAIN}", mbody=CANARY, mtype="chat")
        message["id"] = str(world.number)
        message.send()

    def _take(self, stanza):
        if stanza.name == "message":
            self._message(stanza.xml)
        self.person.seen.clear()
        return stanza

    def _message(self, xml):
        result = xml.find(f"{{{MAM}}}result")
        if result is not None:
            inner = result.find(f"{FORWARDED}/{MESSAGE}")
            return self._note("fetched", inner, result.get("id"))
        for direction in ("sent", "received"):
            copy = xml.find(f"{CARBONS}{direction}/{FORWARDED}/{MESSAGE}")
            if copy is not None:
                return self._note("copied", copy)
        if xml.get("type") == "error":
            if (xml.get("id") or "").isdigit():
                self.world.note("refused", id=int(xml.get("id")))
        elif (xml.get("id") or "").isdigit():
            self._note("received", xml)

    def _note(self, event, message, stanza_id=None):
        if stanza_id is None:
            ids = [each.get("id") for each in message.findall(SID) if each.get("by") == self.address]
            stanza_id = ids[0] if ids else ""
        self.world.note(event, account=self.user, device=self.name, id=int(message.get("id")), stanza_id=stanza_id)

    async def read_archive(self):
        """Reads on behind the last page, up to the end."""
        while True:
            after = f"<after>{self.cursor}</after>" if self.cursor else ""
            query = f"<query xmlns='{MAM}'><set xmlns='{RSM}'>{after}<max>100</max></set></query>"
            fin = (await self.person.ask("set", query)).find(f"{{{MAM}}}fin")
            self.cursor = fin.findtext(f"{{{RSM}}}set/{{{RSM}}}last") or self.cursor
            if fin.get("complete") == "true":
                return

    async def settle(self):
        """At the end: everything sent is acknowledged."""
        while not self.is_up or self.person.plugin["xep_0198"].unacked_queue:
            if self.is_up:
                self.person.plugin["xep_0198"].request_ack()
            await asyncio.sleep(0.1)


async def torment(server, rounds, dice):
    """The whole run; returns the world as it was left."""
    world = World(server, dice)
    devices = [Device(world, user, resource) for user in USERS for resource in ("a", "b")]

    async def load():
        while not world.stopping:
            for device in devices:
                if device.is_up and dice.random() < 0.7:
                    device.say()
            await asyncio.sleep(0.02)

    talking = asyncio.create_task(load())
    for number in range(rounds):
        await asyncio.sleep(0.5 + dice.random())
        if number % 4 == 0:
            await asyncio.to_thread(server.kill)
            await asyncio.to_thread(server.start)
        else:
            for device in dice.sample(devices, 2):
                device.person.abort()
    await asyncio.sleep(1.0)
    world.stopping = True
    await talking
    # Who was cut off last comes back a last time.
    world.stopping = False
    await asyncio.wait_for(asyncio.gather(*(device.settle() for device in devices)), 60)
    await asyncio.gather(*(device.read_archive() for device in devices))
    for device in devices:
        world.note("synced", account=device.user, device=device.name)
    for device in devices[::2]:
        before = len(world.history)
        device.cursor = None
        await device.read_archive()
        for event in world.history[before:]:
            if event["event"] == "fetched":
                event["event"] = "archived"
                del event["device"]
    world.stopping = True
    await asyncio.gather(*(device.person.leave() for device in devices), return_exceptions=True)
    return world


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--binary", default="target/debug/linnet")
    parser.add_argument("--judge", default="target/debug/judge")
    parser.add_argument("--rounds", type=int, default=24)
    parser.add_argument("--seed", type=int, default=None, help="repeat the choices (not the timing) of a run")
    options = parser.parse_args()
    seed = options.seed if options.seed is not None else random.randrange(1 << 30)
    print(f"seed {seed}")
    server = Linnet(options.binary)
    try:
        for user in USERS:
            server.passwords[user] = f"pw {CANARY} {user}"
            server.add_account_now(user, server.passwords[user])
        server.start()
        world = asyncio.run(torment(server, options.rounds, random.Random(seed)))
        lines = "\n".join(json.dumps(event) for event in world.history)
        judged = subprocess.run([Path(options.judge).resolve()], input=lines, capture_output=True, text=True)
        found = judged.stdout.splitlines() + ([judged.stderr] if judged.returncode > 1 else [])
        print(f"{world.number} sent, {world.acknowledged} acknowledged, {world.resumed} sessions resumed, {judged.stderr.strip()}")
        if world.acknowledged < options.rounds * 10 or not world.resumed:
            found.append("too little happened to prove anything")
        found += [f"in the log: {line}" for line in server.leaks()[:5]]
        for line in found[:40]:
            print(f"FAILED  {line}")
        print(f"{0 if found else options.rounds} passed, {1 if found else 0} failed")
        return 1 if found else 0
    except (ServerError, TimeoutError) as error:
        print(f"FAILED  {type(error).__name__} {error}\n{server.log_tail(25)}\n0 passed, 1 failed")
        return 1
    finally:
        server.remove()


if __name__ == "__main__":
    sys.exit(main())
