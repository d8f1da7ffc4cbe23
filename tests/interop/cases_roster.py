"""RFC 6121 §2: roster get, set, remove, groups, pushes, versioning."""

from runner import case
from slix import refusal

ROSTER = "jabber:iq:roster"


@case()
async def add_change_and_remove(scene):
    person = await scene.person("owner")
    contact = f"nurse{scene.suffix}@localhost"
    assert await person.item(contact) is None
    await person.update_roster(contact, name="Nurse", groups=["Servants", "Friends"])
    await person.push(contact, name="Nurse", subscription="none")
    item = await person.item(contact)
    assert item["name"] == "Nurse" and item["groups"] == ["Friends", "Servants"], item
    await person.update_roster(contact, name="The Nurse", groups=["Servants"])
    await person.push(contact, name="The Nurse")
    item = await person.item(contact)
    assert item["name"] == "The Nurse" and item["groups"] == ["Servants"], item
    await person.del_roster_item(contact)
    await person.push(contact, subscription="remove")
    assert await person.item(contact) is None


@case()
async def special_characters_survive(scene):
    person = await scene.person("owner")
    contact = f"nurse{scene.suffix}@localhost"
    name, group = 'O\'Brien & <Söhne> "☃"', "Kolleg:innen & <x>"
    await person.update_roster(contact, name=name, groups=[group])
    item = await person.item(contact)
    assert item["name"] == name and item["groups"] == [group], item


@case()
async def pushes_to_other_resources(scene):
    """Every interested resource gets the push, one that has not asked for its roster does not."""
    desk = await scene.person("owner", resource="desk")
    phone = await scene.again(desk, resource="phone")
    silent = await scene.again(desk, resource="silent", available=False)
    contact = f"nurse{scene.suffix}@localhost"
    await desk.update_roster(contact, name="Nurse")
    await desk.push(contact, name="Nurse")
    await phone.push(contact, name="Nurse")
    await silent.expect_none(lambda s: s.name == "iq" and s["type"] == "set", "a roster push", after=desk)
    await phone.del_roster_item(contact)
    await desk.push(contact, subscription="remove")


@case()
async def removing_what_is_not_there(scene):
    person = await scene.person("owner")
    payload = f"<query xmlns='{ROSTER}'><item jid='ghost@localhost' subscription='remove'/></query>"
    assert await refusal(person.ask("set", payload)) == "item-not-found"


@case()
async def bad_sets_are_refused(scene):
    """RFC 6121 §2.1.5, §2.3.3."""
    person = await scene.person("owner")
    for inner in ("<item jid='a@localhost'/><item jid='b@localhost'/>", "", "<item name='nobody'/>"):
        condition = await refusal(person.ask("set", f"<query xmlns='{ROSTER}'>{inner}</query>"))
        assert condition in ("bad-request", "not-acceptable"), (inner, condition)


@case()
async def roster_of_another_is_refused(scene):
    person = await scene.person("owner")
    other = await scene.person("other")
    contact = "mole@localhost"
    payload = f"<query xmlns='{ROSTER}'><item jid='{contact}'/></query>"
    for kind in ("get", "set"):
        inner = payload if kind == "set" else f"<query xmlns='{ROSTER}'/>"
        condition = await refusal(person.ask(kind, inner, to=other.boundjid.bare))
        assert condition in ("forbidden", "not-allowed", "service-unavailable"), condition
    assert await other.item(contact) is None


def version_of(answer):
    query = answer.find(f"{{{ROSTER}}}query")
    return None if query is None else query.get("ver")


@case()
async def versioning(scene):
    """§2.6: the same version gets an empty result; an old one what has changed, as pushes or as the whole roster."""
    person = await scene.person("owner")
    await person.update_roster("one@localhost", name="One")
    await person.update_roster("two@localhost", name="Two")
    version = version_of(await person.ask("get", f"<query xmlns='{ROSTER}' ver=''/>"))
    assert version, "no version in the result"

    later = await scene.session(person.boundjid.bare, "later").login()
    assert "rosterver" in later.features, "versioning is not advertised"
    answer = await later.ask("get", f"<query xmlns='{ROSTER}' ver='{version}'/>")
    assert answer.find(f"{{{ROSTER}}}query") is None, "a roster although the version is current"

    await person.update_roster("three@localhost", name="Three")
    await person.del_roster_item("one@localhost")
    newest = await scene.session(person.boundjid.bare, "newest").login()
    answer = await newest.ask("get", f"<query xmlns='{ROSTER}' ver='{version}'/>")
    if answer.find(f"{{{ROSTER}}}query") is None:
        await newest.push("three@localhost", name="Three")
        await newest.push("one@localhost", subscription="remove")
    else:
        listed = {i.get("jid") for i in answer.iter(f"{{{ROSTER}}}item")}
        assert listed == {"two@localhost", "three@localhost"}, listed


@case()
async def pushes_carry_versions(scene):
    person = await scene.person("owner")
    await person.ask("get", f"<query xmlns='{ROSTER}' ver=''/>")
    seen = set()
    for name in ("One", "Two"):
        await person.update_roster("one@localhost", name=name)
        push = await person.push("one@localhost", name=name)
        seen.add(version_of(push.xml))
    assert None not in seen and len(seen) == 2, seen


@case()
async def set_cannot_grant_a_subscription(scene):
    """§2.1.2.5: of the subscription attribute only `remove` counts."""
    person = await scene.person("owner")
    payload = f"<query xmlns='{ROSTER}'><item jid='spy@localhost' subscription='both'/></query>"
    await person.ask("set", payload)
    assert (await person.item("spy@localhost"))["subscription"] == "none"


@case()
async def survives_logout(scene):
    person = await scene.person("owner")
    await person.update_roster("one@localhost", name="One", groups=["G"])
    await person.leave()
    again = await scene.again(person)
    item = await again.item("one@localhost")
    assert item["name"] == "One" and item["groups"] == ["G"], item


@case()
async def hundred_contacts(scene):
    person = await scene.person("owner")
    for n in range(100):
        await person.update_roster(f"friend{n}@localhost", name=f"Friend {n}", groups=["Many"])
    items = list((await person.ask("get", f"<query xmlns='{ROSTER}'/>")).iter(f"{{{ROSTER}}}item"))
    assert len(items) == 100, len(items)
