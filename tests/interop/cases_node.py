"""@xmpp/client in Node: SASL 2, Bind 2, tokens and resumption inline, as far as it has them."""

import asyncio
import json
import os
import shutil
from pathlib import Path

from runner import Skipped, case
from server import DOMAIN

PACKAGES = Path(os.environ.get("LINNET_NODE", ".cache/node")).resolve()


async def node(scene, jid, program, *arguments):
    """Runs a program of the folder `node` for an account; the last line that it says, which is JSON."""
    environment = {
        **os.environ,
        "NODE_PACKAGES": str(PACKAGES),
        "XMPP_PASSWORD": scene.password(jid),
        # The certificate of the server under test is its own.
        "NODE_TLS_REJECT_UNAUTHORIZED": "0",
        "NODE_NO_WARNINGS": "1",
    }
    process = await asyncio.create_subprocess_exec(
        "node",
        str(Path(__file__).with_name("node") / program),
        *arguments,
        DOMAIN,
        jid.split("@")[0],
        env=environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        out, errors = await asyncio.wait_for(process.communicate(), 20)
    except asyncio.TimeoutError:
        process.kill()
        raise AssertionError("the program did not end") from None
    assert process.returncode == 0, errors.decode()[-2000:] or process.returncode
    # A library may talk on standard output as well.
    return json.loads(out.decode().splitlines()[-1])


async def run(scene, program, jid):
    """Runs a program that logs in over TCP."""
    if not shutil.which("node") or not (PACKAGES / "node_modules/@xmpp/client").is_dir():
        raise Skipped("node or @xmpp/client is not installed")
    port, scheme = (scene.server.tls_port, "xmpps") if scene.direct else (scene.server.c2s_port, "xmpp")
    return await node(scene, jid, program, f"{scheme}://127.0.0.1:{port}")


@case(needs="sasl2")
async def one_exchange_with_xmpp_js(scene):
    jid = await scene.account("node")
    report = await run(scene, "one_exchange.mjs", jid)
    first, resumed, second, third = (report[name] for name in ("first", "resumed", "second", "third"))
    assert first["jid"].startswith(f"{jid}/tag/"), first
    assert first["sm"] and first["token"], first
    assert {"bind", "request-token"} <= set(first["inline"][0]), first
    assert resumed["mechanism"] == "HT-SHA-256-NONE" and "resume" in resumed["inline"], resumed
    assert resumed["jid"] == first["jid"] and resumed["ping"], resumed
    # The same device gets the same resource.
    assert second == {"jid": first["jid"], "mechanisms": ["HT-SHA-256-NONE"]}, second
    assert third["jid"] == first["jid"] and len(third["mechanisms"]) == 2, third
    assert third["mechanisms"][0] == "HT-SHA-256-NONE", third
