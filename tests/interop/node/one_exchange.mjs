// @xmpp/client logs in by SASL 2, loses its socket, comes back by its token, and prints what it saw as one line of JSON.
// Arguments: service, domain, user name. The password comes by the environment, so that no list of processes shows it.

import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";
import { once } from "node:events";

// The packages are in a folder of their own, which is not above this file.
const load = createRequire(`${process.env.NODE_PACKAGES}/package.json`);
const { client, xml } = await import(pathToFileURL(load.resolve("@xmpp/client")));
const [service, domain, username] = process.argv.slice(2);
const password = process.env.XMPP_PASSWORD;
const device = crypto.randomUUID();

function connect(token, options = {}) {
  const entity = client({
    service,
    domain,
    resource: "tag",
    credentials: async (authenticate, mechanisms, fast) =>
      authenticate({ username, password, token }, mechanisms[0], xml("user-agent", { id: device }, [
        xml("software", {}, "xmpp.js"),
      ])),
    ...options,
  });
  // Its own patience is 2 s, which a busy machine may need for a debug build's hashing.
  entity.timeout = 20_000;
  const seen = { mechanisms: [], inline: [], failures: [], token: null };
  entity.on("send", (element) => {
    if (element.name !== "authenticate") return;
    seen.mechanisms.push(element.attrs.mechanism);
    seen.inline.push(element.getChildElements().map((child) => child.name).sort());
  });
  entity.on("nonza", (element) => {
    if (element.name === "failure") seen.failures.push(element.getChildElements()[0]?.name);
  });
  entity.on("error", (error) => console.error(String(error)));
  entity.fast.saveToken = async (given) => {
    seen.token = token = given;
  };
  entity.fast.deleteToken = async () => {
    token = undefined;
  };
  return { entity, seen };
}

const report = {};

// First with the password, which gives a token and a session that can be resumed.
const first = connect();
await first.entity.start();
report.first = { jid: String(first.entity.jid), sm: first.entity.streamManagement.enabled, ...first.seen };

// The socket breaks: the session goes on, by the token.
const resumed = once(first.entity.streamManagement, "resumed");
first.entity.socket.destroy ? first.entity.socket.destroy() : first.entity.socket.end();
await resumed;
report.resumed = { jid: String(first.entity.jid), mechanism: first.seen.mechanisms.at(-1), inline: first.seen.inline.at(-1) };
const answer = await first.entity.iqCaller.get(xml("ping", { xmlns: "urn:xmpp:ping" }), domain);
report.resumed.ping = answer === undefined || answer === null;
const token = first.seen.token;
first.entity.reconnect.stop();
await first.entity.stop();

// Later again: another session of the same device.
const second = connect(token);
await second.entity.start();
report.second = { jid: String(second.entity.jid), mechanisms: second.seen.mechanisms };
await second.entity.stop();

// A token that is none: the password has to help.
const third = connect({ ...token, token: "a-wrong-one" });
await third.entity.start();
report.third = { jid: String(third.entity.jid), mechanisms: third.seen.mechanisms };
await third.entity.stop();

delete report.first.token;
report.first.token = Boolean(token);
console.log(JSON.stringify(report));
process.exit(0);
