"""slixmpp as a person at a client: logs in, keeps every stanza that comes, waits for what a test expects."""

import asyncio
import hashlib
import logging
import time
import xml.etree.ElementTree as ET

import slixmpp
from slixmpp.exceptions import IqError, IqTimeout
from slixmpp.util.sasl import mechanisms

logging.getLogger("slixmpp").setLevel(logging.CRITICAL)
logging.getLogger("asyncio").setLevel(logging.CRITICAL)

PLUGINS = (
    "0004 0012 0013 0030 0049 0050 0054 0060 0077 0084 0092 0115 0133 0163 0191 0199 0202 0203 0280 0313 0359 0363"
).split()
# How long a test waits for something that must come, in seconds.
PATIENCE = 8.0


def _salted(self, text, salt, iterations):
    return hashlib.pbkdf2_hmac(self.hash().name, mechanisms.bytes(text), salt, iterations)


# slixmpp derives keys in a Python loop that holds up every other test of this process: the same function from C.
mechanisms.SCRAM.Hi = _salted


class Person(slixmpp.ClientXMPP):
    """One session of an account."""

    def __init__(self, server, jid, password, direct, mechanism=None, highest=None):
        super().__init__(jid, password, sasl_mech=mechanism, ssl_context=server.tls_context(highest))
        self.under_test = server
        self.enable_direct_tls = direct
        self.enable_starttls = not direct
        self.enable_plaintext = False
        self.auto_authorize = None
        self.auto_subscribe = None
        for plugin in PLUGINS:
            self.register_plugin(f"xep_{plugin}")
        self.seen = []
        self.refused_bind = None
        self.arrived = asyncio.Event()
        self.add_filter("in", self._note)

    def _note(self, stanza):
        self.seen.append(stanza)
        self.arrived.set()
        # slixmpp waits for ever when binding is refused; for the tests that is a refused login.
        if stanza.name == "iq" and stanza["type"] == "error" and not self.sessionstarted and self.refused_bind:
            self.refused_bind(stanza["error"]["condition"])
        return stanza

    async def login(self, timeout=PATIENCE):
        """Connects up to a bound session. Raises PermissionError with the reason when the login is refused."""
        outcome = self.loop.create_future()

        def done(value):
            if not outcome.done():
                outcome.set_result(value)

        self.add_event_handler("session_start", lambda _: done(None))
        self.add_event_handler("failed_auth", lambda stanza: done(PermissionError(stanza["condition"])))
        self.add_event_handler("no_auth", lambda _: done(PermissionError("no mechanism in common")))
        self.add_event_handler("connection_failed", lambda error: done(ConnectionError(str(error))))
        self.add_event_handler("disconnected", lambda why: done(ConnectionError(f"disconnected: {why}")))
        self.refused_bind = lambda condition: done(PermissionError(condition))
        self.connect("127.0.0.1", self.under_test.tls_port if self.enable_direct_tls else self.under_test.c2s_port)
        try:
            result = await asyncio.wait_for(outcome, timeout)
        except TimeoutError:
            raise AssertionError(f"{self.requested_jid}: no session after {timeout} s") from None
        if result is not None:
            self.abort()
            raise result
        return self

    async def online(self, **presence):
        """Asks for the roster and sends initial presence, as clients do; returns when the server has broadcast it."""
        await self.get_roster()
        self.send_presence(**presence)
        await self.sync()
        return self

    async def sync(self):
        """A ping to the server and back: everything sent before has been processed."""
        iq = self.make_iq_get(ito=self.boundjid.domain)
        iq.enable("ping")
        try:
            await iq.send(timeout=PATIENCE)
        except IqError:
            pass

    async def expect(self, matches, what, timeout=PATIENCE):
        """The first unread stanza that matches; it counts as read afterwards."""
        deadline = time.monotonic() + timeout
        while True:
            for index, stanza in enumerate(self.seen):
                if matches(stanza):
                    return self.seen.pop(index)
            self.arrived.clear()
            try:
                await asyncio.wait_for(self.arrived.wait(), deadline - time.monotonic())
            except TimeoutError:
                got = "\n".join(f"    {str(s)[:300]}" for s in self.seen[-8:]) or "    nothing"
                raise AssertionError(f"{self.boundjid} waited for {what}; unread are\n{got}") from None

    async def expect_none(self, matches, what, after=None):
        """Nothing that matches has come, once `after` (a sender's session) and this one are in step with the server."""
        if after is not None:
            await after.sync()
        await self.sync()
        await asyncio.sleep(0.15)
        for stanza in self.seen:
            if matches(stanza):
                raise AssertionError(f"{self.boundjid} must not get {what}: {str(stanza)[:400]}")

    async def message(self, body, sender=None):
        """The message with this body."""
        wanted = message(body, sender)
        return await self.expect(wanted, f"a message {body!r} from {sender or 'anyone'}")

    async def presence(self, sender, kind=None):
        """A presence of type `kind` (None: available) from this bare or full address."""
        return await self.expect(presence(sender, kind), f"presence {kind or 'available'} from {sender}")

    async def push(self, jid, **wanted):
        """The roster push about `jid` whose attributes (subscription, ask, name) are these."""
        return await self.expect(push(jid, **wanted), f"a roster push about {jid} with {wanted}")

    async def item(self, jid):
        """The roster item of `jid` as the server has it now, as XML attributes and groups, or None."""
        iq = self.make_iq_get()
        iq.append(ET.Element("{jabber:iq:roster}query"))
        answer = await iq.send(timeout=PATIENCE)
        for item in answer.xml.iter("{jabber:iq:roster}item"):
            if item.get("jid") == str(jid):
                return {**item.attrib, "groups": sorted(g.text for g in item.iter("{jabber:iq:roster}group"))}
        return None

    async def ask(self, kind, payload, to=None):
        """Sends an IQ with this payload (XML text) and returns the answer's element; IqError when it is an error."""
        iq = self.make_iq(itype=kind, ito=to)
        iq.append(ET.fromstring(payload))
        return (await iq.send(timeout=PATIENCE)).xml

    def post(self, to, body, kind="chat", **attributes):
        """Sends a message and returns its body."""
        stanza = self.make_message(mto=to, mbody=body, mtype=kind)
        for key, value in attributes.items():
            stanza[key] = value
        stanza.send()
        return body

    async def leave(self):
        """Ends the stream."""
        if self.is_connected():
            try:
                await asyncio.wait_for(self.disconnect(wait=1.0), 3)
            except TimeoutError:
                self.abort()
        self.cancel_connection_attempt()


def message(body, sender=None):
    """Matches a message by its body."""

    def matches(stanza):
        if stanza.name != "message" or stanza["body"] != body:
            return False
        return sender is None or sender in (str(stanza["from"]), stanza["from"].bare)

    return matches


def presence(sender, kind=None):
    """Matches a presence by sender and type attribute."""

    def matches(stanza):
        if stanza.name != "presence" or stanza.xml.get("type") != kind:
            return False
        return str(sender) in (str(stanza["from"]), stanza["from"].bare)

    return matches


def push(jid, **wanted):
    """Matches a roster push by its item's attributes."""

    def matches(stanza):
        if stanza.name != "iq" or stanza["type"] != "set":
            return False
        items = list(stanza.xml.iter("{jabber:iq:roster}item"))
        return (
            len(items) == 1
            and items[0].get("jid") == str(jid)
            and all(items[0].get(key) == value for key, value in wanted.items())
        )

    return matches


async def refusal(answer):
    """The error condition with which the awaited IQ is answered; fails when it is answered with a result."""
    try:
        await answer
    except IqTimeout:
        raise AssertionError("an IQ was not answered") from None
    except IqError as error:
        return error.condition
    raise AssertionError("an IQ was answered with a result where an error was due")
