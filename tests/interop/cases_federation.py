"""What servers do with each other. Each case has a world of its own: a piece of the loopback network with its servers."""

import asyncio
import secrets
import time

from peers import EjabberdPeer, LinnetPeer, ProsodyPeer
from server import CANARY
from xmpp import CLIENT, Client, StreamClosed

ERRORS = "urn:ietf:params:xml:ns:xmpp-stanzas"


class World:
    """The servers and clients of one case."""

    def __init__(self, binary, network):
        self.binary, self.network = binary, network
        self.servers, self.clients = [], []

    def linnet(self, domain, **more):
        server = LinnetPeer(self.binary, self.network, domain, **more)
        self.servers.append(server)
        return server

    async def pair(self, left=None, right=None, direct=False, **more):
        """Two of ours that know each other, started."""
        a, b = self.linnet("a.test", **more), self.linnet("b.test")
        a.write(b.place(direct), **(left or {}))
        b.write(a.place(direct), **(right or {}))
        await asyncio.gather(start(a), start(b))
        return a, b

    async def with_foreign(self, kind, direct=False, ours=None, theirs=None, options="", **said):
        """Ours and a stock server that know each other, started. `ours`, `theirs`: certificates."""
        a = self.linnet("a.test", certificate=ours)
        more = {"direct": direct} if kind is EjabberdPeer else {}
        b = kind(self.network, "b.test", certificate=theirs, options=options, **more)
        self.servers.append(b)
        a.write(b.place(direct), **said)
        b.write([(domain, a.address) for domain in ("a.test", "pubsub.a.test", "conference.a.test")])
        await asyncio.gather(start(a), start(b))
        return a, b

    async def client(self, server, name, presence=True):
        """A client of an account that is made for it."""
        if name not in server.passwords:
            server.passwords[name] = f"pw {CANARY} {secrets.token_hex(4)}"
            if server.name == "ejabberd":
                await register(server, name, server.passwords[name])
            else:
                await asyncio.to_thread(server.add_account_now, name, server.passwords[name])
        client = await Client.open(server, True, server.domain)
        await client.login(name, server.passwords[name], mechanism="PLAIN", resource="r")
        client.bare = f"{name}@{server.domain}"
        self.clients.append(client)
        if presence:
            await client.ask("<iq type='get' id='roster'><query xmlns='jabber:iq:roster'/></iq>", "roster")
            client.send("<presence/>")
            await want(client, lambda e: e.tag == tag("presence"))
        return client

    def leaks(self):
        return [line for server in self.servers if server.name == "linnet" for line in server.leaks()]

    def tails(self):
        return "\n".join(f"  {server.domain} ({server.name}):\n{server.log_tail(25)}" for server in self.servers)

    def remove(self):
        for client in self.clients:
            if client.transport:
                client.transport.abort()
        for server in self.servers:
            server.remove()


async def register(server, name, password):
    """In band (XEP-0077)."""
    client = await Client.open(server, True, server.domain)
    fields = f"<username>{name}</username><password>{password}</password>"
    client.send(f"<iq type='set' id='r'><query xmlns='jabber:iq:register'>{fields}</query></iq>")
    answer = await want(client, lambda e: e.get("id") == "r")
    assert answer.get("type") == "result", answer.attrib
    client.transport.abort()


async def start(server):
    await asyncio.to_thread(server.start)


def tag(name, ns=CLIENT):
    return f"{{{ns}}}{name}"


async def want(client, fits, timeout=8.0):
    """The next element that fits; others are passed over."""
    deadline, seen = time.monotonic() + timeout, []
    while True:
        try:
            element = await client.read(max(0.01, deadline - time.monotonic()))
        except (TimeoutError, StreamClosed) as error:
            raise AssertionError(f"{client.jid} did not get it ({error!r}); it got {seen[-6:]}") from None
        if fits(element):
            return element
        seen.append((element.tag.split("}")[1], dict(element.attrib)))


def is_message(text):
    return lambda e: e.tag == tag("message") and e.findtext(tag("body")) == text


def is_presence(kind, sender):
    return lambda e: e.tag == tag("presence") and e.get("type") == kind and e.get("from", "").startswith(sender)


def is_answer(ident):
    return lambda e: e.tag == tag("iq") and e.get("id") == ident and e.get("type") in ("result", "error")


def condition(element):
    error = element.find(tag("error"))
    return None if error is None else next((one.tag.split("}")[1] for one in error if one.tag.startswith(f"{{{ERRORS}}}")), None)


async def talk(one, other, timeout=8.0):
    """A message in each direction."""
    for sender, receiver in ((one, other), (other, one)):
        text = f"{CANARY} {secrets.token_hex(4)}"
        sender.send(f"<message to='{receiver.bare}' type='chat' id='{secrets.token_hex(4)}'><body>{text}</body></message>")
        got = await want(receiver, is_message(text), timeout)
        assert got.get("from") == sender.jid, got.get("from")


async def befriend(one, other):
    """Subscriptions in both directions, and what each then sees of the other."""
    for asker, asked in ((one, other), (other, one)):
        asker.send(f"<presence to='{asked.bare}' type='subscribe'/>")
        await want(asked, is_presence("subscribe", asker.bare))
        asked.send(f"<presence to='{asker.bare}' type='subscribed'/>")
        await want(asker, is_presence("subscribed", asked.bare))
        await want(asker, is_presence(None, asked.bare))


async def everything(one, other):
    """Messages, subscriptions, presence and requests both ways."""
    await talk(one, other)
    await befriend(one, other)
    for asker, asked in ((one, other), (other, one)):
        asker.send(f"<iq type='get' id='v' to='{asked.jid.partition('@')[2].partition('/')[0]}'><query xmlns='http://jabber.org/protocol/disco#info'/></iq>")
        assert (await want(asker, is_answer("v"))).get("type") == "result"
        asker.send("<presence><show>away</show></presence>")
        seen = await want(asked, lambda e: is_presence(None, asker.bare)(e) and e.findtext(tag("show")) == "away")
        assert seen.get("to"), seen.attrib


async def case_two_of_ours_with_certificates(world):
    a, b = await world.pair()
    romeo, juliet = await world.client(a, "romeo"), await world.client(b, "juliet")
    await everything(romeo, juliet)
    assert "proof=External" in b.log_text() or "proof=External" in a.log_text()
    # One goes offline: the other sees it.
    romeo.send("<presence type='unavailable'/>")
    await want(juliet, is_presence("unavailable", romeo.bare))


async def case_two_of_ours_by_direct_tls(world):
    a, b = await world.pair(direct=True)
    await everything(await world.client(a, "romeo"), await world.client(b, "juliet"))


async def case_two_of_ours_by_dialback(world):
    foreign = world.network.certificate("a.test", authority="unknown")
    a, b = await world.pair(certificate=foreign)
    await everything(await world.client(a, "romeo"), await world.client(b, "juliet"))
    assert "proof=Dialback" in b.log_text()


async def case_a_domain_that_is_not_there(world):
    a, _ = await world.pair(left={"name_servers": ["127.0.0.1:1"], "keep_seconds": 1})
    romeo = await world.client(a, "romeo")
    romeo.send("<message to='x@nowhere.test' type='chat' id='m'><body>x</body></message>")
    romeo.send("<iq to='nowhere.test' type='get' id='i'><ping xmlns='urn:xmpp:ping'/></iq>")
    error = await want(romeo, lambda e: e.get("type") == "error" and e.get("id") == "m")
    assert condition(error) in ("remote-server-not-found", "remote-server-timeout"), condition(error)
    assert (await want(romeo, is_answer("i"))).get("type") == "error"


async def case_messages_wait_for_a_server_that_restarts(world):
    a, b = await world.pair()
    romeo, juliet = await world.client(a, "romeo"), await world.client(b, "juliet")
    await talk(romeo, juliet)
    await asyncio.to_thread(b.stop)
    texts = [f"{CANARY} {n}" for n in range(5)]
    for text in texts:
        romeo.send(f"<message to='juliet@b.test' type='chat' id='{secrets.token_hex(4)}'><body>{text}</body></message>")
    await asyncio.sleep(0.5)
    # And ours is killed meanwhile.
    await asyncio.to_thread(a.kill)
    await start(a)
    await start(b)
    juliet = await world.client(b, "juliet")
    for text in texts:
        await want(juliet, is_message(text), 15)


async def foreign(world, kind, proof, **more):
    """Everything with a stock server. `proof`: how it has to prove itself to us."""
    a, b = await world.with_foreign(kind, **more)
    await everything(await world.client(a, "romeo"), await world.client(b, "juliet"))
    assert f"proof={proof}" in a.log_text(), f"no stream by {proof}"


async def case_prosody_with_certificates(world):
    await foreign(world, ProsodyPeer, "External")


async def case_prosody_by_dialback(world):
    unknown = world.network.certificate("b.test", authority="unknown")
    await foreign(world, ProsodyPeer, "Dialback", theirs=unknown)


async def case_prosody_by_direct_tls(world):
    await foreign(world, ProsodyPeer, "External", direct=True)


async def case_prosody_that_wants_certificates_of_us(world):
    await foreign(world, ProsodyPeer, "External", options="s2s_secure_auth = true")


async def case_ejabberd_with_certificates(world):
    await foreign(world, EjabberdPeer, "External")


async def case_ejabberd_by_dialback(world):
    unknown = world.network.certificate("b.test", authority="unknown")
    await foreign(world, EjabberdPeer, "Dialback", theirs=unknown)


async def case_ejabberd_by_direct_tls(world):
    await foreign(world, EjabberdPeer, "External", direct=True)


def said(server, *command):
    """What a command of ours says about federation."""
    return server.cli("federation", *command)


async def bounced(client, to, ident="b1", timeout=10.0):
    """Sends a message that has to come back, and gives the error's condition and words."""
    client.send(f"<message to='{to}' type='chat' id='{ident}'><body>{CANARY}</body></message>")
    error = await want(client, lambda e: e.tag == tag("message") and e.get("type") == "error" and e.get("id") == ident, timeout)
    return condition(error), error.find(tag("error")).findtext(f"{{{ERRORS}}}text") or ""


BAD = {
    "expired": ({"expired": True}, "has a certificate that ended on"),
    "foreign": ({"authority": "unknown"}, "has a certificate of an authority that this server does not trust"),
    "wrong": ({"names": ["other.test"]}, "has a certificate for others: other.test"),
}


async def case_bad_certificates_where_good_ones_are_required(world):
    a = world.linnet("a.test")
    remotes = {name: world.linnet(f"{name}.test", certificate=world.network.certificate(f"{name}.test", **bad)) for name, (bad, _) in BAD.items()}
    a.write(sum((remote.place() for remote in remotes.values()), []), require_certificate=True)
    for remote in remotes.values():
        remote.write(a.place())
    await asyncio.gather(*map(start, world.servers))
    romeo = await world.client(a, "romeo")
    for name, remote in remotes.items():
        words = BAD[name][1]
        got, text = await bounced(romeo, f"x@{name}.test")
        assert got == "remote-server-timeout" and words in text, (got, text)
        assert words in said(a, "status", f"{name}.test"), said(a, "status", f"{name}.test")
        assert words in said(a, "test", f"{name}.test")
        # And they are not let in, and learn why.
        juliet = await world.client(remote, "juliet")
        got, text = await bounced(juliet, romeo.bare)
        assert got == "remote-server-timeout" and words in text, (got, text)
        assert "refused" in said(a, "status", f"{name}.test")


async def case_bad_certificates_where_dialback_is_enough(world):
    a = world.linnet("a.test")
    remotes = {name: world.linnet(f"{name}.test", certificate=world.network.certificate(f"{name}.test", **bad)) for name, (bad, _) in BAD.items()}
    a.write(sum((remote.place() for remote in remotes.values()), []))
    for remote in remotes.values():
        remote.write(a.place())
    await asyncio.gather(*map(start, world.servers))
    romeo = await world.client(a, "romeo")
    for name, remote in remotes.items():
        await talk(romeo, await world.client(remote, "juliet"))
        assert BAD[name][1] in said(a, "status", f"{name}.test")


async def case_a_certificate_without_client_auth_is_good(world):
    await_certificate = world.network.certificate("a.test", clients=False)
    a, b = await world.pair(certificate=await_certificate, left={"require_certificate": True}, right={"require_certificate": True})
    await talk(await world.client(a, "romeo"), await world.client(b, "juliet"))


async def case_a_server_that_hangs_delays_nobody_else(world):
    a, b = await world.pair()
    silent = await asyncio.start_server(lambda r, w: asyncio.sleep(30), "127.0.0.1", 0)
    port = silent.sockets[0].getsockname()[1]
    a.stop()
    a.write([*b.place(), f"silent.test=127.0.0.1:{port}", "closed.test=127.0.0.1:1"], keep_seconds=2)
    await start(a)
    romeo, juliet = await world.client(a, "romeo"), await world.client(b, "juliet")
    romeo.send(f"<message to='x@silent.test' type='chat' id='s'><body>{CANARY}</body></message>")
    romeo.send(f"<message to='x@closed.test' type='chat' id='c'><body>{CANARY}</body></message>")
    began = time.monotonic()
    await talk(romeo, juliet)
    assert time.monotonic() - began < 2
    missing = {"s", "c"}
    while missing:
        error = await want(romeo, lambda e: e.get("type") == "error" and e.get("id") in missing)
        assert condition(error) == "remote-server-timeout"
        missing.remove(error.get("id"))
    assert "refused" in said(a, "status", "closed.test"), said(a, "status", "closed.test")
    silent.close()


async def case_a_server_that_answers_slowly(world):
    a, b = await world.pair()

    async def slow(reader, writer):
        onward, back = await asyncio.open_connection(b.address, 5269)

        async def pump(source, sink):
            while data := await source.read(4096):
                await asyncio.sleep(0.2)
                sink.write(data)
            sink.close()

        await asyncio.gather(pump(reader, back), pump(onward, writer), return_exceptions=True)

    proxy = await asyncio.start_server(slow, "127.0.0.1", 0)
    a.stop()
    a.write([f"b.test=127.0.0.1:{proxy.sockets[0].getsockname()[1]}"])
    await start(a)
    await talk(await world.client(a, "romeo"), await world.client(b, "juliet"), 15)
    proxy.close()


async def case_idle_streams_are_closed_and_opened_again(world):
    a, b = await world.pair(left={"idle_seconds": 1}, right={"idle_seconds": 1})
    romeo, juliet = await world.client(a, "romeo"), await world.client(b, "juliet")
    await talk(romeo, juliet)
    assert "a stream of ours is open" in said(a, "status", "b.test")
    await asyncio.sleep(8)
    assert "no stream of ours is open" in said(a, "status", "b.test")
    await talk(romeo, juliet)


async def case_domains_that_are_not_wanted(world):
    a, b = await world.pair(left={"blocked": ["b.test"]})
    romeo, juliet = await world.client(a, "romeo"), await world.client(b, "juliet")
    got, _ = await bounced(romeo, juliet.bare)
    assert got == "not-allowed", got
    got, text = await bounced(juliet, romeo.bare)
    assert "not wanted here" in text, (got, text)


async def case_what_became_of_a_message(world):
    a, b = await world.pair()
    romeo, juliet = await world.client(a, "romeo"), await world.client(b, "juliet")
    romeo.send(f"<message to='{juliet.bare}' type='chat' id='trace-me'><body>{CANARY}</body></message>")
    await want(juliet, lambda e: e.get("id") == "trace-me")
    await asyncio.sleep(0.5)
    found = said(a, "trace", "trace-me")
    words = ["archived", "queued", "acknowledged"]
    assert all(word in found for word in words), found
    assert "can be reached" in said(a, "test", "b.test")


async def case_srv_records_are_tried_in_order(world):
    a, b = world.linnet("a.test"), world.linnet("b.test")
    names = world.network.names
    names.service("b.test", b.address, 1, priority=1)
    names.service("b.test", b.address, 5270, direct=True, priority=2)
    a.write(name_servers=[f"127.0.0.1:{names.port}"])
    b.write(a.place())
    await asyncio.gather(start(a), start(b))
    romeo, juliet = await world.client(a, "romeo"), await world.client(b, "juliet")
    await talk(romeo, juliet)
    assert "5270 (direct TLS)" in said(a, "status", "b.test")
    got, _ = await bounced(romeo, "x@nobody.test")
    assert got == "remote-server-not-found", got


async def case_a_room_of_prosody(world):
    a, b = await world.with_foreign(ProsodyPeer)
    romeo, juliet = await world.client(a, "romeo"), await world.client(b, "juliet")
    for client, nick in ((juliet, "juliet"), (romeo, "romeo")):
        client.send(f"<presence to='hall@conference.b.test/{nick}'><x xmlns='http://jabber.org/protocol/muc'/></presence>")
        await want(client, lambda e: e.tag == tag("presence") and e.get("from") == f"hall@conference.b.test/{nick}")
        if client is juliet:
            form = "<x xmlns='jabber:x:data' type='submit'/>"
            client.send(f"<iq type='set' id='u' to='hall@conference.b.test'><query xmlns='http://jabber.org/protocol/muc#owner'>{form}</query></iq>")
            await want(client, is_answer("u"))
    for sender, receiver in ((romeo, juliet), (juliet, romeo)):
        text = f"{CANARY} {secrets.token_hex(3)}"
        sender.send(f"<message to='hall@conference.b.test' type='groupchat'><body>{text}</body></message>")
        await want(receiver, is_message(text))
    # Who is gone leaves the rooms of others too.
    romeo.send("<presence type='unavailable'/>")
    await want(juliet, is_presence("unavailable", "hall@conference.b.test/romeo"))
