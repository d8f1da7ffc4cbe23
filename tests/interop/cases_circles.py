"""Circles: groups of accounts that an administrator manages."""

from runner import Skipped, case
from server import DOMAIN
from slixmpp.xmlstream import ET

COMMANDS = "http://jabber.org/protocol/commands"
FORM = "{jabber:x:data}"


async def circle(scene, boss, name, /, **fields):
    """Runs `circle NAME` as an ad-hoc command; returns what the server says of it."""
    if scene.server.name != "linnet":
        raise Skipped("circles are our own")
    node = f"https://linnet.im/commands#circle-{name}"
    answer = await boss.ask("set", f"<command xmlns='{COMMANDS}' node='{node}' action='execute'/>", to=DOMAIN)
    session = answer.find(f"{{{COMMANDS}}}command").get("sessionid")
    parts = ["<field var='FORM_TYPE'><value>http://jabber.org/protocol/admin</value></field>"]
    for var, value in fields.items():
        values = value if isinstance(value, list) else [value]
        parts.append(f"<field var='{var}'>" + "".join(f"<value>{v}</value>" for v in values) + "</field>")
    payload = (
        f"<command xmlns='{COMMANDS}' node='{node}' sessionid='{session}' action='complete'>"
        f"<x xmlns='jabber:x:data' type='submit'>{''.join(parts)}</x></command>"
    )
    answer = await boss.ask("set", payload, to=DOMAIN)
    done = answer.find(f"{{{COMMANDS}}}command")
    assert done.get("status") == "completed", ET.tostring(done)
    return done.findtext(f"{{{COMMANDS}}}note")


@case(once=True)
async def members_see_each_other(scene):
    """Pushes and presence come at once, by name and in the group; a rename leaves no old group; all is taken back."""
    boss = await scene.admin()
    name = f"Family {scene.suffix}"
    await circle(scene, boss, "create", circle=name)
    mother, child = await scene.person("mother"), await scene.person("child")
    absent = await scene.account("absent")
    jids = [mother.boundjid.bare, child.boundjid.bare, absent]
    await circle(scene, boss, "add", circle=name, accountjids=jids)
    await mother.push(jids[1], subscription="both", name=jids[1].split("@")[0])
    await mother.presence(child.boundjid.full)
    await child.presence(mother.boundjid.full)
    for jid in jids[1:]:
        item = await mother.item(jid)
        assert item["subscription"] == "both" and item["groups"] == [name], item
    late = await (await scene.session(absent).login()).online()
    await late.presence(mother.boundjid.full)
    await child.presence(late.boundjid.full)

    await circle(scene, boss, "rename", circle=name, name=f"{name} renamed")
    await child.push(jids[0])
    item = await child.item(jids[0])
    assert item["groups"] == [f"{name} renamed"], item

    await circle(scene, boss, "take", circle=f"{name} renamed", accountjids=[jids[1]])
    await mother.push(jids[1], subscription="remove")
    await mother.presence(child.boundjid.full, "unavailable")
    assert await child.item(jids[0]) is None
    assert (await mother.item(absent))["subscription"] == "both"
    await circle(scene, boss, "remove", circle=f"{name} renamed")
    assert await mother.item(absent) is None


@case(once=True)
async def friends_stay_friends(scene):
    """What two people made themselves outlives their circle."""
    boss = await scene.admin()
    romeo, juliet = await scene.person("romeo"), await scene.person("juliet")
    await scene.friends(romeo, juliet)
    name = f"Verona {scene.suffix}"
    await circle(scene, boss, "create", circle=name)
    await circle(scene, boss, "add", circle=name, accountjids=[romeo.boundjid.bare, juliet.boundjid.bare])
    await romeo.push(juliet.boundjid.bare, subscription="both")
    assert (await romeo.item(juliet.boundjid.bare))["groups"] == [name]
    await circle(scene, boss, "remove", circle=name)
    item = await romeo.item(juliet.boundjid.bare)
    assert item["subscription"] == "both" and name not in item["groups"], item
