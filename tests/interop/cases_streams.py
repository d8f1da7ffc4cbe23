"""Stream management (XEP-0198) and client state (XEP-0352), as slixmpp uses them."""

import asyncio

from runner import case
from slix import PATIENCE
from words import body


async def managed(scene, name):
    """A person whose session can be resumed, without a connection that comes back by itself."""
    person = scene.session(await scene.account(name))
    person.register_plugin("xep_0198")
    person.resumed = asyncio.Event()
    person.add_event_handler("session_resumed", lambda _: person.resumed.set())
    enabled = person.loop.create_future()
    person.add_event_handler("sm_enabled", enabled.set_result, disposable=True)
    await person.login()
    await asyncio.wait_for(enabled, PATIENCE)
    assert person["xep_0198"].sm_id, "the session cannot be resumed"
    return await person.online()


async def cut(person):
    """The connection is gone, without a word."""
    gone = person.loop.create_future()
    person.add_event_handler("disconnected", lambda _: gone.done() or gone.set_result(None), disposable=True)
    person.abort()
    await asyncio.wait_for(gone, PATIENCE)


async def back(person):
    """A new connection, which resumes the session."""
    person.resumed.clear()
    server = person.under_test
    person.connect("127.0.0.1", server.tls_port if person.enable_direct_tls else server.c2s_port)
    await asyncio.wait_for(person.resumed.wait(), PATIENCE)


def bodies(person):
    return [stanza["body"] for stanza in person.seen if stanza.name == "message" and stanza["body"]]


@case(needs="0198")
async def resumed_after_cuts_nothing_lost_nothing_twice(scene):
    romeo = await scene.person("romeo")
    juliet = await managed(scene, "juliet")
    said = []
    for _ in range(4):
        said += [romeo.post(juliet.boundjid.bare, body()) for _ in range(15)]
        await cut(juliet)
        said += [romeo.post(juliet.boundjid.bare, body()) for _ in range(5)]
        await romeo.sync()
        await back(juliet)
    said.append(romeo.post(juliet.boundjid.bare, body()))
    await romeo.sync()
    await juliet.sync()
    await asyncio.sleep(0.2)
    assert bodies(juliet) == said, f"{len(bodies(juliet))} of {len(said)} came"


@case(needs="0352")
async def presence_waits_while_nobody_looks(scene):
    romeo, juliet = await scene.person("romeo"), await scene.person("juliet")
    await scene.friends(romeo, juliet)
    juliet.send_raw("<inactive xmlns='urn:xmpp:csi:0'/>")
    await juliet.sync()
    for show in ("away", "dnd", "xa"):
        romeo.send_presence(pshow=show)
    await romeo.sync()
    await asyncio.sleep(0.2)
    assert not any(stanza.name == "presence" for stanza in juliet.seen)
    text = romeo.post(juliet.boundjid.bare, body())
    await juliet.message(text)
    shows = [stanza["show"] for stanza in juliet.seen if stanza.name == "presence"]
    assert shows == ["xa"], shows
