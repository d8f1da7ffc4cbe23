"""RFC 6121 §3 and §4: subscriptions and presence between real clients."""

from runner import case
from slix import message, presence
from words import body


@case()
async def subscription_both_ways(scene):
    """The whole exchange of §3.1, roster states and presence at each step."""
    romeo = await scene.person("romeo")
    juliet = await scene.person("juliet")
    r, j = romeo.boundjid.bare, juliet.boundjid.bare

    romeo.send_presence_subscription(j, ptype="subscribe")
    await romeo.push(j, subscription="none", ask="subscribe")
    request = await juliet.presence(r, "subscribe")
    assert request.xml.get("from") == r, "the request must come from the bare address"
    await juliet.expect_none(presence(r), "presence before she subscribed herself", after=romeo)

    juliet.send_presence_subscription(r, ptype="subscribed")
    await juliet.push(r, subscription="from")
    await romeo.presence(j, "subscribed")
    await romeo.push(j, subscription="to")
    available = await romeo.presence(j)
    assert available["from"] == juliet.boundjid, available["from"]

    juliet.send_presence_subscription(r, ptype="subscribe")
    await romeo.presence(j, "subscribe")
    romeo.send_presence_subscription(j, ptype="subscribed")
    await juliet.presence(r, "subscribed")
    await juliet.push(r, subscription="both")
    await romeo.push(j, subscription="both")
    await juliet.presence(r)


@case()
async def refusing_a_request(scene):
    romeo = await scene.person("romeo")
    juliet = await scene.person("juliet")
    r, j = romeo.boundjid.bare, juliet.boundjid.bare
    romeo.send_presence_subscription(j, ptype="subscribe")
    await juliet.presence(r, "subscribe")
    juliet.send_presence_subscription(r, ptype="unsubscribed")
    await romeo.presence(j, "unsubscribed")
    item = await romeo.item(j)
    assert item["subscription"] == "none" and "ask" not in item, item
    await romeo.expect_none(presence(j), "presence of one who refused", after=juliet)


@case()
async def request_waits_for_the_offline(scene):
    """§3.1.3: kept, and delivered at each login until it is answered."""
    romeo = await scene.person("romeo")
    jid = await scene.account("juliet")
    romeo.send_presence_subscription(jid, ptype="subscribe")
    await romeo.sync()
    for _ in range(2):
        juliet = await (await scene.session(jid).login()).online()
        await juliet.presence(romeo.boundjid.bare, "subscribe")
        await juliet.leave()
    juliet = await (await scene.session(jid).login()).online()
    juliet.send_presence_subscription(romeo.boundjid.bare, ptype="subscribed")
    await romeo.presence(jid, "subscribed")
    await juliet.leave()
    juliet = await (await scene.session(jid).login()).online()
    await juliet.expect_none(presence(romeo.boundjid.bare, "subscribe"), "an answered request")


@case()
async def presence_states(scene):
    """Show, status and priority reach the subscriber; going offline does too."""
    romeo = await scene.person("romeo")
    juliet = await scene.person("juliet")
    await scene.friends(romeo, juliet)
    for show in ("away", "chat", "dnd", "xa"):
        status = body("busy")
        romeo.send_presence(pshow=show, pstatus=status, ppriority=3)
        got = await juliet.presence(romeo.boundjid.full)
        assert (got["show"], got["status"], got["priority"]) == (show, status, 3), str(got)
    romeo.send_presence(ptype="unavailable", pstatus="night")
    gone = await juliet.presence(romeo.boundjid.full, "unavailable")
    assert gone["status"] == "night"


@case()
async def lost_connection_means_unavailable(scene):
    romeo = await scene.person("romeo")
    juliet = await scene.person("juliet")
    await scene.friends(romeo, juliet)
    full = romeo.boundjid.full
    romeo.abort()
    await juliet.presence(full, "unavailable")


@case()
async def newcomer_learns_who_is_there(scene):
    """§4.2.2, §4.3: initial presence probes the contacts, who answer with their last presence."""
    romeo = await scene.person("romeo")
    juliet = await scene.person("juliet")
    await scene.friends(romeo, juliet)
    romeo.send_presence(pshow="dnd", pstatus="in a duel")
    await juliet.presence(romeo.boundjid.full)
    phone = await scene.again(juliet, resource="phone")
    got = await phone.presence(romeo.boundjid.full)
    assert (got["show"], got["status"]) == ("dnd", "in a duel")
    other = await phone.presence(juliet.boundjid.full)
    assert other["type"] in ("available", ""), "her own other resource"


@case()
async def own_resources_see_each_other(scene):
    desk = await scene.person("romeo", resource="desk")
    phone = await scene.again(desk, resource="phone")
    await desk.presence(phone.boundjid.full)
    await phone.presence(desk.boundjid.full)
    await phone.leave()
    await desk.presence(phone.boundjid.full, "unavailable")


@case()
async def unsubscribe(scene):
    """§3.3: the contact learns it, both rosters change, presence stops."""
    romeo = await scene.person("romeo")
    juliet = await scene.person("juliet")
    await scene.friends(romeo, juliet)
    r, j = romeo.boundjid.bare, juliet.boundjid.bare
    romeo.send_presence_subscription(j, ptype="unsubscribe")
    await juliet.presence(r, "unsubscribe")
    await juliet.push(r, subscription="to")
    await romeo.push(j, subscription="from")
    if "unavailable-at-unsubscribe" not in scene.server.lacks:
        await romeo.presence(j, "unavailable")
    juliet.send_presence(pshow="away")
    await romeo.expect_none(presence(j), "presence after unsubscribing", after=juliet)
    romeo.send_presence(pshow="xa")
    await juliet.presence(r)


@case()
async def cancelling(scene):
    """§3.2: taking back what was granted."""
    romeo = await scene.person("romeo")
    juliet = await scene.person("juliet")
    await scene.friends(romeo, juliet)
    r, j = romeo.boundjid.bare, juliet.boundjid.bare
    romeo.send_presence_subscription(j, ptype="unsubscribed")
    await juliet.presence(r, "unsubscribed")
    await juliet.push(r, subscription="from")
    await juliet.presence(r, "unavailable")
    await romeo.push(j, subscription="to")


@case()
async def removing_a_contact_ends_both(scene):
    """§2.5.1: removal from the roster unsubscribes and cancels."""
    romeo = await scene.person("romeo")
    juliet = await scene.person("juliet")
    await scene.friends(romeo, juliet)
    r, j = romeo.boundjid.bare, juliet.boundjid.bare
    await romeo.del_roster_item(j)
    await juliet.presence(r, "unsubscribe")
    await juliet.presence(r, "unsubscribed")
    if "unavailable-at-unsubscribe" not in scene.server.lacks:
        await juliet.presence(r, "unavailable")
    item = await juliet.item(r)
    assert item["subscription"] == "none", item
    assert await romeo.item(j) is None


@case()
async def directed_presence(scene):
    """§4.6: a stranger sees what was directed to him, and the end of it, and no broadcast in between."""
    romeo = await scene.person("romeo")
    stranger = await scene.person("stranger")
    romeo.send_presence(pto=stranger.boundjid.full, pstatus="just for you")
    got = await stranger.presence(romeo.boundjid.full)
    assert got["status"] == "just for you"
    romeo.send_presence(pshow="away")
    await stranger.expect_none(presence(romeo.boundjid.bare), "a broadcast", after=romeo)
    full = romeo.boundjid.full
    await romeo.leave()
    await stranger.presence(full, "unavailable")


@case()
async def priorities_route_messages(scene):
    """§8.5.2.1.1: the highest priority gets it, equal ones at the server's choice, negative ones never."""
    low = await scene.person("juliet", resource="low", available=False)
    high = await scene.again(low, resource="high", available=False)
    never = await scene.again(low, resource="never", available=False)
    await low.online(ppriority=1)
    await high.online(ppriority=5)
    await never.online(ppriority=-1)
    romeo = await scene.person("romeo")
    text = romeo.post(low.boundjid.bare, body())
    await high.message(text)
    await never.expect_none(message(text), "a message at priority -1", after=romeo)
    high.send_presence(ptype="unavailable")
    await high.sync()
    text = romeo.post(low.boundjid.bare, body())
    await low.message(text)
    text = romeo.post(never.boundjid.full, body())
    await never.message(text)


@case()
async def probe_of_a_stranger_tells_nothing(scene):
    romeo = await scene.person("romeo")
    stranger = await scene.person("stranger")
    stranger.send_presence(pto=romeo.boundjid.bare, ptype="probe")
    await stranger.expect_none(presence(romeo.boundjid.bare), "presence by a probe", after=romeo)
    await romeo.expect_none(presence(stranger.boundjid.bare, "probe"), "a probe", after=stranger)
