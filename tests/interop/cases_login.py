"""Logging in: every mechanism, both ways to TLS, and the refusals."""

import asyncio
import ssl

from openssl_client import OpenSslClient
from runner import case
from server import DOMAIN
from xmpp import Client, LoginFailed


async def logs_in_with(scene, mechanism, **options):
    person = await scene.person("login", mechanism=mechanism, **options)
    used = person.plugin["feature_mechanisms"].mech.name
    assert used == mechanism, f"slixmpp used {used}"
    assert person.boundjid.resource, "no resource was bound"


@case()
async def scram_sha_1(scene):
    await logs_in_with(scene, "SCRAM-SHA-1")


@case()
async def scram_sha_256(scene):
    await logs_in_with(scene, "SCRAM-SHA-256")


@case(needs="sha512")
async def scram_sha_512(scene):
    await logs_in_with(scene, "SCRAM-SHA-512")


@case()
async def plain(scene):
    await logs_in_with(scene, "PLAIN")


@case()
async def own_choice(scene):
    """slixmpp knows no channel binding for TLS 1.3, so it must get in without although -PLUS is offered."""
    person = await scene.person("login")
    assert person.plugin["feature_mechanisms"].mech.name.startswith("SCRAM-SHA-")


@case(needs="end-point")
async def scram_plus_with_end_point(scene):
    """tls-server-end-point (RFC 5929 §4) on TLS 1.3 and 1.2, with the tests' own client."""
    jid = await scene.account("plus")
    for version in (ssl.TLSVersion.TLSv1_3, ssl.TLSVersion.TLSv1_2):
        for digest in ("SHA-1", "SHA-256", "SHA-512"):
            client = await Client.open(scene.server, scene.direct, DOMAIN, version)
            mechanism = f"SCRAM-{digest}-PLUS"
            assert mechanism in client.mechanisms(), f"{mechanism} is not among {client.mechanisms()}"
            await client.login(jid.split("@")[0], scene.password(jid), mechanism)
            assert client.jid.startswith(jid + "/")
            await client.end()


@case(needs="end-point")
async def scram_plus_with_exporter(scene):
    """tls-exporter (RFC 9266) with OpenSSL at the other end."""
    jid = await scene.account("plus")
    client = await OpenSslClient.open(scene.server, scene.direct, DOMAIN)
    await client.login(jid.split("@")[0], scene.password(jid), "SCRAM-SHA-256-PLUS")
    assert client.jid.startswith(jid + "/")
    await client.end()


@case()
async def openssl_without_binding(scene):
    jid = await scene.account("openssl")
    client = await OpenSslClient.open(scene.server, scene.direct, DOMAIN)
    await client.login(jid.split("@")[0], scene.password(jid), "SCRAM-SHA-1")
    await client.end()


@case(needs="end-point")
async def binding_types_are_advertised(scene):
    """XEP-0440: types are listed whenever -PLUS is, tls-server-end-point always among them."""
    client = await Client.open(scene.server, scene.direct, DOMAIN)
    space = "urn:xmpp:sasl-cb:0"
    types = [e.get("type") for e in client.features.iter(f"{{{space}}}channel-binding")]
    assert "tls-server-end-point" in types and "tls-exporter" in types, f"offered: {types}"
    client.close()


@case(needs="end-point")
async def wrong_binding_is_refused(scene):
    """Proof over another certificate's hash: a man in the middle."""
    jid = await scene.account("mitm")
    client = await Client.open(scene.server, scene.direct, DOMAIN)
    client.binding = lambda: ("tls-server-end-point", b"\0" * 32)
    try:
        await client.login(jid.split("@")[0], scene.password(jid), "SCRAM-SHA-256-PLUS")
    except LoginFailed as refused:
        assert str(refused) == "not-authorized", refused
    else:
        raise AssertionError("the server took a wrong channel binding")
    finally:
        client.close()


@case()
async def tls_1_2(scene):
    person = await scene.person("old", mechanism="SCRAM-SHA-1", highest=ssl.TLSVersion.TLSv1_2)
    assert person.socket.version() == "TLSv1.2"


@case()
async def certificate_names_the_domain(scene):
    """With the self-signed certificate trusted, OpenSSL finds nothing wrong with it for this domain."""
    relaxed = await Client.open(scene.server, scene.direct, DOMAIN)
    der = relaxed.transport.get_extra_info("ssl_object").getpeercert(True)
    relaxed.close()
    strict = ssl.create_default_context(cadata=ssl.DER_cert_to_PEM_cert(der))
    assert strict.check_hostname and strict.verify_mode == ssl.CERT_REQUIRED
    client = await Client.open(scene.server, scene.direct, DOMAIN, context=strict)
    client.close()


async def refused(scene, jid, mechanism, password):
    try:
        await scene.session(jid, mechanism=mechanism, password=password).login()
    except PermissionError as why:
        return str(why)
    raise AssertionError("the server let somebody in")


@case()
async def wrong_password(scene):
    jid = await scene.account("wrong")
    for mechanism in ("SCRAM-SHA-1", "SCRAM-SHA-256", "PLAIN"):
        why = await refused(scene, jid, mechanism, "not it")
        assert why == "not-authorized", why


@case()
async def unknown_account(scene):
    jid = f"nobody{scene.suffix}@{DOMAIN}"
    for mechanism in ("SCRAM-SHA-1", "PLAIN"):
        why = await refused(scene, jid, mechanism, "whatever")
        assert why == "not-authorized", why


@case()
async def resource_is_kept(scene):
    person = await scene.person("res", resource="Balcony")
    assert person.boundjid.resource == "Balcony", person.boundjid


@case()
async def resource_taken_by_a_newer_session(scene):
    """RFC 6120 §7.7.2.2: either the older session ends or the newer gets another resource; never two of one name."""
    first = await scene.person("twice", resource="same")
    second = await scene.again(first, resource="same")
    await asyncio.sleep(0.3)
    assert not first.is_connected() or first.boundjid.full != second.boundjid.full, "two sessions of one address"


@case()
async def utf8_name(scene):
    """A local part and a resource outside ASCII."""
    person = await scene.person("zoë", resource="Büro")
    assert person.boundjid.user.startswith("zoë") and person.boundjid.resource == "Büro"


@case(once=True)
async def no_login_before_tls(scene):
    """On the STARTTLS port nothing but STARTTLS is offered first."""
    client = await Client.open_plain(scene.server, DOMAIN)
    assert not client.mechanisms(), f"offers {client.mechanisms()} in the clear"
    assert client.features.find("{urn:ietf:params:xml:ns:xmpp-tls}starttls") is not None
    client.close()
