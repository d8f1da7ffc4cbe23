"""Publish-subscribe (XEP-0060), personal eventing (XEP-0163) and what is kept there, as slixmpp sees it."""

import hashlib
import os
import xml.etree.ElementTree as ET

from runner import case
from slix import PATIENCE, refusal
from words import body

EVENT = "{http://jabber.org/protocol/pubsub#event}"
TUNE = "http://jabber.org/protocol/tune"


def payload(text):
    """An element to publish."""
    element = ET.Element("{urn:linnet:test}entry")
    element.text = text
    return element


def event(node, host):
    """Matches a notification of a node."""

    def matches(stanza):
        items = stanza.xml.find(f"{EVENT}event/{EVENT}items") if stanza.name == "message" else None
        return items is not None and items.get("node") == node and stanza["from"] == host

    return matches


async def texts(person, host, node):
    """What is in a node's items, in the order of publication."""
    answer = await person["xep_0060"].get_items(host, node, timeout=PATIENCE)
    return [entry.text for entry in answer.xml.iter("{urn:linnet:test}entry")]


@case(needs="0060")
async def a_node_is_made_subscribed_to_and_published_to(scene):
    romeo, juliet = await scene.person("romeo"), await scene.person("juliet")
    service, node = f"pubsub.{romeo.boundjid.domain}", body("node")
    await romeo["xep_0060"].create_node(service, node, timeout=PATIENCE)
    await juliet["xep_0060"].subscribe(service, node, timeout=PATIENCE)
    said = [body(str(number)) for number in range(3)]
    for number, text in enumerate(said):
        await romeo["xep_0060"].publish(service, node, id=str(number), payload=payload(text), timeout=PATIENCE)
        told = await juliet.expect(event(node, service), "a notification")
        assert [entry.text for entry in told.xml.iter("{urn:linnet:test}entry")] == [text], str(told)
    assert await texts(juliet, service, node) == said
    nodes = await juliet["xep_0060"].get_nodes(service, timeout=PATIENCE)
    assert node in {name for _, name, _ in nodes["disco_items"]["items"]}
    assert await refusal(juliet["xep_0060"].publish(service, node, payload=payload("x"), timeout=PATIENCE)) == "forbidden"
    await romeo["xep_0060"].retract(service, node, "1", notify=True, timeout=PATIENCE)
    gone = await juliet.expect(event(node, service), "a retraction")
    retracted = gone.xml.find(f"{EVENT}event/{EVENT}items/{EVENT}retract")
    assert retracted is not None and retracted.get("id") == "1", str(gone)
    assert await texts(juliet, service, node) == [said[0], said[2]]
    await romeo["xep_0060"].delete_node(service, node, timeout=PATIENCE)
    assert await refusal(juliet["xep_0060"].get_items(service, node, timeout=PATIENCE)) == "item-not-found"


@case(needs="0163")
async def what_a_client_wants_it_gets_from_its_contacts(scene):
    romeo, juliet = await scene.person("romeo"), await scene.person("juliet")
    await scene.friends(romeo, juliet)
    juliet["xep_0163"].add_interest(TUNE)
    await juliet["xep_0115"].update_caps()
    await juliet.sync()
    tune = ET.Element(f"{{{TUNE}}}tune")
    ET.SubElement(tune, f"{{{TUNE}}}title").text = body()
    await romeo["xep_0060"].publish(romeo.boundjid.bare, TUNE, id="current", payload=tune, timeout=PATIENCE)
    told = await juliet.expect(event(TUNE, romeo.boundjid.bare), "a tune")
    assert told["type"] == "headline", str(told)
    # Who comes later gets the last one.
    later = scene.session(juliet.boundjid.bare, "later")
    later["xep_0163"].add_interest(TUNE)
    await (await later.login()).online()
    await later["xep_0115"].update_caps()
    told = await later.expect(event(TUNE, romeo.boundjid.bare), "the last tune")
    assert told.xml.find("{urn:xmpp:delay}delay") is not None, str(told)


@case(needs="0163")
async def an_avatar_is_in_the_nodes_and_in_the_vcard(scene):
    romeo, juliet = await scene.person("romeo"), await scene.person("juliet")
    await scene.friends(romeo, juliet)
    image = b"\x89PNG" + os.urandom(30000)
    name = hashlib.sha1(image).hexdigest()
    await juliet["xep_0084"].publish_avatar(image, timeout=PATIENCE)
    info = {"id": name, "type": "image/png", "bytes": len(image)}
    await juliet["xep_0084"].publish_avatar_metadata([info], timeout=PATIENCE)
    answer = await romeo["xep_0084"].retrieve_avatar(juliet.boundjid.bare, name, timeout=PATIENCE)
    assert answer["pubsub"]["items"]["item"]["avatar_data"]["value"] == image
    card = await romeo["xep_0054"].get_vcard(juliet.boundjid.bare, cached=False, timeout=PATIENCE)
    assert card["vcard_temp"]["PHOTO"]["BINVAL"] == image
    update = await romeo.expect(
        lambda s: s.name == "presence" and name in str(s), "presence with the hash of the avatar (XEP-0398 §4)"
    )
    assert update["from"] == juliet.boundjid.full


@case(needs="0049")
async def bookmarks_in_private_storage_are_items_too(scene):
    juliet = await scene.person("juliet")
    room = "orchard@rooms.example"
    await juliet.ask(
        "set",
        "<query xmlns='jabber:iq:private'><storage xmlns='storage:bookmarks'>"
        f"<conference jid='{room}' name='Orchard' autojoin='1'/></storage></query>",
    )
    answer = await juliet["xep_0060"].get_items(juliet.boundjid.bare, "urn:xmpp:bookmarks:1", timeout=PATIENCE)
    found = answer.xml.find(".//{urn:xmpp:bookmarks:1}conference")
    assert found.attrib == {"name": "Orchard", "autojoin": "true"}, str(answer)
    await juliet["xep_0060"].retract(juliet.boundjid.bare, "urn:xmpp:bookmarks:1", room, timeout=PATIENCE)
    answer = await juliet.ask("get", "<query xmlns='jabber:iq:private'><storage xmlns='storage:bookmarks'/></query>")
    assert answer.find(".//{storage:bookmarks}storage") is not None
    assert answer.find(".//{storage:bookmarks}conference") is None
