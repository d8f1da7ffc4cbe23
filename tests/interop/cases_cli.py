"""The command line and what an administrator meets: accounts, `check`, `send`, and each way of not starting."""

import asyncio
import os
import resource
import subprocess
from pathlib import Path

from runner import case
from server import CANARY, DOMAIN, Linnet
from words import body
from xmpp import CLIENT, PING, Client

NEW = f"new pw {CANARY}"


def linnet(server, *arguments, stdin="", config=None, **options):
    """Runs the binary with the server's configuration; returns exit code, standard output and standard error."""
    command = [str(server.binary), "--config", str(config or server.config), *map(str, arguments)]
    done = subprocess.run(
        command, input=stdin, capture_output=True, text=True, timeout=20, cwd=server.dir, check=False, **options
    )
    return done.returncode, done.stdout, done.stderr


async def runs(server, *arguments, **options):
    return await asyncio.to_thread(linnet, server, *arguments, **options)


def refused(outcome, *words):
    """A clear line on the terminal with each of these words, an exit code that is not 0, and no panic."""
    code, out, err = outcome
    assert code not in (0, None) and code > 0, f"exit code {code}: {out}{err}"
    assert "panicked" not in err and "RUST_BACKTRACE" not in err, err
    # `check` reports on standard output: that is what it is asked for.
    err = err or out
    lines = [line for line in err.splitlines() if line.strip()]
    assert lines, "not a word"
    assert len(lines) <= 3, f"more than a clear line:\n{err}"
    for word in words:
        assert word.lower() in err.lower(), f"{word!r} is not in: {err}"


def another(scene, change=lambda text: text, **options):
    """A second server that is not started, with its configuration changed."""
    server = Linnet(scene.server.binary, **options)
    server.config.write_text(change(server.config.read_text()))

    async def remove():
        server.remove()

    scene.closers.append(remove)
    return server


@case(once=True, needs="cli")
async def version(scene):
    done = await asyncio.to_thread(
        subprocess.run, [scene.server.binary, "--version"], capture_output=True, text=True, timeout=10
    )
    assert done.returncode == 0 and done.stdout.startswith("linnet "), done


@case(once=True, needs="cli")
async def check_accepts_the_configuration(scene):
    code, out, err = await runs(scene.server, "check")
    assert code == 0, out + err


@case(once=True, needs="cli")
async def accounts_while_it_runs(scene):
    """add, password, disable, remove act on the running server at once."""
    server = scene.server
    jid = f"cli{scene.suffix}@{DOMAIN}"
    code, out, err = await runs(server, "account", "add", jid, "--password-stdin", stdin=NEW)
    assert code == 0, out + err
    refused(await runs(server, "account", "add", jid, "--password-stdin", stdin=NEW), "exists")
    person = await (await scene.session(jid, password=NEW).login()).online()
    code, out, err = await runs(server, "account", "list")
    assert code == 0 and jid in out.split(), out + err
    code, out, err = await runs(server, "account", "password", jid, "--password-stdin", stdin=NEW + "2")
    assert code == 0, out + err
    other = await scene.session(jid, password=NEW + "2").login()
    code, out, err = await runs(server, "account", "disable", jid)
    assert code == 0, out + err
    await asyncio.sleep(0.3)
    assert not person.is_connected() and not other.is_connected(), "sessions of a disabled account live on"
    try:
        await scene.session(jid, password=NEW + "2").login()
        raise AssertionError("a disabled account logged in")
    except PermissionError:
        pass
    code, out, err = await runs(server, "account", "remove", jid)
    assert code == 0, out + err
    code, out, err = await runs(server, "account", "list")
    assert jid not in out.split(), out
    refused(await runs(server, "account", "remove", jid))


@case(once=True, needs="cli")
async def accounts_while_it_is_down(scene):
    server = another(scene)
    jid = f"down@{DOMAIN}"
    code, out, err = await runs(server, "account", "add", jid, "--password-stdin", stdin=NEW)
    assert code == 0, out + err
    code, out, err = await runs(server, "account", "list")
    assert code == 0 and jid in out.split(), out + err
    await asyncio.to_thread(server.start)
    client = await Client.open(server, True, DOMAIN)
    await client.login("down", NEW)
    await client.end()
    assert await asyncio.to_thread(server.stop) == 0


@case(once=True, needs="cli")
async def bad_addresses_are_refused(scene):
    for jid in ("a b@localhost", "@localhost", "x@elsewhere.example", f"{'x' * 1100}@localhost"):
        refused(await runs(scene.server, "account", "add", jid, "--password-stdin", stdin=NEW))


@case(once=True, needs="cli")
async def send(scene):
    """One message from the command line."""
    person = await scene.person("reader")
    sender = await scene.account("sender")
    text = body("from the command line")
    code, out, err = await runs(
        scene.server,
        *("send", "--from", sender, "--to", person.boundjid.bare, "--password-stdin", text),
        stdin=scene.password(sender),
    )
    assert code == 0, out + err
    await person.message(text)


@case(once=True, needs="cli")
async def unknown_key(scene):
    """An error that says which key was meant."""
    server = another(scene, lambda text: text.replace("c2s_tls =", "c2s_tsl ="))
    refused(await runs(server, "check"), "c2s_tsl", "c2s_tls")
    refused(await runs(server, "serve"), "c2s_tsl")
    assert not (server.dir / "data").exists(), "made a data directory in spite of a wrong configuration"


@case(once=True, needs="cli")
async def not_toml(scene):
    server = another(scene, lambda text: text + "\nthis is not TOML")
    refused(await runs(server, "serve"), "linnet.toml")


@case(once=True, needs="cli")
async def missing_configuration(scene):
    refused(await runs(scene.server, "serve", config=scene.server.dir / "nowhere.toml"), "nowhere.toml")


@case(once=True, needs="cli")
async def port_in_use(scene):
    taken = str(scene.server.c2s_port)
    server = another(scene)
    server.config.write_text(server.config.read_text().replace(str(server.c2s_port), taken))
    refused(await runs(server, "serve"), taken)


@case(once=True, needs="cli")
async def data_directory_in_use(scene):
    """Two servers on one data directory would destroy it."""
    server = another(scene)
    text = server.config.read_text().replace(f"{server.dir}/data", f"{scene.server.dir}/data")
    server.config.write_text(text)
    refused(await runs(server, "serve"), "data")


@case(once=True, needs="cli")
async def data_directory_is_a_file(scene):
    server = another(scene)
    (server.dir / "data").write_text("not a directory")
    refused(await runs(server, "serve"), "data")


@case(once=True, needs="cli")
async def damaged_database(scene):
    """Garbage where the database was: refused in words, and not overwritten."""
    server = another(scene)
    await runs(server, "account", "add", f"x@{DOMAIN}", "--password-stdin", stdin=NEW)
    files = [f for f in (server.dir / "data").rglob("*") if f.is_file() and f.read_bytes()[:15] == b"SQLite format 3"]
    assert len(files) == 1, files
    for suffix in ("-wal", "-shm"):
        Path(str(files[0]) + suffix).unlink(missing_ok=True)
    garbage = os.urandom(files[0].stat().st_size)
    files[0].write_bytes(garbage)
    refused(await runs(server, "serve"), str(files[0].name))
    assert files[0].read_bytes() == garbage, "the damaged file was changed"


@case(once=True, needs="cli")
async def read_only_data_directory(scene):
    """As a user who may read but not write it."""
    server = another(scene)
    await runs(server, "account", "add", f"x@{DOMAIN}", "--password-stdin", stdin=NEW)
    options = {}
    if os.geteuid() == 0:
        # Root writes everywhere, so the server is run as nobody, who may read what is there.
        for path in [server.dir, *server.dir.rglob("*")]:
            path.chmod(0o755 if path.is_dir() else 0o644)
        options = {"user": 65534, "group": 65534, "extra_groups": []}
        if not all(os.stat(parent).st_mode & 0o001 for parent in server.binary.parents):
            return  # nobody cannot reach the binary
    else:
        for path in [*server.dir.rglob("*"), server.dir / "data"]:
            path.chmod(0o555 if path.is_dir() else 0o444)
    refused(await runs(server, "serve", **options), "data")


@case(once=True, needs="cli", timeout=60)
async def full_disk(scene):
    """Writes fail: senders get errors, the server lives, and what was confirmed is there after a restart with room."""
    server = another(scene)
    for name in ("alice", "bob"):
        server.passwords[name] = NEW
        await runs(server, "account", "add", f"{name}@{DOMAIN}", "--password-stdin", stdin=NEW)
    largest = 6 << 20
    # A limit on file sizes stands for the full disk; Python ignores SIGXFSZ and the server inherits that.
    server.start_options = {
        "preexec_fn": lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (largest, largest)),
        "restore_signals": False,
    }
    await asyncio.to_thread(server.start)
    client = await Client.open(server, True, DOMAIN)
    await client.login("alice", NEW)
    confirmed, refusals, filler = [], 0, "x" * 100_000
    for number in range(200):
        client.send(
            f"<message id='m{number}' type='chat' to='bob@{DOMAIN}'><body>{CANARY} {number} {filler}</body></message>"
            f"<iq type='get' id='p{number}' to='{DOMAIN}'><ping xmlns='{PING}'/></iq>"
        )
        refused_now = False
        while True:
            element = await client.read(10)
            if element.get("id") == f"p{number}":
                assert element.get("type") == "result", "a ping was refused"
                break
            if element.tag == f"{{{CLIENT}}}message" and element.get("type") == "error":
                refused_now = True
        if refused_now:
            refusals += 1
            if refusals == 5:
                break
        else:
            confirmed.append(number)
    assert refusals == 5, f"{len(confirmed)} messages of 100 kB fitted into {largest} bytes"
    assert server.process.poll() is None, "the server ended"
    client.close()
    await asyncio.to_thread(server.stop)
    server.start_options = {}
    await asyncio.to_thread(server.start)
    reader = await Client.open(server, True, DOMAIN)
    await reader.login("bob", NEW)
    reader.send("<presence/>")
    got = []
    while len(got) < len(confirmed):
        try:
            element = await reader.read(5)
        except TimeoutError:
            break
        if element.tag == f"{{{CLIENT}}}message":
            got.append(int(element.findtext(f"{{{CLIENT}}}body").split()[1]))
    assert got == confirmed, f"confirmed {confirmed}, got {got}"
    await reader.end()
    assert not server.leaks()


@case(once=True, needs="cli")
async def stop_tells_sessions(scene):
    """SIGTERM: sessions get <system-shutdown/>, exit code 0, and nothing is lost."""
    server = another(scene)
    for name in ("alice", "bob"):
        await runs(server, "account", "add", f"{name}@{DOMAIN}", "--password-stdin", stdin=NEW)
    await asyncio.to_thread(server.start)
    client = await Client.open(server, False, DOMAIN)
    await client.login("alice", NEW)
    client.send(f"<message type='chat' to='bob@{DOMAIN}'><body>{CANARY} last words</body></message>")
    await client.ask(f"<iq type='get' id='p' to='{DOMAIN}'><ping xmlns='{PING}'/></iq>", "p")
    stopping = asyncio.create_task(asyncio.to_thread(server.stop))
    element = await client.read(5)
    assert element.tag.endswith("}error") and "system-shutdown" in element[0].tag, element
    client.close()
    assert await stopping == 0
    await asyncio.to_thread(server.start)
    reader = await Client.open(server, True, DOMAIN)
    await reader.login("bob", NEW)
    reader.send("<presence/>")
    while True:
        element = await reader.read(5)
        if element.tag == f"{{{CLIENT}}}message":
            break
    assert element.findtext(f"{{{CLIENT}}}body").endswith("last words")
    await reader.end()


@case(once=True, needs="cli")
async def starts_fast(scene):
    """Start to accepting connections; the goal is 100 ms for a release binary."""
    server = another(scene)
    await asyncio.to_thread(server.start)
    await asyncio.to_thread(server.stop)
    seconds = await asyncio.to_thread(server.start)
    assert seconds < 2.0, f"{seconds:.2f} s"
    await asyncio.to_thread(server.stop)
