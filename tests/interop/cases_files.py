"""Files (XEP-0363): slixmpp finds the service and asks for slots; contents go over HTTP inside TLS."""

import asyncio
import http.client
import shutil
import urllib.parse

from runner import Skipped, case
from slixmpp.exceptions import IqError


async def slot(person, name="photo.png", size=5, content_type="image/png"):
    """The answer to a request for a slot: (put URL, headers, get URL)."""
    found = await person["xep_0363"].find_upload_service()
    assert str(found["from"]) == f"upload.{person.boundjid.domain}", str(found)
    answer = await person["xep_0363"].request_slot(found["from"], name, size, content_type)
    given = answer["http_upload_slot"]
    headers = {header["name"]: header["value"] for header in given["put"]["headers"]}
    return given["put"]["url"], headers, given["get"]["url"]


async def over_https(server, method, url, content=None, headers=None):
    """One request to the port of `url` on this machine: (status, headers, content)."""

    def ask():
        parts = urllib.parse.urlsplit(url)
        assert parts.scheme == "https" and parts.port == server.https_port, url
        connection = http.client.HTTPSConnection("127.0.0.1", parts.port, timeout=8, context=server.tls_context())
        try:
            connection.request(method, parts.path, body=content, headers=headers or {})
            answer = connection.getresponse()
            return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
        finally:
            connection.close()

    return await asyncio.to_thread(ask)


@case(needs="0363")
async def a_file_is_uploaded_and_fetched(scene):
    romeo = await scene.person("romeo")
    content = bytes(range(256)) * 4000
    put, headers, get = await slot(romeo, "très cool.png", len(content))
    headers["Content-Type"] = "image/png"
    status, _, _ = await over_https(scene.server, "PUT", put, content, headers)
    assert status == 201, status
    status, said, fetched = await over_https(scene.server, "GET", get)
    assert (status, said["content-type"], fetched == content) == (200, "image/png", True), (status, said)
    status, said, part = await over_https(scene.server, "GET", get, headers={"Range": "bytes=256-511"})
    assert (status, part) == (206, bytes(range(256))), (status, said)
    status, _, _ = await over_https(scene.server, "PUT", put, content, headers)
    assert status == 409, status


@case(needs="0363")
async def a_file_that_is_too_large_gets_no_slot(scene):
    romeo = await scene.person("romeo")
    try:
        await slot(romeo, size=1 << 40)
    except IqError as error:
        assert error.condition == "not-acceptable", error.condition
    else:
        raise AssertionError("a slot for 1 TiB")


@case(once=True, needs="0363")
async def files_go_over_http_2(scene):
    if not shutil.which("curl"):
        raise Skipped("curl is missing")
    romeo = await scene.person("romeo")
    put, headers, get = await slot(romeo, "a.txt", 5, "text/plain")
    headers["Content-Type"] = "text/plain"
    arguments = ["curl", "-sk", "--http2", "-w", " %{http_version}"]
    told = [f"-H{name}: {value}" for name, value in headers.items()]
    for more, wanted in ((["-X", "PUT", "--data-binary", "@-", *told, put], " 2"), ([get], "hello 2")):
        process = await asyncio.create_subprocess_exec(
            *arguments, *more, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
        )
        output, _ = await process.communicate(b"hello")
        assert output.decode().endswith(wanted), output
