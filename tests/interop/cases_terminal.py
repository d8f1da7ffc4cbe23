"""Debian's terminal clients: profanity, mcabber and go-sendxmpp, each against a partner on slixmpp."""

import asyncio
import shutil

from runner import Skipped, case
from server import DOMAIN
from terminal import Terminal
from words import body


def need(program):
    if not shutil.which(program):
        raise Skipped(f"{program} is not installed")


def home_of(scene, jid):
    home = scene.server.dir / "homes" / jid
    home.mkdir(parents=True, exist_ok=True)
    return home


async def profanity(scene, jid):
    """Starts profanity with a ready account and waits until it is logged in."""
    need("profanity")
    home = home_of(scene, jid)
    (home / "data/profanity").mkdir(parents=True)
    (home / "config/profanity").mkdir(parents=True)
    port, policy = (scene.server.tls_port, "legacy") if scene.direct else (scene.server.c2s_port, "trust")
    (home / "data/profanity/accounts").write_text(
        f"[{jid}]\nenabled=true\njid={jid}\nresource=profanity\nserver=127.0.0.1\nport={port}\n"
        f"tls.policy={policy}\npassword={scene.password(jid)}\npresence.login=online\n"
    )
    (home / "config/profanity/profrc").write_text(
        "[connection]\nreconnect=0\nautoping=0\n[ui]\nsplash=false\nroster=true\nvercheck=false\nwintitle.show=false\n"
        "statuses.console=all\nstatuses.chat=all\n"
        "[chatstates]\nenabled=false\n[notifications]\nmessage=off\n[logging]\nchlog=false\ngrlog=false\n"
    )
    terminal = Terminal("profanity")
    scene.closers.append(terminal.close)
    await terminal.start(["profanity", "-a", jid], home)
    if scene.direct:
        await terminal.shows("/tls allow")
        terminal.type("/tls allow")
    await terminal.shows("logged in successfully")
    return terminal


@case(lane="terminal", timeout=60)
async def profanity_talks(scene):
    """Logs in, sees its roster, subscribes both ways, chats both ways, blocks and unblocks."""
    jid = await scene.account("prof")
    friend = await scene.person("friend")
    other = friend.boundjid.bare
    listed = f"nurse{scene.suffix}@{DOMAIN}"
    helper = await scene.session(jid, "helper").login()
    await helper.update_roster(listed, name="Nursey", groups=["Servants"])
    await helper.leave()

    screen = await profanity(scene, jid)
    await screen.shows("Nursey")

    screen.type(f"/sub request {other}")
    await friend.presence(jid, "subscribe")
    friend.send_presence_subscription(jid, ptype="subscribed")
    friend.send_presence_subscription(jid, ptype="subscribe")
    await screen.shows(f"Received authorization request from {other}")
    screen.type(f"/sub allow {other}")
    await friend.presence(jid, "subscribed")
    await friend.presence(jid)
    await friend.push(jid, subscription="both")
    friend.send_presence(pshow="away", pstatus="in Verona")
    await screen.shows_one_of("in Verona")

    text = friend.post(jid, body("to prof"))
    screen.type(f"/msg {other}")
    await screen.shows(text)
    answer = body("from prof")
    screen.type(answer)
    got = await friend.message(answer, jid)
    assert got["type"] == "chat"

    await friend.sync()
    friend.seen.clear()
    screen.type(f"/blocked add {other}")
    await friend.presence(jid, "unavailable")
    lost = friend.post(jid, body("blocked"))
    error = await friend.expect(
        lambda s: s.name == "message" and s["type"] == "error", "an error for the blocked sender"
    )
    assert error["error"]["condition"] == "service-unavailable", str(error)
    screen.type("/win 1")
    screen.type("/blocked")
    await screen.shows("Blocked users:", other)
    screen.type(f"/blocked remove {other}")
    await friend.presence(jid)
    text = friend.post(jid, body("again"))
    screen.type(f"/msg {other}")
    await screen.shows(text)
    assert lost not in screen.text(), "profanity shows a message of the time when its sender was blocked"

    screen.type("/quit")
    await friend.presence(jid, "unavailable")


@case(lane="terminal", timeout=40, once=True)
async def profanity_gets_offline_messages(scene):
    jid = await scene.account("prof")
    friend = await scene.person("friend")
    texts = [friend.post(jid, body("while away")) for _ in range(3)]
    await friend.sync()
    screen = await profanity(scene, jid)
    await screen.shows("<< chat message")
    screen.type(f"/msg {friend.boundjid.bare}")
    await screen.shows(*texts)


@case(lane="terminal", timeout=40)
async def mcabber_talks(scene):
    """Logs in, sends, receives."""
    need("mcabber")
    jid = await scene.account("mc")
    friend = await scene.person("friend")
    other = friend.boundjid.bare
    home = home_of(scene, jid)
    security = "set tls = 0\nset ssl = 1" if scene.direct else "set tls = 1\nset ssl = 0"
    port = scene.server.tls_port if scene.direct else scene.server.c2s_port
    file = home / "mcabberrc"
    file.write_text(
        f'set jid = {jid}\nset password = "{scene.password(jid)}"\nset server = 127.0.0.1\nset port = {port}\n'
        f"set resource = mcabber\n{security}\nset ssl_ignore_checks = 1\nset beep_on_message = 0\nset logging = 0\n"
    )
    file.chmod(0o600)
    home.chmod(0o700)
    helper = await scene.session(jid, "helper").login()
    await helper.online(ppriority=-1)
    await scene.friends(helper, friend)
    await helper.leave()

    screen = Terminal("mcabber")
    scene.closers.append(screen.close)
    await screen.start(["mcabber", "-f", file], home)
    await friend.presence(jid)
    await screen.shows(f"friend{scene.suffix}")
    text = body("from mcabber")
    screen.type(f"/say_to {other} {text}")
    got = await friend.message(text, jid)
    assert got["type"] == "chat"
    text = friend.post(jid, body("to mcabber"))
    screen.type(f"/roster search friend{scene.suffix}")
    screen.type("")  # an empty line shows the chat of the selected contact
    await screen.shows(text)
    screen.type("/quit")
    await friend.presence(jid, "unavailable")


@case(lane="terminal", timeout=40)
async def go_sendxmpp_talks(scene):
    """Sends a message from a pipe; listens and prints what it gets."""
    need("go-sendxmpp")
    jid = await scene.account("go")
    friend = await scene.person("friend")
    port = scene.server.tls_port if scene.direct else scene.server.c2s_port
    login = ["go-sendxmpp", "-u", jid, "-p", scene.password(jid), "-j", f"127.0.0.1:{port}", "-n"]
    login += ["-t"] if scene.direct else []
    environment = {"HOME": str(home_of(scene, jid)), "PATH": "/usr/bin:/bin"}
    pipes = {name: asyncio.subprocess.PIPE for name in ("stdin", "stdout", "stderr")}

    sending = await asyncio.create_subprocess_exec(*login, friend.boundjid.bare, env=environment, **pipes)
    text = body("from go-sendxmpp")
    out, errors = await asyncio.wait_for(sending.communicate(text.encode() + b"\n"), 15)
    assert sending.returncode == 0, (out + errors).decode()
    await friend.expect(
        lambda s: s.name == "message" and s["body"].strip() == text and s["from"].bare == jid, "go-sendxmpp's message"
    )

    listening = await asyncio.create_subprocess_exec(*login, "-l", env=environment, **pipes)
    try:
        await wait_online(scene, friend, jid)
        text = friend.post(jid, body("to go-sendxmpp"))
        line = b""
        while text.encode() not in line:
            line = await asyncio.wait_for(listening.stdout.readline(), 10)
            assert line, (await listening.stderr.read()).decode()
    finally:
        if listening.returncode is None:
            listening.terminate()
        await listening.wait()


async def wait_online(scene, friend, jid):
    """Until a session of `jid` has said that it is there: an own helper session would see it."""
    helper = await scene.session(jid, "helper").login()
    await helper.online(ppriority=-1)
    await helper.expect(
        lambda s: s.name == "presence" and s["from"].bare == jid and s["from"] != helper.boundjid, "the listener online"
    )
    await helper.leave()
