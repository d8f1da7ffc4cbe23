"""Group chats (XEP-0045) with slixmpp's own plugin: enter, talk, moderate, configure; and a private group on a phone."""

import uuid

from cases_push import app_server, enable
from runner import case
from server import DOMAIN
from words import body

SERVICE = f"rooms.{DOMAIN}"
USER = "{http://jabber.org/protocol/muc#user}"
MAM = "{urn:xmpp:mam:2}"


def with_rooms(person):
    """slixmpp's plugins for rooms, for this person alone: they listen to all presence."""
    for plugin in ("xep_0045", "xep_0249", "xep_0421"):
        person.register_plugin(plugin)
    return person["xep_0045"]


def new_room():
    return f"room-{uuid.uuid4().hex[:12]}@{SERVICE}"


async def entered(person, room, nick):
    """Enters by slixmpp's plugin; it waits for the presence of all, its own and the subject."""
    return await with_rooms(person).join_muc_wait(room, nick, maxchars=0, timeout=8)


async def open_room(owner, room, **values):
    """Enters a room that is not there, fills in its form and sends it back."""
    await entered(owner, room, "owner")
    form = await owner["xep_0045"].get_room_config(room)
    for name, value in values.items():
        var = f"muc#roomconfig_{name}"
        assert var in form.get_fields(), f"the form lacks {var}"
        form.get_fields()[var]["value"] = value
    form["type"] = "submit"
    await owner["xep_0045"].set_room_config(room, form)


def groupchat(room, nick, text):
    return lambda s: s.name == "message" and s["type"] == "groupchat" and s["body"] == text and s["from"] == f"{room}/{nick}"


def left(room, nick, code):
    def matches(stanza):
        codes = {status.get("code") for status in stanza.xml.iter(f"{USER}status")}
        return stanza.name == "presence" and stanza["from"] == f"{room}/{nick}" and code in codes

    return matches


@case(needs="0045")
async def enter_talk_and_change_the_subject(scene):
    romeo, juliet = await scene.person("romeo"), await scene.person("juliet")
    room = new_room()
    await open_room(romeo, room, membersonly=False, publicroom=True, roomname="Verona")
    await entered(juliet, room, "Juliet")
    text = body("to all")
    juliet.send_message(mto=room, mbody=text, mtype="groupchat")
    for person in (romeo, juliet):
        got = await person.expect(groupchat(room, "Juliet", text), "what Juliet said")
        assert got.xml.find("{urn:xmpp:occupant-id:0}occupant-id") is not None, str(got)
        assert got.xml.find("{urn:xmpp:sid:0}stanza-id").get("by") == room, str(got)
    text = body("private")
    romeo.send_message(mto=f"{room}/Juliet", mbody=text, mtype="chat")
    assert (await juliet.message(text))["from"] == f"{room}/owner"
    romeo["xep_0045"].set_subject(room, "Balconies")
    await juliet.expect(lambda s: s.name == "message" and s["subject"] == "Balconies", "the subject")
    rooms = await juliet["xep_0030"].get_items(jid=SERVICE)
    assert any(jid == room for jid, _, _ in rooms["disco_items"]["items"]), str(rooms)


@case(needs="0045")
async def moderate(scene):
    """Voice, kick and ban, as slixmpp asks for them."""
    romeo, juliet, tybalt = await scene.person("romeo"), await scene.person("juliet"), await scene.person("tybalt")
    room = new_room()
    await open_room(romeo, room, membersonly=False, moderatedroom=True)
    await entered(juliet, room, "Juliet")
    await entered(tybalt, room, "Tybalt")
    text = body()
    tybalt.send_message(mto=room, mbody=text, mtype="groupchat")
    await tybalt.expect(lambda s: s.name == "message" and s["type"] == "error", "a refusal: he has no voice")
    await romeo["xep_0045"].set_role(room, "Tybalt", "participant")
    tybalt.send_message(mto=room, mbody=text, mtype="groupchat")
    await juliet.expect(groupchat(room, "Tybalt", text), "what Tybalt said")
    await romeo["xep_0045"].set_role(room, "Tybalt", "none", reason="Peace")
    await juliet.expect(left(room, "Tybalt", "307"), "that Tybalt was sent out")
    await romeo["xep_0045"].set_affiliation(room, "outcast", jid=tybalt.boundjid.bare)
    outcasts = await romeo["xep_0045"].get_users_by_affiliation(room, "outcast")
    assert tybalt.boundjid.bare in str(outcasts), str(outcasts)


@case(needs="0045", timeout=40.0)
async def a_phone_that_was_away_is_woken_and_reads_its_group(scene):
    """A member of a private group who is not inside gets her push, comes, and has all messages in order."""
    app = await app_server(scene)
    romeo, juliet = await scene.person("romeo"), await scene.person("juliet")
    room = new_room()
    await open_room(romeo, room)
    await romeo["xep_0045"].set_affiliation(room, "member", jid=juliet.boundjid.bare)
    await enable(juliet, app, "group", "s3cret")
    await entered(juliet, room, "Juliet")
    await juliet.leave()
    said = [body(f"message {number}") for number in range(3)]
    for text in said:
        romeo.send_message(mto=room, mbody=text, mtype="groupchat")
    assert (await app.next())[1] == "group"
    phone = await scene.again(juliet)
    await phone.expect_none(lambda s: s.name == "message" and s["type"] == "groupchat", "anything of the room")
    results = await phone["xep_0313"].retrieve(jid=room, timeout=8)
    found = [result["mam_result"]["forwarded"]["stanza"]["body"] for result in results["mam"]["results"]]
    assert [text for text in found if text] == said, found
