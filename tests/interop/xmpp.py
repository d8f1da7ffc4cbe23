"""A small XMPP client of the tests' own: one TLS stream, SASL, stanzas as ElementTree elements.

Used where a test needs to see every byte's effect (crash test, channel binding); everyday behaviour is tested with
libraries that nobody here wrote.
"""

import asyncio
import base64
import collections
import hashlib
import hmac
import secrets
import time
import xml.etree.ElementTree as ET
from xml.sax.saxutils import quoteattr

CLIENT = "jabber:client"
STREAMS = "http://etherx.jabber.org/streams"
TLS = "urn:ietf:params:xml:ns:xmpp-tls"
SASL = "urn:ietf:params:xml:ns:xmpp-sasl"
BIND = "urn:ietf:params:xml:ns:xmpp-bind"
PING = "urn:xmpp:ping"
SID = "urn:xmpp:sid:0"
DELAY = "urn:xmpp:delay"


class StreamClosed(Exception):
    """The connection or the stream has ended."""


class LoginFailed(Exception):
    """The server refused the login; the message is the SASL condition."""


class Client(asyncio.Protocol):
    """One connection. `read()` yields first-level elements; `login()` takes it to a bound session.

    A protocol and not a pair of streams: the crash test counts what arrived before a reset, and streams throw it away.
    """

    def __init__(self, domain):
        self.domain = domain
        self.transport = None
        self.jid = None
        self.features = None
        self.lost = None
        self.arrived = asyncio.Event()
        self._restart()

    def _restart(self):
        self.parser = ET.XMLPullParser(("start", "end"))
        self.depth = 0
        self.ready = collections.deque()

    # What asyncio calls.
    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        self.parser.feed(data)
        for kind, element in self.parser.read_events():
            if kind == "start":
                self.depth += 1
                if self.depth == 1:
                    self.root = element
            else:
                self.depth -= 1
                if self.depth == 1:
                    self.ready.append(element)
                    self.root.remove(element)
        self.arrived.set()

    def connection_lost(self, error):
        self.lost = error or "end of connection"
        self.arrived.set()

    @classmethod
    async def open(cls, server, direct, domain, highest=None, context=None):
        """Connects and negotiates TLS, up to the features that offer SASL."""
        loop = asyncio.get_running_loop()
        context = context or server.tls_context(highest)
        if direct:
            _, client = await loop.create_connection(
                lambda: cls(domain), "127.0.0.1", server.tls_port, ssl=context, server_hostname=domain
            )
        else:
            client = await cls.open_plain(server, domain)
            client.send(f"<starttls xmlns='{TLS}'/>")
            answer = await client.read()
            if answer.tag != f"{{{TLS}}}proceed":
                raise LoginFailed(f"no TLS: {answer.tag}")
            client._restart()
            client.transport = await loop.start_tls(client.transport, client, context, server_hostname=domain)
        await client.header()
        return client

    @classmethod
    async def open_plain(cls, server, domain):
        """Connects to the STARTTLS port and reads its first features, without TLS."""
        loop = asyncio.get_running_loop()
        _, client = await loop.create_connection(lambda: cls(domain), "127.0.0.1", server.c2s_port)
        await client.header()
        return client

    async def header(self):
        """(Re)opens the stream and reads its features."""
        self.send(
            f"<?xml version='1.0'?><stream:stream xmlns='{CLIENT}' xmlns:stream='{STREAMS}' "
            f"to={quoteattr(self.domain)} version='1.0'>"
        )
        self.features = await self.read()

    def mechanisms(self):
        """The offered SASL mechanisms."""
        return [m.text for m in self.features.iter(f"{{{SASL}}}mechanism")]

    def send(self, text):
        """Queues text for the socket."""
        if self.lost is not None or self.transport.is_closing():
            raise StreamClosed("connection is closed")
        self.transport.write(text.encode())

    async def read(self, timeout=10.0):
        """The next first-level element; StreamClosed when there will be none, TimeoutError when none came in time."""
        deadline = time.monotonic() + timeout
        while not self.ready:
            if self.lost is not None:
                raise StreamClosed(str(self.lost))
            self.arrived.clear()
            await asyncio.wait_for(self.arrived.wait(), max(0.001, deadline - time.monotonic()))
        return self.ready.popleft()

    async def login(self, name, password, mechanism="SCRAM-SHA-1", resource=None):
        """Authenticates and binds. `-PLUS` uses what `binding()` gives."""
        await self.authenticate(name, password, mechanism)
        wanted = f"<resource>{resource}</resource>" if resource else ""
        answer = await self.ask(f"<iq type='set' id='bind'><bind xmlns='{BIND}'>{wanted}</bind></iq>", "bind")
        self.jid = answer.find(f".//{{{BIND}}}jid").text
        return self

    async def authenticate(self, name, password, mechanism="SCRAM-SHA-1"):
        """Authenticates alone: what comes next binds, or resumes."""
        if mechanism == "PLAIN":
            first = f"\0{name}\0{password}".encode()
            await self._sasl(f"<auth xmlns='{SASL}' mechanism='PLAIN'>{_b64(first)}</auth>", "success")
        else:
            await self._scram(name, password, mechanism)
        self._restart()
        await self.header()

    async def _scram(self, name, password, mechanism):
        digest = mechanism.removesuffix("-PLUS").removeprefix("SCRAM-").replace("-", "").lower()
        header, binding = "n,,", b""
        if mechanism.endswith("-PLUS"):
            kind, binding = self.binding()
            header = f"p={kind},,"
        bare = f"n={name},r={secrets.token_urlsafe(18)}"
        challenge = await self._sasl(
            f"<auth xmlns='{SASL}' mechanism='{mechanism}'>{_b64((header + bare).encode())}</auth>", "challenge"
        )
        server_first = base64.b64decode(challenge.text).decode()
        fields = dict(part.split("=", 1) for part in server_first.split(","))
        salted = hashlib.pbkdf2_hmac(digest, password.encode(), base64.b64decode(fields["s"]), int(fields["i"]))
        client_key = hmac.digest(salted, b"Client Key", digest)
        without_proof = f"c={_b64(header.encode() + binding)},r={fields['r']}"
        message = f"{bare},{server_first},{without_proof}".encode()
        signature = hmac.digest(hashlib.new(digest, client_key).digest(), message, digest)
        proof = bytes(a ^ b for a, b in zip(client_key, signature))
        final = f"{without_proof},p={_b64(proof)}".encode()
        success = await self._sasl(f"<response xmlns='{SASL}'>{_b64(final)}</response>", "success")
        expected = hmac.digest(hmac.digest(salted, b"Server Key", digest), message, digest)
        if base64.b64decode(success.text).decode() != f"v={_b64(expected)}":
            raise LoginFailed("the server's signature is wrong")

    def binding(self):
        """Type and data of the channel binding that `-PLUS` uses."""
        certificate = self.transport.get_extra_info("ssl_object").getpeercert(True)
        # RFC 5929 §4.1; the test certificates are signed with SHA-256, so this is the binding's hash too.
        return "tls-server-end-point", hashlib.sha256(certificate).digest()

    async def _sasl(self, text, wanted):
        self.send(text)
        answer = await self.read()
        if answer.tag != f"{{{SASL}}}{wanted}":
            raise LoginFailed(",".join(child.tag.split("}")[1] for child in answer) or answer.tag)
        return answer

    async def ask(self, text, stanza_id, timeout=10.0):
        """Sends an IQ and reads up to its answer; what comes in between stays readable, in order."""
        self.send(text)
        kept = []
        try:
            while True:
                element = await self.read(timeout)
                if element.tag == f"{{{CLIENT}}}iq" and element.get("id") == stanza_id:
                    return element
                kept.append(element)
        finally:
            self.ready.extendleft(reversed(kept))

    def close(self):
        """Drops the connection without a word."""
        self.transport.abort()

    async def end(self):
        """Ends the stream politely."""
        try:
            self.send("</stream:stream>")
            while True:
                await self.read(2)
        except (StreamClosed, OSError, TimeoutError):
            pass
        self.close()


def _b64(data):
    return base64.b64encode(data).decode()
