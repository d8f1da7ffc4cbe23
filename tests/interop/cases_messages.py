"""Messages online and offline, and blocking."""

import asyncio
import datetime
import random

from runner import case
from server import CANARY, DOMAIN
from slix import message, presence, refusal
from slixmpp.xmlstream import ET
from words import body
from xmpp import Client

SID = "{urn:xmpp:sid:0}stanza-id"


@case()
async def chat_both_ways(scene):
    romeo = await scene.person("romeo")
    juliet = await scene.person("juliet")
    text = romeo.post(juliet.boundjid.bare, body("to the bare address"))
    got = await juliet.message(text)
    assert got["from"] == romeo.boundjid and got["type"] == "chat" and got.xml.get("id"), str(got)
    text = juliet.post(romeo.boundjid.full, body("to the full address"))
    got = await romeo.message(text)
    assert got["from"] == juliet.boundjid and got["to"] == romeo.boundjid, str(got)


@case()
async def content_survives(scene):
    """Body, subject, thread, language, unknown payloads: as sent."""
    romeo = await scene.person("romeo")
    juliet = await scene.person("juliet")
    text = body("<&>'\" zwölf Boxkämpfer 🦊 \n\tnew line")
    stanza = romeo.make_message(mto=juliet.boundjid.bare, mbody=text, msubject="Betreff & so", mtype="normal")
    stanza["thread"] = "t-1"
    extra = ET.fromstring("<x xmlns='urn:example:unknown' a='1'><y xmlns='urn:example:other'>text</y> tail</x>")
    stanza.append(extra)
    stanza.send()
    got = await juliet.message(text)
    assert got["subject"] == "Betreff & so" and got["thread"] == "t-1" and got["type"] == "normal"
    found = got.xml.find("{urn:example:unknown}x")
    assert ET.tostring(found).strip() == ET.tostring(extra).strip(), ET.tostring(found)


@case()
async def order_of_many(scene):
    """RFC 6120 §10.1, with 200 in one go."""
    romeo = await scene.person("romeo")
    juliet = await scene.person("juliet")
    sent = [romeo.post(juliet.boundjid.bare, body()) for _ in range(200)]
    await juliet.message(sent[-1])
    got = [s["body"] for s in juliet.seen if s.name == "message"]
    assert got == sent[:-1], f"{len(got)} came before the last"


@case()
async def large_message(scene):
    romeo = await scene.person("romeo")
    juliet = await scene.person("juliet")
    text = romeo.post(juliet.boundjid.bare, body("ö" * 100_000))
    await juliet.message(text)


@case()
async def offline_in_order_with_delay(scene):
    """XEP-0160: kept, in order, with the time of sending (XEP-0203), once."""
    romeo = await scene.person("romeo")
    jid = await scene.account("juliet")
    before = datetime.datetime.now(datetime.timezone.utc)
    sent = [romeo.post(jid, body(), kind) for kind in ("chat", "normal", "chat") for _ in range(5)]
    await romeo.sync()
    juliet = await (await scene.session(jid).login()).online()
    for text in sent:
        assert (await juliet.message(text))["delay"]["stamp"], "no delay stamp"
    juliet.post(juliet.boundjid.full, body())
    await juliet.leave()
    juliet = await (await scene.session(jid).login()).online()
    await juliet.expect_none(message(sent[0]), "an offline message twice")

    sent = [romeo.post(jid + "/gone", body(str(n))) for n in range(3)]
    await juliet.leave()
    sent += [romeo.post(jid, body(str(n))) for n in range(3)]
    await romeo.sync()
    juliet = await (await scene.session(jid).login()).online()
    await juliet.message(sent[-1])
    for stanza in juliet.seen:
        if stanza.name == "message" and stanza.xml.find("{urn:xmpp:delay}delay") is not None:
            age = stanza["delay"]["stamp"] - before
            assert datetime.timedelta(seconds=-2) < age < datetime.timedelta(seconds=60), f"stamp off by {age}"


@case()
async def offline_arrives_in_order(scene):
    romeo = await scene.person("romeo")
    jid = await scene.account("juliet")
    sent = [romeo.post(jid, body()) for _ in range(40)]
    await romeo.sync()
    juliet = await (await scene.session(jid).login()).online()
    await juliet.message(sent[-1])
    got = [s["body"] for s in juliet.seen if s.name == "message"]
    assert got == sent[:-1], got


@case(once=True, timeout=60)
async def slow_reader_gets_everything(scene):
    """A client that takes nothing for moments, as on a bad network: what waits goes on by itself afterwards."""
    writer = await scene.account("writer")
    reader = await scene.account("reader")
    count, filler = 60, "x" * 100_000
    for _ in range(4):
        client = await Client.open(scene.server, True, DOMAIN)
        await client.login(writer.split("@")[0], scene.password(writer))
        for number in range(count):
            client.send(f"<message type='chat' to='{reader}'><body>{CANARY} {number} {filler}</body></message>")
        await client.ask(f"<iq type='get' id='p' to='{DOMAIN}'><ping xmlns='urn:xmpp:ping'/></iq>", "p", 20)
        await client.end()

        slow = await Client.open(scene.server, True, DOMAIN)
        await slow.login(reader.split("@")[0], scene.password(reader))
        slow.send("<presence/>")
        stumbling = asyncio.create_task(stumble(slow))
        got = []
        while len(got) < count:
            try:
                element = await slow.read(5)
            except TimeoutError:
                raise AssertionError(f"{len(got)} of {count} messages, then nothing for 5 s") from None
            if element.tag.endswith("}message"):
                got.append(int(element.findtext("{jabber:client}body").split()[1]))
        stumbling.cancel()
        await slow.end()
        assert got == list(range(count)), got


async def stumble(client):
    """Lets the client's connection rest again and again."""
    for _ in range(40):
        await asyncio.sleep(random.random() * 0.03)
        client.transport.pause_reading()
        await asyncio.sleep(random.random() * 0.05)
        if client.lost is None:
            client.transport.resume_reading()


@case()
async def negative_priority_leaves_offline_messages(scene):
    romeo = await scene.person("romeo")
    jid = await scene.account("juliet")
    text = romeo.post(jid, body())
    await romeo.sync()
    shy = await (await scene.session(jid, "shy").login()).online(ppriority=-1)
    await shy.expect_none(message(text), "an offline message at priority -1")
    juliet = await (await scene.session(jid, "real").login()).online()
    await juliet.message(text)


@case(needs="0359")
async def stanza_ids(scene):
    """XEP-0359: stamped by the recipient's account, different each time, a forged one removed, kept when offline."""
    romeo = await scene.person("romeo")
    juliet = await scene.person("juliet")
    seen = set()
    for _ in range(2):
        stanza = romeo.make_message(mto=juliet.boundjid.bare, mbody=(text := body()), mtype="chat")
        stanza.append(ET.fromstring(f"<stanza-id xmlns='urn:xmpp:sid:0' id='fake' by='{juliet.boundjid.bare}'/>"))
        stanza.send()
        got = await juliet.message(text)
        own = [e.get("id") for e in got.xml.iter(SID) if e.get("by") == juliet.boundjid.bare]
        assert len(own) == 1 and own[0] != "fake", own
        seen.add(own[0])
    assert len(seen) == 2
    jid = await scene.account("offline")
    text = romeo.post(jid, body())
    await romeo.sync()
    later = await (await scene.session(jid).login()).online()
    got = await later.message(text)
    assert [e for e in got.xml.iter(SID) if e.get("by") == jid], "no stanza-id on an offline message"


@case()
async def to_nobody(scene):
    """RFC 6121 §8.5.1: an error comes back; for IQs always."""
    romeo = await scene.person("romeo")
    nobody = f"nobody{scene.suffix}@localhost"
    romeo.post(nobody, body())
    answer = await romeo.expect(lambda s: s.name == "message" and s["type"] == "error", "an error message")
    assert answer["error"]["condition"] in ("service-unavailable", "item-not-found"), str(answer)
    assert answer["from"].bare == nobody
    condition = await refusal(romeo.ask("get", "<query xmlns='jabber:iq:version'/>", to=nobody))
    assert condition in ("service-unavailable", "item-not-found"), condition
    condition = await refusal(romeo.ask("get", "<ping xmlns='urn:xmpp:ping'/>", to=f"{romeo.boundjid.bare}/nowhere"))
    assert condition in ("service-unavailable", "item-not-found", "recipient-unavailable"), condition


@case()
async def to_an_unknown_domain(scene):
    romeo = await scene.person("romeo")
    romeo.post("someone@nowhere.invalid", body())
    answer = await romeo.expect(lambda s: s.name == "message" and s["type"] == "error", "an error message", timeout=15)
    # RFC 6120 §10.4: without federation the remote server is not to be found or this server offers none.
    expected = ("remote-server-not-found", "service-unavailable", "not-allowed")
    assert answer["error"]["condition"] in expected, str(answer)


@case()
async def errors_are_not_answered(scene):
    """RFC 6120 §8.3.1: an error never causes another one."""
    romeo = await scene.person("romeo")
    stanza = romeo.make_message(mto=f"nobody{scene.suffix}@localhost", mbody=body(), mtype="error")
    stanza.send()
    await romeo.expect_none(lambda s: s.name == "message", "an answer to an error")


@case()
async def headline_is_not_kept(scene):
    """RFC 6121 §8.5.2.2: a headline for somebody offline is dropped."""
    romeo = await scene.person("romeo")
    jid = await scene.account("juliet")
    headline = romeo.post(jid, body(), "headline")
    text = romeo.post(jid, body())
    await romeo.sync()
    juliet = await (await scene.session(jid).login()).online()
    await juliet.message(text)
    await juliet.expect_none(message(headline), "a headline from the past")


@case()
async def block_and_unblock(scene):
    """XEP-0191: nothing passes either way while blocked, everything after."""
    romeo = await scene.person("romeo", resource="r")
    juliet = await scene.person("juliet", resource="j")
    await scene.friends(romeo, juliet)
    r, j = romeo.boundjid.bare, juliet.boundjid.bare
    blocking = juliet["xep_0191"]

    await blocking.block(r)
    assert await blocking.get_blocked_jids() == {r}
    await romeo.presence(juliet.boundjid.full, "unavailable")

    text = romeo.post(j, body())
    answer = await romeo.expect(lambda s: s.name == "message" and s["type"] == "error", "an error for a blocked sender")
    assert answer["error"]["condition"] == "service-unavailable", str(answer)
    await juliet.expect_none(message(text), "a message of the blocked", after=romeo)
    romeo.send_presence(pshow="away")
    await juliet.expect_none(presence(r), "presence of the blocked", after=romeo)
    condition = await refusal(romeo.ask("get", "<ping xmlns='urn:xmpp:ping'/>", to=juliet.boundjid.full))
    assert condition == "service-unavailable", condition
    text = juliet.post(r, body())
    answer = await juliet.expect(lambda s: s.name == "message" and s["type"] == "error", "an error for the blocker")
    assert answer["error"]["condition"] == "not-acceptable", str(answer)
    assert answer.xml.find(".//{urn:xmpp:blocking:errors}blocked") is not None, str(answer)
    juliet.send_presence(pshow="dnd")
    await romeo.expect_none(presence(j), "presence of the blocker", after=juliet)

    await blocking.unblock(r)
    assert await blocking.get_blocked_jids() == set()
    await romeo.presence(juliet.boundjid.full)
    text = romeo.post(j, body())
    await juliet.message(text)


@case()
async def block_pushes(scene):
    """XEP-0191 §3.3: the other resources that asked for the list learn of changes."""
    desk = await scene.person("juliet", resource="desk")
    phone = await scene.again(desk, resource="phone")
    for session in (desk, phone):
        await session["xep_0191"].get_blocked_jids()
    other = f"romeo{scene.suffix}@localhost"

    def pushed(name):
        return lambda s: (
            s.name == "iq" and s["type"] == "set" and s.xml.find(f"{{urn:xmpp:blocking}}{name}") is not None
        )

    await desk["xep_0191"].block([other, "spam.example"])
    got = await phone.expect(pushed("block"), "the block")
    assert {e.get("jid") for e in got.xml.iter("{urn:xmpp:blocking}item")} == {other, "spam.example"}
    await desk["xep_0191"].unblock(other)
    await phone.expect(pushed("unblock"), "the unblock")
    assert await phone["xep_0191"].get_blocked_jids() == {"spam.example"}
    await phone.ask("set", "<unblock xmlns='urn:xmpp:blocking'/>")
    await desk.expect(pushed("unblock"), "unblock all")
    assert await desk["xep_0191"].get_blocked_jids() == set()
    condition = await refusal(desk.ask("set", "<block xmlns='urn:xmpp:blocking'/>"))
    assert condition == "bad-request", condition


@case()
async def blocked_while_offline(scene):
    """What a blocked sender wrote meanwhile does not show up later, and the list survives a logout."""
    juliet = await scene.person("juliet")
    romeo = await scene.person("romeo")
    await juliet["xep_0191"].block(romeo.boundjid.bare)
    await juliet.leave()
    text = romeo.post(juliet.boundjid.bare, body())
    await romeo.sync()
    juliet = await scene.again(juliet)
    assert await juliet["xep_0191"].get_blocked_jids() == {romeo.boundjid.bare}
    await juliet.expect_none(message(text), "a message sent while blocked")


@case(needs="0013")
async def flexible_offline(scene):
    """XEP-0013: count first, then purge: nothing arrives at initial presence."""
    romeo = await scene.person("romeo")
    jid = await scene.account("juliet")
    sent = [romeo.post(jid, body()) for _ in range(3)]
    await romeo.sync()
    juliet = await scene.session(jid).login()
    info = await juliet["xep_0013"].get_count(jid=jid)
    form = info.xml.find(".//{jabber:x:data}field[@var='number_of_messages']/{jabber:x:data}value")
    assert form is not None and form.text == "3", ET.tostring(info.xml)
    await juliet["xep_0013"].purge()
    await juliet.online()
    await juliet.expect_none(message(sent[0]), "a purged message")
    info = await juliet["xep_0013"].get_count(jid=jid)
    form = info.xml.find(".//{jabber:x:data}field[@var='number_of_messages']/{jabber:x:data}value")
    assert form.text == "0", ET.tostring(info.xml)
