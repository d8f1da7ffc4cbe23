"""Small questions to server and contacts: disco, caps, ping, version, time, last activity, vCard, private XML."""

import base64
import datetime
import hashlib

from runner import case
from slix import refusal
from slixmpp.exceptions import IqError
from slixmpp.xmlstream import ET
from xmpp import Client

INFO = "http://jabber.org/protocol/disco#info"
CAPS = "{http://jabber.org/protocol/caps}c"
FORM = "{jabber:x:data}"


async def features_of(person, jid, node=None):
    attribute = f" node='{node}'" if node else ""
    answer = await person.ask("get", f"<query xmlns='{INFO}'{attribute}/>", to=jid)
    return answer, {f.get("var") for f in answer.iter(f"{{{INFO}}}feature")}


@case()
async def disco_of_the_server(scene):
    """XEP-0030: identity, and a feature for everything else that is tested here."""
    person = await scene.person("curious")
    answer, features = await features_of(person, "localhost")
    identities = {(i.get("category"), i.get("type")) for i in answer.iter(f"{{{INFO}}}identity")}
    assert ("server", "im") in identities, identities
    wanted = {
        INFO,
        "http://jabber.org/protocol/disco#items",
        "urn:xmpp:ping",
        "jabber:iq:version",
        "urn:xmpp:time",
        "jabber:iq:last",
        "vcard-temp",
        "jabber:iq:private",
        "urn:xmpp:blocking",
        "http://jabber.org/protocol/commands",
        "msgoffline",
    }
    missing = wanted - features
    if scene.server.name == "linnet":
        wanted_more = {"jabber:iq:register", "http://jabber.org/protocol/offline"}
        missing |= wanted_more - features
    else:
        missing -= {INFO, "msgoffline", "http://jabber.org/protocol/commands"}
    assert not missing, f"not in disco#info: {sorted(missing)}"


@case()
async def disco_items(scene):
    person = await scene.person("curious")
    iq = await person["xep_0030"].get_items("localhost")
    assert iq["type"] == "result"
    # An account that is not ours and does not know us has nothing to tell.
    other = await scene.person("other")
    condition = await refusal(person.ask("get", f"<query xmlns='{INFO}'/>", to=other.boundjid.bare))
    assert condition in ("service-unavailable", "forbidden", "subscription-required"), condition


@case()
async def disco_of_the_own_account(scene):
    person = await scene.person("curious")
    answer, _ = await features_of(person, person.boundjid.bare)
    identities = {(i.get("category"), i.get("type")) for i in answer.iter(f"{{{INFO}}}identity")}
    assert ("account", "registered") in identities, identities


@case()
async def unknown_node(scene):
    person = await scene.person("curious")
    condition = await refusal(features_of(person, "localhost", "urn:example:no-such-node"))
    assert condition == "item-not-found", condition


def caps_hash(query):
    """The verification string of XEP-0115 §5, from a disco#info result."""
    keys = ("category", "type", "{http://www.w3.org/XML/1998/namespace}lang", "name")
    parts = sorted("/".join(i.get(key, "") for key in keys) for i in query.iter(f"{{{INFO}}}identity"))
    parts += sorted(f.get("var") for f in query.iter(f"{{{INFO}}}feature"))
    forms = []
    for form in query.iter(f"{FORM}x"):
        fields = {f.get("var"): sorted(v.text or "" for v in f.iter(f"{FORM}value")) for f in form.iter(f"{FORM}field")}
        form_type = fields.pop("FORM_TYPE", [""])[0]
        forms.append([form_type] + [x for var in sorted(fields) for x in [var] + fields[var]])
    parts += [x for form in sorted(forms) for x in form]
    return base64.b64encode(hashlib.sha1("".join(f"{p}<" for p in parts).encode()).digest()).decode()


@case()
async def caps_of_the_server(scene):
    """XEP-0115 §6.3: the stream features carry the server's capabilities, and the hash is right."""
    jid = await scene.account("curious")
    client = await Client.open(scene.server, scene.direct, "localhost")
    await client.login(jid.split("@")[0], scene.password(jid))
    caps = client.features.find(CAPS)
    if caps is None and scene.server.name == "prosody":
        return
    assert caps is not None, "no <c/> in the stream features"
    node = f"{caps.get('node')}#{caps.get('ver')}"
    answer = await client.ask(f"<iq type='get' id='d' to='localhost'><query xmlns='{INFO}' node='{node}'/></iq>", "d")
    query = answer.find(f"{{{INFO}}}query")
    assert query is not None, ET.tostring(answer)
    assert query.get("node") == node
    assert caps_hash(query) == caps.get("ver"), f"ver is {caps.get('ver')}, the answer hashes to {caps_hash(query)}"
    await client.end()


@case()
async def caps_travel_with_presence(scene):
    """slixmpp puts its own <c/> into presence and asks by disco; both pass between contacts."""
    romeo = await scene.person("romeo")
    juliet = await scene.person("juliet")
    await scene.friends(romeo, juliet)
    await romeo["xep_0115"].update_caps()
    romeo.send_presence(pshow="chat")
    got = await juliet.presence(romeo.boundjid.full)
    caps = got.xml.find(CAPS)
    assert caps is not None, "caps got lost"
    _, features = await features_of(juliet, romeo.boundjid.full, f"{caps.get('node')}#{caps.get('ver')}")
    assert "urn:xmpp:ping" in features, features


@case()
async def ping(scene):
    romeo = await scene.person("romeo")
    for target in ("localhost", romeo.boundjid.bare):
        await romeo.ask("get", "<ping xmlns='urn:xmpp:ping'/>", to=target)
    juliet = await scene.person("juliet")
    await scene.friends(romeo, juliet)
    assert await romeo["xep_0199"].ping(juliet.boundjid.full) >= 0


@case()
async def version(scene):
    romeo = await scene.person("romeo")
    answer = (await romeo["xep_0092"].get_version("localhost"))["software_version"]
    assert answer["name"].lower() == scene.server.name and answer["version"], answer


@case()
async def time(scene):
    romeo = await scene.person("romeo")
    answer = (await romeo["xep_0202"].get_entity_time("localhost")).xml
    utc = answer.find(".//{urn:xmpp:time}utc").text
    zone = answer.find(".//{urn:xmpp:time}tzo").text
    told = datetime.datetime.fromisoformat(utc.replace("Z", "+00:00"))
    assert abs(told - datetime.datetime.now(datetime.timezone.utc)) < datetime.timedelta(seconds=5), utc
    assert zone[0] in "+-Z", zone


def seconds_of(answer):
    return int(answer.find("{jabber:iq:last}query").get("seconds"))


@case()
async def last_activity(scene):
    """XEP-0012: uptime of the server; a contact's, when subscribed; nobody else's."""
    romeo = await scene.person("romeo")
    juliet = await scene.person("juliet")
    query = "<query xmlns='jabber:iq:last'/>"
    assert 0 <= seconds_of(await romeo.ask("get", query, to="localhost")) < 3600
    condition = await refusal(romeo.ask("get", query, to=juliet.boundjid.bare))
    assert condition in ("forbidden", "service-unavailable", "subscription-required"), condition
    await scene.friends(romeo, juliet)
    assert seconds_of(await romeo.ask("get", query, to=juliet.boundjid.bare)) == 0, "she is online"
    juliet.send_presence(ptype="unavailable", pstatus="gone to the friar")
    await romeo.presence(juliet.boundjid.full, "unavailable")
    await juliet.leave()
    answer = await romeo.ask("get", query, to=juliet.boundjid.bare)
    assert 0 <= seconds_of(answer) < 30
    assert (answer.find("{jabber:iq:last}query").text or "") == "gone to the friar"


@case()
async def vcard(scene):
    """XEP-0054: own set and get, another's get, no set for another, an empty one."""
    romeo = await scene.person("romeo")
    juliet = await scene.person("juliet")
    query = "<vCard xmlns='vcard-temp'/>"
    try:
        empty = await romeo.ask("get", query)
        assert not len(empty.find("{vcard-temp}vCard"))
    except IqError as error:  # XEP-0054 §3.1 allows item-not-found as well
        assert error.condition == "item-not-found", error
    card = romeo["xep_0054"].make_vcard()
    card["FN"] = "Romeo Montague ♥ & Co"
    card["NICKNAME"] = "Romeo"
    await romeo["xep_0054"].publish_vcard(card)
    for reader in (romeo, juliet):
        got = await reader.ask("get", query, to=romeo.boundjid.bare)
        assert got.findtext("{vcard-temp}vCard/{vcard-temp}FN") == "Romeo Montague ♥ & Co", ET.tostring(got)
    got = await romeo.ask("get", query)
    assert got.findtext("{vcard-temp}vCard/{vcard-temp}NICKNAME") == "Romeo"
    forged = "<vCard xmlns='vcard-temp'><FN>Forged</FN></vCard>"
    condition = await refusal(juliet.ask("set", forged, to=romeo.boundjid.bare))
    assert condition in ("forbidden", "not-allowed", "not-authorized", "service-unavailable"), condition
    got = await juliet.ask("get", query, to=romeo.boundjid.bare)
    assert got.findtext("{vcard-temp}vCard/{vcard-temp}FN").startswith("Romeo")


@case()
async def private_xml(scene):
    """XEP-0049: by namespace, replaced as a whole, kept over a logout, nobody else's."""
    romeo = await scene.person("romeo")
    space = "jabber:iq:private"

    async def stored(person, name="prefs", ns="urn:example:prefs"):
        answer = await person.ask("get", f"<query xmlns='{space}'><{name} xmlns='{ns}'/></query>")
        return answer.find(f".//{{{ns}}}{name}")

    assert not list(await stored(romeo)), "something although nothing was stored"
    await romeo.ask("set", f"<query xmlns='{space}'><prefs xmlns='urn:example:prefs'><a>1 &amp; 2</a></prefs></query>")
    assert (await stored(romeo)).findtext("{urn:example:prefs}a") == "1 & 2"
    await romeo.ask("set", f"<query xmlns='{space}'><prefs xmlns='urn:example:prefs'><b/></prefs></query>")
    element = await stored(romeo)
    assert [c.tag for c in element] == ["{urn:example:prefs}b"], ET.tostring(element)
    await romeo.leave()
    again = await scene.again(romeo)
    assert len(await stored(again)) == 1
    other = await scene.person("other")
    assert not list(await stored(other))
    payload = f"<query xmlns='{space}'><prefs xmlns='urn:example:prefs'/></query>"
    condition = await refusal(other.ask("get", payload, to=romeo.boundjid.bare))
    assert condition in ("forbidden", "service-unavailable", "not-allowed"), condition
    if scene.server.name != "prosody":  # which leaves this IQ unanswered
        condition = await refusal(again.ask("set", "<query xmlns='jabber:iq:private'/>"))
        assert condition in ("bad-request", "not-acceptable"), condition


@case()
async def contact_addresses(scene):
    """XEP-0157: the admins' addresses in the server's disco#info."""
    person = await scene.person("curious")
    answer, _ = await features_of(person, "localhost")
    for form in answer.iter(f"{FORM}x"):
        fields = {f.get("var"): [v.text for v in f.iter(f"{FORM}value")] for f in form.iter(f"{FORM}field")}
        if fields.get("FORM_TYPE") == ["http://jabber.org/network/serverinfo"]:
            assert any("boss@localhost" in (value or "") for values in fields.values() for value in values), fields
            return
    raise AssertionError("no serverinfo form")


@case()
async def unknown_namespace(scene):
    person = await scene.person("curious")
    for target in ("localhost", None, person.boundjid.bare):
        for kind in ("get", "set"):
            condition = await refusal(person.ask(kind, "<query xmlns='urn:example:nothing'/>", to=target))
            assert condition in ("service-unavailable", "feature-not-implemented"), condition
