#!/usr/bin/env python3
"""nbxmpp, the library of Gajim, against a server: `nbx.py --binary target/debug/linnet [--only TEXT]`.

Needs Debian's python3-nbxmpp and its Python. One case after the other on GLib's main loop; the last line counts.
"""

import argparse
import datetime
import hashlib
import logging
import os
import ssl
import sys
import time
import traceback
import urllib.request

from gi.repository import GLib
from nbxmpp.client import Client
from nbxmpp.const import ConnectionProtocol, ConnectionType
from nbxmpp.errors import is_error
from nbxmpp.modules.user_avatar import Avatar
from nbxmpp.namespaces import Namespace
from nbxmpp.protocol import Iq, JID, Message, Presence
from nbxmpp.structs import BookmarkData, StanzaHandler

from server import CANARY, ServerError, start_server

logging.getLogger("nbxmpp").setLevel(logging.CRITICAL)

PATIENCE = 8.0
CASES = []


def case(function):
    """Marks a case; it gets the server."""
    CASES.append(function)
    return function


def wait_for(condition, what, patience=PATIENCE):
    """Runs the main loop until the condition holds; its value."""
    deadline = time.monotonic() + patience
    context = GLib.MainContext.default()
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {patience} s for {what}")
        if not context.iteration(False):
            time.sleep(0.005)


class Person:
    """One session of an account."""

    count = 0

    def __init__(self, server, name, resource="nbx", direct=False):
        self.server, self.name = server, name
        self.client = client = Client(log_context=f"{name}/{resource}")
        port, kind = (server.tls_port, ConnectionType.DIRECT_TLS) if direct else (
            server.c2s_port,
            ConnectionType.START_TLS,
        )
        client.set_domain("localhost")
        client.set_username(name)
        client.set_resource(resource)
        client.set_password(server.passwords[name])
        client.set_ignore_tls_errors(True)
        client.set_custom_host(f"127.0.0.1:{port}", ConnectionProtocol.TCP, kind)
        self.happened, self.messages = [], []
        for signal in ("connected", "resume-successful", "resume-failed", "disconnected", "connection-failed"):
            client.subscribe(signal, lambda _client, name, *_: self.happened.append(name))
        client.register_handler(StanzaHandler(name="message", callback=self._keep, priority=70))

    def _keep(self, _client, stanza, properties):
        self.messages.append((stanza, properties))

    def login(self):
        """Connects up to a bound session, and becomes available."""
        self.client.connect()
        wait_for(lambda: "connected" in self.happened or "disconnected" in self.happened, "the login")
        assert "connected" in self.happened, self.client.get_error()
        self.client.send_stanza(Presence())
        self.ping()
        return self

    @property
    def bare(self):
        return f"{self.name}@localhost"

    def ping(self):
        """There and back: what was sent before has been handled."""
        iq = Iq(typ="get", to="localhost")
        iq.setTag("ping", namespace=Namespace.PING)
        return self.ask(iq)

    def ask(self, iq):
        """Sends an iq and waits for its answer, result or error."""
        answers = []
        self.client.SendAndCallForResponse(iq, lambda _client, answer: answers.append(answer))
        return wait_for(lambda: answers and answers[0], f"the answer to {iq}")

    def call(self, module, method, *arguments, **named):
        """Calls a method of one of nbxmpp's modules and waits for what it finds; raises what went wrong."""
        done = []

        def finished(task):
            # A task forgets its result when its callback returns.
            try:
                done.append((task.finish(), None))
            except Exception as error:  # raised again below, where somebody waits
                done.append((None, error))

        getattr(self.client.get_module(module), method)(*arguments, callback=finished, **named)
        result, error = wait_for(lambda: done and done[0], f"{module}.{method}")
        if error is not None or is_error(result):
            raise error or result
        return result

    def say(self, to, body):
        """Sends a chat message."""
        self.client.send_stanza(Message(to=to, typ="chat", body=body))
        return body

    def bodies(self):
        """What came live, in order."""
        return [s.getBody() for s, p in self.messages if s.getBody() and not p.is_mam_message and not p.is_carbon_message]

    def got(self, body):
        wait_for(lambda: body in self.bodies(), f"the message {body!r}")

    def leave(self):
        self.client.disconnect()
        wait_for(lambda: "disconnected" in self.happened, "the end")


def account(server, name):
    """A fresh account's name."""
    Person.count += 1
    name = f"{name}{Person.count}"
    server.add_account_now(name, f"{CANARY}{name}")
    server.passwords[name] = f"{CANARY}{name}"
    return name


def person(server, name, **options):
    return Person(server, account(server, name), **options).login()


def body(number=""):
    return f"{CANARY} {number} {os.urandom(4).hex()}"


def archive(reader, page=10, **wanted):
    """The bodies in a person's archive, in pages from the oldest."""
    found, after = [], None
    while True:
        before = len(reader.messages)
        # nbxmpp passes over results of a query that has no id.
        wanted["queryid"] = os.urandom(4).hex()
        data = reader.call("MAM", "make_query", JID.from_string(reader.bare), after=after, max_=page, **wanted)
        page_of = [s.getBody() for s, p in reader.messages[before:] if p.is_mam_message]
        assert len(page_of) <= page, page_of
        found += page_of
        if data.complete:
            return found
        after = data.rsm.last


@case
def login_over_both_kinds_of_tls(server):
    name = account(server, "romeo")
    for direct in (False, True):
        romeo = Person(server, name, direct=direct).login()
        assert str(romeo.client.get_bound_jid()) == f"{name}@localhost/nbx"
        romeo.leave()


@case
def an_archive_in_pages(server):
    romeo, juliet = person(server, "romeo"), person(server, "juliet")
    said = [romeo.say(juliet.bare, body(number)) for number in range(33)]
    juliet.got(said[-1])
    assert juliet.bodies() == said
    assert archive(juliet) == said
    assert archive(romeo) == said
    # By time; the form by contact is one that nbxmpp 4.2 cannot write.
    now = datetime.datetime.now(datetime.timezone.utc)
    hour = datetime.timedelta(hours=1)
    assert archive(juliet, start=now - hour, end=now + hour) == said
    assert archive(juliet, end=now - hour) == []


@case
def carbons_between_two_resources(server):
    romeo = person(server, "romeo")
    name = account(server, "juliet")
    phone, laptop = (Person(server, name, resource=resource).login() for resource in ("phone", "laptop"))
    for device in (phone, laptop):
        iq = Iq(typ="set")
        iq.setTag("enable", namespace=Namespace.CARBONS)
        assert device.ask(iq).getType() == "result"
    received = romeo.say(f"{laptop.bare}/laptop", body())
    laptop.got(received)
    sent = laptop.say(romeo.bare, body())
    romeo.got(sent)

    def copies():
        return [(p.carbon.type, s.getBody()) for s, p in phone.messages if p.is_carbon_message]

    wait_for(lambda: len(copies()) == 2, "two copies")
    assert copies() == [("received", received), ("sent", sent)], copies()
    assert not phone.bodies()


@case
def a_session_outlives_its_socket(server):
    romeo, juliet = person(server, "romeo"), person(server, "juliet")
    first = romeo.say(juliet.bare, body("before"))
    juliet.got(first)
    wait_for(lambda: juliet.client.resumeable, "an answer to <enable/>")
    # The socket goes without a word, as in a tunnel.
    juliet.client.disconnect(immediate=True)
    wait_for(lambda: "disconnected" in juliet.happened, "the cut")
    missed = [romeo.say(juliet.bare, body(number)) for number in range(5)]
    romeo.ping()
    juliet.happened.clear()
    juliet.client.connect()
    wait_for(lambda: "resume-successful" in juliet.happened, "the resumption")
    juliet.got(missed[-1])
    assert juliet.bodies() == [first, *missed], juliet.bodies()
    answer = juliet.say(romeo.bare, body("after"))
    romeo.got(answer)
    assert romeo.bodies().count(answer) == 1


@case
def an_avatar_is_published_and_read_by_a_contact(server):
    romeo, juliet = person(server, "romeo"), person(server, "juliet")
    image = b"\x89PNG" + os.urandom(20000)
    avatar = Avatar()
    avatar.add_image_source(image, "image/png", 64, 64)
    juliet.call("UserAvatar", "set_avatar", avatar, public=True)
    owner = JID.from_string(juliet.bare)
    metadata = romeo.call("UserAvatar", "request_avatar_metadata", jid=owner)
    assert metadata.default == hashlib.sha1(image).hexdigest(), metadata
    assert romeo.call("UserAvatar", "request_avatar_data", metadata.default, jid=owner).data == image
    # XEP-0398: clients that know only vCards see it too.
    card = romeo.call("VCardTemp", "request_vcard", jid=owner)
    assert card.get_avatar()[0] == image
    juliet.call("UserAvatar", "set_avatar", None, public=True)
    assert romeo.call("UserAvatar", "request_avatar_metadata", jid=owner) is None


@case
def bookmarks_of_three_ages_are_the_same(server):
    juliet = person(server, "juliet")
    room = BookmarkData(jid=JID.from_string("orchard@rooms.localhost"), name="Orchard", autojoin=True, nick="J")
    juliet.call("NativeBookmarks", "store_bookmarks", [room])
    juliet.ping()

    def seen(module):
        return [(str(b.jid), b.name, b.autojoin, b.nick) for b in juliet.call(module, "request_bookmarks")]

    wanted = [("orchard@rooms.localhost", "Orchard", True, "J")]
    wait_for(lambda: seen("NativeBookmarks") == wanted, "the bookmark")
    assert seen("PEPBookmarks") == wanted
    assert seen("PrivateBookmarks") == wanted
    second = BookmarkData(jid=JID.from_string("balcony@rooms.localhost"), name="Balcony", autojoin=False)
    juliet.call("PrivateBookmarks", "store_bookmarks", [room, second])
    assert {jid for jid, *_ in seen("NativeBookmarks")} == {"orchard@rooms.localhost", "balcony@rooms.localhost"}
    juliet.call("NativeBookmarks", "retract_bookmark", room.jid)
    assert [jid for jid, *_ in seen("PrivateBookmarks")] == ["balcony@rooms.localhost"]


@case
def a_file_is_uploaded_and_read(server):
    juliet = person(server, "juliet")
    items = juliet.call("Discovery", "disco_items", JID.from_string("localhost")).items
    services = [item.jid for item in items]
    infos = {jid: juliet.call("Discovery", "disco_info", jid) for jid in services}
    upload = next(jid for jid, info in infos.items() if Namespace.HTTPUPLOAD_0 in info.features)
    content = os.urandom(300000)
    slot = juliet.call("HTTPUpload", "request_slot", upload, "photo of me.jpg", len(content), "image/jpeg")
    trust = ssl._create_unverified_context()
    headers = {"Content-Type": "image/jpeg", **slot.headers}
    put = urllib.request.Request(slot.put_uri, data=content, method="PUT", headers=headers)
    with urllib.request.urlopen(put, context=trust, timeout=PATIENCE) as answer:
        assert answer.status == 201, answer.status
    with urllib.request.urlopen(slot.get_uri, context=trust, timeout=PATIENCE) as answer:
        assert answer.headers["Content-Type"] == "image/jpeg"
        assert answer.read() == content


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--binary", default="target/debug/linnet")
    parser.add_argument("--only", default="", help="run the cases whose name holds this")
    options = parser.parse_args()
    try:
        server = start_server("linnet", options.binary)
    except ServerError as error:
        print(f"FAILED  {error}\n0 passed, 1 failed")
        return 1
    passed = failed = 0
    try:
        for function in CASES:
            if options.only not in function.__name__:
                continue
            began = time.monotonic()
            try:
                function(server)
                outcome, passed = "ok", passed + 1
            except Exception:  # whatever a case raises is its result
                outcome, failed = "FAILED", failed + 1
                traceback.print_exc(file=sys.stdout)
            print(f"{outcome:7} nbxmpp.{function.__name__} ({time.monotonic() - began:.1f} s)", flush=True)
        if failed:
            print(server.log_tail(25))
        server.stop()
    finally:
        server.remove()
    print(f"{passed} passed, {failed} failed")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
