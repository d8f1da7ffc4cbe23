"""Clients that come over the web: three libraries in Node over WebSocket and BOSH, directly and through nginx.

What each library has, as tried here (a dash: the library lacks it):

| library            | WebSocket | BOSH | SASL 2, Bind 2 | resumption |
| ------------------ | --------- | ---- | -------------- | ---------- |
| @xmpp/client 0.14  | yes       | -    | yes            | yes        |
| strophe.js 5.0     | yes       | yes  | -              | not tried  |
| stanza 12.22       | yes       | yes  | -              | not tried  |
"""

import asyncio
import itertools
import json
import shutil
import socket
import ssl
import subprocess
import urllib.request
from pathlib import Path

from cases_files import slot
from cases_node import PACKAGES, node
from runner import Skipped, case
from server import DOMAIN, Linnet, free_ports

TEXT = "Hello & wëlcome 🎉"
NUMBERS = itertools.count()


async def talk(scene, library, url):
    """Lets a library do everything in web.mjs; what it reports."""
    if not shutil.which("node") or not (PACKAGES / "node_modules" / library).is_dir():
        raise Skipped(f"node or {library} is not installed")
    jid = await scene.account(f"web{next(NUMBERS)}-")
    report = await node(scene, jid, "web.mjs", library, url)
    assert report["jid"].startswith(f"{jid}/"), report
    assert report["roster"] == [f"friend@{DOMAIN}"], report
    assert report["chat"] == TEXT, report
    assert report["archive"] == 1, report
    return report


def secure(scene, scheme, path):
    return f"{scheme}://localhost:{scene.server.https_port}{path}"


@case(once=True, needs="web")
async def xmpp_js_over_websocket(scene):
    report = await talk(scene, "@xmpp/client", secure(scene, "wss", "/xmpp-websocket"))
    assert report["sm"] and report["resumed"] == report["jid"], report


@case(once=True, needs="web")
async def strophe_over_websocket(scene):
    await talk(scene, "strophe.js", secure(scene, "wss", "/ws"))


@case(once=True, needs="web")
async def strophe_over_bosh(scene):
    await talk(scene, "strophe.js", secure(scene, "https", "/http-bind"))


@case(once=True, needs="web")
async def stanza_over_websocket(scene):
    await talk(scene, "stanza", secure(scene, "wss", "/xmpp-websocket"))


@case(once=True, needs="web")
async def stanza_over_bosh(scene):
    await talk(scene, "stanza", secure(scene, "https", "/http-bind"))


@case(once=True, needs="web")
async def the_ways_in_are_found(scene):
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE

    def fetch(path):
        with urllib.request.urlopen(secure(scene, "https", path), context=context, timeout=5) as answer:
            return answer.headers, answer.read().decode()

    headers, xrd = await asyncio.to_thread(fetch, "/.well-known/host-meta")
    assert headers["Access-Control-Allow-Origin"] == "*" and "urn:xmpp:alt-connections:xbosh" in xrd, xrd
    _, jrd = await asyncio.to_thread(fetch, "/.well-known/host-meta.json")
    links = {link["rel"].rsplit(":", 1)[1]: link["href"] for link in json.loads(jrd)["links"]}
    await talk(scene, "@xmpp/client", links["websocket"])


NGINX = """
daemon off; error_log {dir}/error.log; pid {dir}/nginx.pid; worker_processes 1;
events {{ }}
http {{
    access_log off; client_body_temp_path {dir}; proxy_temp_path {dir};
    fastcgi_temp_path {dir}; uwsgi_temp_path {dir}; scgi_temp_path {dir};
    map $http_upgrade $connection_upgrade {{ default upgrade; '' ''; }}
    server {{
        listen 127.0.0.1:{port} ssl;
        ssl_certificate {data}/certificate.pem; ssl_certificate_key {data}/certificate.key;
        client_max_body_size 0;
        location / {{
            proxy_pass http://127.0.0.1:{http};
            proxy_http_version 1.1; proxy_buffering off; proxy_request_buffering off;
            proxy_set_header Host $host; proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection $connection_upgrade;
            proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
            proxy_set_header X-Forwarded-Proto $scheme;
        }}
    }}
}}
"""


@case(once=True, needs="web", timeout=60.0)
async def through_nginx(scene):
    """The configuration in README.md: WebSocket, BOSH, and the ports of uploads."""
    program = shutil.which("nginx") or shutil.which("/usr/sbin/nginx")
    if not program:
        raise Skipped("nginx is not installed")
    folder = scene.server.dir / "nginx"
    folder.mkdir(exist_ok=True)
    (port,) = free_ports(1)
    text = NGINX.format(dir=folder, port=port, http=scene.server.http_port, data=scene.server.dir / "data")
    (folder / "nginx.conf").write_text(text)
    process = subprocess.Popen([program, "-e", folder / "error.log", "-c", folder / "nginx.conf"], stderr=subprocess.DEVNULL)
    try:
        for _ in range(100):
            if scene.server._accepts(port):
                break
            await asyncio.sleep(0.05)
        base = f"localhost:{port}"
        await talk(scene, "@xmpp/client", f"wss://{base}/xmpp-websocket")
        await talk(scene, "strophe.js", f"wss://{base}/ws")
        await talk(scene, "strophe.js", f"https://{base}/http-bind")
        await upload(scene, base)
    finally:
        process.terminate()
        process.wait(5)


async def upload(scene, base):
    """A slot's file goes up and comes down through the proxy."""
    person = await scene.person("uploader")
    put_url, slot_headers, get_url = await slot(person, "a.txt", 5, "text/plain")
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    through = [f"https://{base}/{url.split('/', 3)[3]}" for url in (put_url, get_url)]

    def send_and_fetch():
        headers = {"Content-Type": "text/plain", **dict(slot_headers)}
        put = urllib.request.Request(through[0], b"hello", headers, method="PUT")
        assert urllib.request.urlopen(put, context=context, timeout=5).status == 201
        return urllib.request.urlopen(through[1], context=context, timeout=5).read()

    assert await asyncio.to_thread(send_and_fetch) == b"hello"


HEADER = (
    f"<?xml version='1.0'?><stream:stream to='{DOMAIN}' version='1.0' xmlns='jabber:client' "
    "xmlns:stream='http://etherx.jabber.org/streams'>"
).encode()
GET = f"GET /.well-known/host-meta HTTP/1.1\r\nHost: {DOMAIN}\r\nConnection: close\r\n\r\n".encode()
PROXY = b"PROXY TCP4 192.0.2.7 198.51.100.1 1 2\r\n"


def ask(port, data, wanted, protocols=None, in_tls=True):
    """Sends first bytes, inside TLS with these protocols in ALPN or without TLS; reads until `wanted` comes or nothing more."""
    got = b""
    with socket.create_connection(("127.0.0.1", port), timeout=5) as tcp:
        connection = tcp
        if in_tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            if protocols:
                context.set_alpn_protocols(protocols)
            connection = context.wrap_socket(tcp, server_hostname=DOMAIN)
            assert connection.selected_alpn_protocol() == (protocols and protocols[0]), protocols
        try:
            connection.sendall(data)
            while wanted not in got and (more := connection.recv(4096)):
                got += more
        except OSError:
            pass
    assert wanted in got, (protocols, wanted, got)


@case(once=True, needs="web", timeout=60.0)
async def everything_on_one_port(scene):
    """What is spoken is told by ALPN, or by the first bytes; a proxy says for whom it connects."""
    (port,) = free_ports(1)
    server = Linnet(scene.server.binary)
    more = f'[listen]\nall = ["127.0.0.1:{port}"]\nproxy_protocol = ["http"]\n'
    server.config.write_text(server.config.read_text().replace("[listen]\n", more, 1))

    def all_ways():
        server.start()
        ask(port, HEADER, b"<stream:features>", ["xmpp-client"])
        ask(port, HEADER, b"<stream:features>")
        ask(port, HEADER.replace(b"client", b"server"), b"xmlns='jabber:server'", ["xmpp-server"])
        ask(port, HEADER.replace(b"client", b"server"), b"xmlns='jabber:server'")
        ask(port, GET, b"200 OK", ["http/1.1"])
        ask(port, GET, b"200 OK")
        ask(port, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0", b"\0\0\0\4\1", ["h2"])
        ask(port, HEADER, b"<starttls", in_tls=False)
        ask(server.http_port, PROXY + GET, b"200 OK", in_tls=False)
        try:
            ask(server.http_port, GET, b"200 OK", in_tls=False)
        except AssertionError:
            return
        raise AssertionError("a connection without a header of the PROXY protocol")

    try:
        await asyncio.to_thread(all_ways)
    finally:
        server.remove()
