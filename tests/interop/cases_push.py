"""Push notifications (XEP-0357) with an app server that is logged in as a client: slixmpp on both sides."""

import asyncio
import xml.etree.ElementTree as ET

from cases_cli import runs
from cases_streams import back, cut, managed
from runner import case
from slixmpp.xmlstream.handler import Callback
from slixmpp.xmlstream.matcher import MatchXPath
from words import body

PUBSUB = "http://jabber.org/protocol/pubsub"
FORM = "jabber:x:data"


class AppServer:
    """Answers what is published to it as `answer` says: "result", the condition of an error, or None for silence."""

    def __init__(self, person):
        self.person = person
        self.published = []
        self.answer = "result"
        self.arrived = asyncio.Event()
        person.register_handler(Callback("push", MatchXPath(f"{{jabber:client}}iq/{{{PUBSUB}}}pubsub"), self._take))

    @property
    def jid(self):
        return self.person.boundjid.full

    def _take(self, iq):
        publish = iq.xml.find(f".//{{{PUBSUB}}}publish")
        values = {
            field.get("var"): field.findtext(f"{{{FORM}}}value") for field in iq.xml.iter(f"{{{FORM}}}field")
        }
        self.published.append((iq["from"].full, publish.get("node"), values))
        self.arrived.set()
        if self.answer == "result":
            iq.reply().send()
        elif self.answer:
            reply = iq.reply()
            reply["error"]["condition"] = self.answer
            reply.send()

    async def next(self, timeout=8.0):
        while not self.published:
            self.arrived.clear()
            await asyncio.wait_for(self.arrived.wait(), timeout)
        return self.published.pop(0)

    async def nothing(self):
        await self.person.sync()
        await asyncio.sleep(0.3)
        assert not self.published, self.published


async def app_server(scene):
    return AppServer(await scene.person("app"))


async def enable(person, app, node, secret):
    options = (
        f"<x xmlns='{FORM}' type='submit'><field var='FORM_TYPE'><value>{PUBSUB}#publish-options</value></field>"
        f"<field var='secret'><value>{secret}</value></field></x>"
    )
    await person.ask("set", f"<enable xmlns='urn:xmpp:push:0' jid='{app.jid}' node='{node}'>{options}</enable>")


@case(needs="0357")
async def wakes_a_device_that_is_away(scene):
    """The right node, the client's secret, how many messages wait, and neither who wrote nor what."""
    app = await app_server(scene)
    romeo, juliet = await scene.person("romeo"), await scene.person("juliet")
    info = await juliet.ask("get", "<query xmlns='http://jabber.org/protocol/disco#info'/>", juliet.boundjid.bare)
    assert any(child.get("var") == "urn:xmpp:push:0" for child in info.iter()), ET.tostring(info)
    await enable(juliet, app, "node-1", "s3cret")
    await juliet.message(romeo.post(juliet.boundjid.bare, body()))
    await app.nothing()
    await juliet.leave()
    text = romeo.post(juliet.boundjid.bare, body())
    sender, node, values = await app.next()
    assert (sender, node) == (juliet.boundjid.domain, "node-1"), (sender, node)
    assert values["secret"] == "s3cret" and values["message-count"] == "1", values
    assert "last-message-sender" not in values and text not in values.values(), values
    # What comes a moment later is part of the next one.
    romeo.post(juliet.boundjid.bare, body())
    await romeo.sync()
    await app.nothing()
    code, out, err = await runs(scene.server, "push", "list", juliet.boundjid.bare)
    assert code == 0 and "node-1" in out and app.jid in out, out + err


@case(needs="0357")
async def an_error_of_the_app_server_disables(scene):
    app = await app_server(scene)
    romeo, juliet = await scene.person("romeo"), await scene.person("juliet")
    await enable(juliet, app, "dead", "s")
    await juliet.leave()
    app.answer = "item-not-found"
    romeo.post(juliet.boundjid.bare, body())
    await app.next()
    await app.nothing()
    code, out, err = await runs(scene.server, "push", "list", juliet.boundjid.bare)
    assert code == 0 and "dead" not in out, out + err
    romeo.post(juliet.boundjid.bare, body())
    await romeo.sync()
    await app.nothing()


@case(needs="0357")
async def an_app_server_that_is_busy_or_gone_loses_nothing(scene):
    app = await app_server(scene)
    romeo, juliet = await scene.person("romeo"), await scene.person("juliet")
    await enable(juliet, app, "busy", "s")
    await juliet.leave()
    app.answer = "resource-constraint"
    first = romeo.post(juliet.boundjid.bare, body())
    await app.next()
    await app.nothing()
    code, out, err = await runs(scene.server, "push", "list", juliet.boundjid.bare)
    assert code == 0 and "busy" in out and "resource-constraint" in out, out + err
    await app.person.leave()
    second = romeo.post(juliet.boundjid.bare, body())
    await romeo.sync()
    juliet = await scene.again(juliet)
    await juliet.message(first)
    await juliet.message(second)


@case(needs="0357")
async def wakes_a_session_that_waits_for_its_client(scene):
    app = await app_server(scene)
    romeo, juliet = await scene.person("romeo"), await managed(scene, "juliet")
    await enable(juliet, app, "node-2", "s")
    await cut(juliet)
    text = romeo.post(juliet.boundjid.bare, body())
    _, node, _ = await app.next()
    assert node == "node-2"
    await back(juliet)
    await juliet.message(text)
    await app.nothing()
