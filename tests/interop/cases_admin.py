"""The account's own changes (XEP-0077), commands (XEP-0050) and service administration (XEP-0133)."""

import asyncio

from runner import Skipped, case
from server import CANARY, DOMAIN
from slix import message, refusal
from slixmpp.exceptions import IqError
from slixmpp.xmlstream import ET
from words import body
from xmpp import Client, StreamClosed

COMMANDS = "http://jabber.org/protocol/commands"
ADMIN = "http://jabber.org/protocol/admin#"
COMMAND, FORM = f"{{{COMMANDS}}}command", "{jabber:x:data}"
NEW = f"new pw {CANARY}"


async def cannot_login(scene, jid, password):
    try:
        await scene.session(jid, password=password).login()
    except PermissionError as why:
        return str(why)
    raise AssertionError(f"{jid} got in")


@case()
async def password_change(scene):
    """The new password logs in, the old one does not; the session goes on."""
    person = await scene.person("changer")
    jid, old = person.boundjid.bare, scene.password(person.boundjid.bare)
    await person["xep_0077"].change_password(NEW, jid="localhost")
    await person.sync()
    for mechanism in ("SCRAM-SHA-1", "SCRAM-SHA-256", "PLAIN"):
        await (await scene.session(jid, password=NEW, mechanism=mechanism).login()).leave()
    assert await cannot_login(scene, jid, old) == "not-authorized"


@case()
async def password_of_another_stays(scene):
    person = await scene.person("changer")
    victim = await scene.account("victim")
    name = victim.split("@")[0]
    payload = f"<query xmlns='jabber:iq:register'><username>{name}</username><password>{NEW}</password></query>"
    try:
        await person.ask("set", payload, to="localhost")
    except IqError:
        pass
    await cannot_login(scene, victim, NEW)
    await scene.session(victim).login()


@case()
async def account_removal(scene):
    """XEP-0077 §3.2: the account is gone, contacts see it, its offline messages and roster do not come back."""
    person = await scene.person("leaver")
    friend = await scene.person("friend")
    await scene.friends(person, friend)
    jid = person.boundjid.bare
    password = scene.password(jid)
    await person.update_roster("someone@localhost", name="Someone")
    person.get_roster()
    try:
        await asyncio.wait_for(person["xep_0077"].cancel_registration(jid="localhost", timeout=5), 6)
    except (IqError, TimeoutError):
        pass  # the stream may be closed before the answer is read
    await friend.presence(person.boundjid.full, "unavailable")
    assert await cannot_login(scene, jid, password) in ("not-authorized", "account-disabled")
    await scene.server.account(jid.split("@")[0])
    fresh = await (await scene.session(jid).login()).online()
    assert await fresh.item("someone@localhost") is None, "the roster of the removed account"


@case()
async def sign_up_is_closed(scene):
    """By default nobody can make an account over the wire."""
    client = await Client.open(scene.server, scene.direct, DOMAIN)
    register = client.features.find("{http://jabber.org/features/iq-register}register")
    assert register is None, "sign-up is advertised"
    client.send(
        f"<iq type='set' id='r'><query xmlns='jabber:iq:register'><username>intruder{scene.suffix}</username>"
        f"<password>{NEW}</password></query></iq>"
    )
    try:
        answer = await client.read(5)
        assert answer.get("type") == "error" or "error" in answer.tag, ET.tostring(answer)
    except StreamClosed:
        pass  # a stream error before login is a refusal as well
    client.close()
    await cannot_login(scene, f"intruder{scene.suffix}@{DOMAIN}", NEW)


async def commands_of(person):
    answer = await person.ask(
        "get", f"<query xmlns='http://jabber.org/protocol/disco#items' node='{COMMANDS}'/>", to=DOMAIN
    )
    return {i.get("node") for i in answer.iter("{http://jabber.org/protocol/disco#items}item")}


@case(once=True)
async def commands_are_listed_to_admins(scene):
    """XEP-0050 §2.1, XEP-0133: the first administration commands."""
    boss = await scene.admin()
    listed = await commands_of(boss)
    wanted = {"add-user", "delete-user", "change-user-password", "get-online-users-list", "end-user-session"}
    if scene.server.name == "linnet":
        wanted |= {"disable-user", "reenable-user", "get-registered-users-list", "get-registered-users-num"}
    missing = {w for w in wanted if ADMIN + w not in listed and ADMIN + w.removesuffix("-list") not in listed}
    assert not missing, f"missing {sorted(missing)} among {sorted(listed)}"


@case(once=True)
async def commands_are_hidden_from_others(scene):
    person = await scene.person("ordinary")
    listed = await commands_of(person)
    assert not [node for node in listed if node.startswith(ADMIN)], listed


async def run(person, name, **fields):
    """Executes an administration command, filling in its form; returns the final <command/> element."""
    node = ADMIN + name
    answer = await person.ask("set", f"<command xmlns='{COMMANDS}' node='{node}' action='execute'/>", to=DOMAIN)
    command = answer.find(COMMAND)
    if command.get("status") == "completed":
        return command
    form = command.find(f"{FORM}x")
    assert form is not None and form.get("type") == "form", ET.tostring(command)
    known = {f.get("var"): f for f in form.iter(f"{FORM}field")}
    parts = [f"<field var='FORM_TYPE'><value>{ADMIN[:-1]}</value></field>"]
    if "password-verify" not in known:
        fields.pop("password-verify", None)  # a server may trust one field
    for var, value in fields.items():
        assert var in known, f"{node} asks for {sorted(known)}, not for {var}"
        values = value if isinstance(value, list) else [value]
        parts.append(f"<field var='{var}'>" + "".join(f"<value>{v}</value>" for v in values) + "</field>")
    # Fields with choices that the test leaves alone keep their default.
    for var, field in known.items():
        if var not in fields and var != "FORM_TYPE" and field.find(f"{FORM}value") is not None:
            parts.append(f"<field var='{var}'><value>{field.findtext(f'{FORM}value')}</value></field>")
    payload = (
        f"<command xmlns='{COMMANDS}' node='{node}' sessionid='{command.get('sessionid')}' action='complete'>"
        f"<x xmlns='jabber:x:data' type='submit'>{''.join(parts)}</x></command>"
    )
    answer = await person.ask("set", payload, to=DOMAIN)
    return answer.find(COMMAND)


def text_of(command):
    return " ".join(t for t in command.itertext() if t and t.strip())


@case(once=True)
async def add_use_and_delete_a_user(scene):
    boss = await scene.admin()
    jid = f"hired{scene.suffix}@{DOMAIN}"
    done = await run(boss, "add-user", accountjid=jid, password=NEW, **{"password-verify": NEW})
    assert done.get("status") == "completed", ET.tostring(done)
    person = await (await scene.session(jid, password=NEW).login()).online()
    online = text_of(await run(boss, "get-online-users-list"))
    assert jid in online, online
    done = await run(boss, "delete-user", accountjids=[jid])
    assert done.get("status") == "completed"
    await asyncio.sleep(0.2)
    assert not person.is_connected(), "the deleted user's session lives on"
    await cannot_login(scene, jid, NEW)


@case(once=True)
async def change_a_users_password(scene):
    boss = await scene.admin()
    jid = await scene.account("forgetful")
    await run(boss, "change-user-password", accountjid=jid, password=NEW)
    await scene.session(jid, password=NEW).login()
    await cannot_login(scene, jid, scene.password(jid))


@case(once=True)
async def disable_and_reenable(scene):
    if scene.server.name == "prosody":
        raise Skipped("Prosody 0.12 has no disable-user")
    boss = await scene.admin()
    person = await scene.person("suspect")
    jid = person.boundjid.bare
    await run(boss, "disable-user", accountjids=[jid])
    await asyncio.sleep(0.2)
    assert not person.is_connected(), "the disabled user's session lives on"
    # With SCRAM the server may find out only after the proof was checked, so that binding is what it refuses.
    assert await cannot_login(scene, jid, scene.password(jid)) == "account-disabled"
    await run(boss, "reenable-user", accountjids=[jid])
    await scene.session(jid).login()


@case(once=True)
async def end_a_session(scene):
    boss = await scene.admin()
    person = await scene.person("busy")
    await run(boss, "end-user-session", accountjids=[person.boundjid.full])
    await asyncio.sleep(0.3)
    assert not person.is_connected()


@case(once=True)
async def lists_and_numbers(scene):
    if scene.server.name == "prosody":
        raise Skipped("Prosody 0.12 has other lists")
    boss = await scene.admin()
    jid = await scene.account("listed")
    assert jid in text_of(await run(boss, "get-registered-users-list"))
    number = int(
        (await run(boss, "get-registered-users-num")).findtext(f".//{FORM}field[@var='registeredusersnum']/{FORM}value")
    )
    assert number >= 2, number


@case(once=True)
async def refused_to_ordinary_users(scene):
    person = await scene.person("ordinary")
    victim = await scene.account("victim")
    for name in ("add-user", "delete-user", "change-user-password", "get-online-users-list", "get-online-users"):
        payload = f"<command xmlns='{COMMANDS}' node='{ADMIN}{name}' action='execute'/>"
        condition = await refusal(person.ask("set", payload, to=DOMAIN))
        assert condition in ("forbidden", "not-authorized", "not-allowed", "item-not-found", "service-unavailable"), (
            name,
            condition,
        )
    await scene.session(victim).login()


@case(once=True)
async def bad_commands(scene):
    """XEP-0050 §4.4: unknown nodes and sessions; a cancelled command does nothing."""
    boss = await scene.admin()
    start = f"<command xmlns='{COMMANDS}' node='urn:example:none' action='execute'/>"
    condition = await refusal(boss.ask("set", start, to=DOMAIN))
    assert condition in ("item-not-found", "service-unavailable"), condition
    answer = await boss.ask("set", f"<command xmlns='{COMMANDS}' node='{ADMIN}add-user' action='execute'/>", to=DOMAIN)
    session = answer.find(COMMAND).get("sessionid")
    cancel = f"<command xmlns='{COMMANDS}' node='{ADMIN}add-user' sessionid='{session}' action='cancel'/>"
    answer = await boss.ask("set", cancel, to=DOMAIN)
    assert answer.find(COMMAND).get("status") == "canceled", ET.tostring(answer)


@case(once=True)
async def messages_after_removal_do_not_haunt(scene):
    """Offline messages of a removed account are gone when the name is taken again."""
    romeo = await scene.person("romeo")
    boss = await scene.admin()
    jid = await scene.account("ghost")
    text = romeo.post(jid, body())
    await romeo.sync()
    await run(boss, "delete-user", accountjids=[jid])
    await scene.server.account(jid.split("@")[0])
    heir = await (await scene.session(jid).login()).online()
    await heir.expect_none(message(text), "a message to the removed account")
