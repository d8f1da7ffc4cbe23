"""The archive (XEP-0313) and carbons (XEP-0280), as slixmpp reads them."""

import datetime

from runner import case
from slix import PATIENCE, refusal
from words import body

CARBONS = "{urn:xmpp:carbons:2}"


async def archived(person, **wanted):
    """The bodies in the archive, fetched in pages of 10."""
    results = person["xep_0313"].iterate(rsm={"max": 10}, **wanted)
    return [result["mam_result"]["forwarded"]["stanza"]["body"] async for result in results]


def copies(person, direction):
    """What has come as carbons so far: (sender, body)."""
    found = []
    for stanza in person.seen:
        if stanza.name == "message" and stanza.xml.find(f"{CARBONS}{direction}") is not None:
            forwarded = stanza[f"carbon_{direction}"]
            assert stanza["from"] == person.boundjid.bare, str(stanza)
            found.append((str(forwarded["from"]), forwarded["body"]))
    return found


@case(needs="0313")
async def both_sides_archive_a_conversation_in_order(scene):
    romeo = await scene.person("romeo")
    juliet = await scene.person("juliet")
    said = []
    for number in range(35):
        one, other = (romeo, juliet) if number % 3 else (juliet, romeo)
        said.append(one.post(other.boundjid.bare, body(str(number))))
        await other.message(said[-1])
    for person in (romeo, juliet):
        assert await archived(person) == said
        assert await archived(person, reverse=True) == said[::-1]


@case(needs="0313")
async def archive_by_contact_and_time(scene):
    romeo = await scene.person("romeo")
    juliet = await scene.person("juliet")
    nurse = await scene.person("nurse")
    before = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(minutes=1)
    from_romeo = romeo.post(juliet.boundjid.bare, body())
    await juliet.message(from_romeo)
    from_nurse = nurse.post(juliet.boundjid.bare, body())
    await juliet.message(from_nurse)
    assert await archived(juliet, with_jid=nurse.boundjid.bare) == [from_nurse]
    assert await archived(juliet, with_jid=romeo.boundjid.full) == [from_romeo]
    assert await archived(juliet, start=before) == [from_romeo, from_nurse]
    assert await archived(juliet, end=before) == []


@case(needs="0313")
async def archive_metadata_and_fields(scene):
    romeo = await scene.person("romeo")
    juliet = await scene.person("juliet")
    text = romeo.post(juliet.boundjid.bare, body())
    got = await juliet.message(text)
    metadata = (await juliet["xep_0313"].get_archive_metadata(timeout=PATIENCE))["mam_metadata"]
    assert metadata["start"]["id"] == metadata["end"]["id"] == got["stanza_id"]["id"], str(metadata)
    fields = await juliet["xep_0313"].get_fields(timeout=PATIENCE)
    assert {"with", "start", "end", "before-id", "after-id", "ids"} <= set(fields.get_fields()), str(fields)


@case(needs="0313")
async def archive_by_words(scene):
    romeo = await scene.person("romeo")
    juliet = await scene.person("juliet")
    said = [romeo.post(juliet.boundjid.bare, body(word)) for word in ("Nightingale", "lark", "the nightingale again")]
    for text in said:
        await juliet.message(text)
    answer = await juliet.ask(
        "set",
        "<query xmlns='urn:xmpp:mam:2' queryid='words'><x xmlns='jabber:x:data' type='submit'>"
        "<field var='FORM_TYPE' type='hidden'><value>urn:xmpp:mam:2</value></field>"
        "<field var='{urn:xmpp:fulltext:0}fulltext'><value>nightingale</value></field></x></query>",
    )
    assert answer.find("{urn:xmpp:mam:2}fin").get("complete") == "true"
    found = [s["mam_result"]["forwarded"]["stanza"]["body"] for s in juliet.seen if s.name == "message" and s["mam_result"]["id"]]
    assert found == [said[0], said[2]], found


@case(needs="0313")
async def what_was_read_offline_is_archived_once(scene):
    romeo = await scene.person("romeo")
    jid = await scene.account("juliet")
    text = romeo.post(jid, body())
    await romeo.sync()
    juliet = await (await scene.session(jid).login()).online()
    await juliet.message(text)
    assert await archived(juliet) == [text]
    await juliet.leave()
    again = await (await scene.session(jid).login()).online()
    await again.expect_none(lambda s: s.name == "message", "an offline message twice")
    assert await archived(again) == [text]


@case(needs="0313")
async def archives_are_private(scene):
    romeo = await scene.person("romeo")
    juliet = await scene.person("juliet")
    text = romeo.post(juliet.boundjid.bare, body())
    await juliet.message(text)
    tybalt = await scene.person("tybalt")
    condition = await refusal(tybalt["xep_0313"].retrieve(jid=juliet.boundjid.bare, timeout=PATIENCE))
    assert condition in ("forbidden", "not-authorized", "service-unavailable", "not-allowed"), condition
    await tybalt.expect_none(lambda s: s.name == "message", "another's archive")


@case(needs="0280")
async def carbons_between_two_sessions(scene):
    romeo = await scene.person("romeo")
    jid = await scene.account("juliet")
    phone = await (await scene.session(jid, "phone").login()).online()
    laptop = await (await scene.session(jid, "laptop").login()).online()
    await phone["xep_0280"].enable(timeout=PATIENCE)
    await laptop["xep_0280"].enable(timeout=PATIENCE)
    received = romeo.post(laptop.boundjid.full, body("to the laptop"))
    await laptop.message(received)
    sent = laptop.post(romeo.boundjid.full, body("from the laptop"))
    await romeo.message(sent)
    await phone.expect_none(lambda s: s.name == "message" and s["body"], "the message itself", after=romeo)
    assert copies(phone, "received") == [(romeo.boundjid.full, received)]
    assert copies(phone, "sent") == [(laptop.boundjid.full, sent)]
    assert not copies(laptop, "sent") and not copies(laptop, "received")
    await phone["xep_0280"].disable(timeout=PATIENCE)
    await laptop.message(romeo.post(laptop.boundjid.full, body()))
    await phone.sync()
    assert len(copies(phone, "received")) == 1


@case(needs="0280")
async def carbons_respect_private(scene):
    romeo = await scene.person("romeo")
    jid = await scene.account("juliet")
    phone = await (await scene.session(jid, "phone").login()).online()
    laptop = await (await scene.session(jid, "laptop").login()).online()
    await phone["xep_0280"].enable(timeout=PATIENCE)
    stanza = romeo.make_message(mto=laptop.boundjid.full, mbody=(text := body()), mtype="chat")
    stanza.enable("carbon_private")
    stanza.send()
    await laptop.message(text)
    await phone.expect_none(lambda s: s.name == "message", "a copy of a private message", after=romeo)
