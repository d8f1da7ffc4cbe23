// One client of the three logs in over the web, sends itself a message by its roster, asks its archive, and loses and gets
// back its connection where it can. Prints what it saw as one line of JSON.
// Arguments: library, service, domain, user name. The password comes by the environment.

import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";
import { once } from "node:events";

// The packages are in a folder of their own, which is not above this file.
const load = createRequire(`${process.env.NODE_PACKAGES}/package.json`);
const from = (name) => import(pathToFileURL(load.resolve(name)));
const [library, service, domain, username] = process.argv.slice(2);
const password = process.env.XMPP_PASSWORD;
const jid = `${username}@${domain}`;
const friend = `friend@${domain}`;

globalThis.WebSocket = (await from("ws")).default;

const trace = (...what) => process.env.TRACE && console.error(...what.map(String));

async function xmppJs() {
  const { client, xml } = await from("@xmpp/client");
  const entity = client({ service, domain, username, password, resource: "web" });
  entity.on("error", (error) => console.error(String(error)));
  const address = await entity.start();
  const report = { jid: String(address), sm: entity.streamManagement.enabled };
  await entity.iqCaller.set(xml("query", "jabber:iq:roster", xml("item", { jid: friend })));
  const roster = await entity.iqCaller.get(xml("query", "jabber:iq:roster"));
  report.roster = roster.getChildren("item").map((item) => item.attrs.jid);
  const chat = new Promise((resolve) => entity.on("stanza", (s) => s.getChildText("body") && resolve(s.getChildText("body"))));
  await entity.send(xml("presence"));
  await entity.send(xml("message", { type: "chat", to: jid }, xml("body", {}, "Hello & wëlcome 🎉")));
  report.chat = await chat;
  let found = 0;
  entity.on("stanza", (s) => (found += s.getChild("result", "urn:xmpp:mam:2") ? 1 : 0));
  await entity.iqCaller.set(xml("query", "urn:xmpp:mam:2"));
  report.archive = found;
  const resumed = once(entity.streamManagement, "resumed");
  entity.socket.end ? entity.socket.end() : entity.socket.close();
  await resumed;
  report.resumed = String(entity.jid);
  await entity.stop();
  return report;
}

async function strophe() {
  // What Strophe takes from browsers it brings along for Node, but for requests.
  const http = await import(service.startsWith("https") ? "node:https" : "node:http");
  const module = await from("strophe.js");
  const { Strophe, $iq, $msg, $pres } = module.Strophe ? module : module.default;
  Strophe.log = () => {};
  globalThis.XMLHttpRequest = class {
    constructor() { this.readyState = 0; this.status = 0; this.responseText = ""; this.headers = {}; }
    overrideMimeType() {}
    open(method, url) { Object.assign(this, { method, url, readyState: 1 }); }
    setRequestHeader(name, value) { this.headers[name] = value; }
    getResponseHeader() { return "text/xml"; }
    getAllResponseHeaders() { return ""; }
    abort() { this.request?.destroy(); this.readyState = 0; }
    send(body) {
      this.request = http.request(this.url, { method: this.method, headers: this.headers, rejectUnauthorized: false }, (response) => {
        response.setEncoding("utf8");
        response.on("data", (piece) => (this.responseText += piece));
        response.on("end", () => {
          this.status = response.statusCode;
          this.responseXML = new DOMParser().parseFromString(this.responseText, "text/xml");
          this.readyState = 4;
          this.onreadystatechange?.();
        });
      });
      this.request.on("error", () => { this.readyState = 4; this.onreadystatechange?.(); });
      this.request.end(body);
    }
  };
  const connection = new Strophe.Connection(service);
  connection.rawInput = (data) => trace("<", data);
  connection.rawOutput = (data) => trace(">", data);
  await new Promise((resolve, reject) => connection.connect(jid, password, (status, error) => {
    if (status === Strophe.Status.CONNECTED) resolve();
    if ([Strophe.Status.CONNFAIL, Strophe.Status.AUTHFAIL].includes(status)) reject(new Error(`${status} ${error}`));
  }));
  const report = { jid: connection.jid };
  const iq = (stanza) => new Promise((resolve, reject) => connection.sendIQ(stanza, resolve, reject, 8000));
  await iq($iq({ type: "set" }).c("query", { xmlns: "jabber:iq:roster" }).c("item", { jid: friend }));
  const roster = await iq($iq({ type: "get" }).c("query", { xmlns: "jabber:iq:roster" }));
  report.roster = Array.from(roster.getElementsByTagName("item")).map((item) => item.getAttribute("jid"));
  const chat = new Promise((resolve) => connection.addHandler((message) => {
    resolve(message.getElementsByTagName("body")[0]?.textContent);
    return false;
  }, null, "message", "chat"));
  connection.send($pres());
  connection.send($msg({ type: "chat", to: jid }).c("body").t("Hello & wëlcome 🎉"));
  report.chat = await chat;
  let found = 0;
  connection.addHandler((message) => { found += message.getElementsByTagName("result").length; return true; }, null, "message");
  await iq($iq({ type: "set" }).c("query", { xmlns: "urn:xmpp:mam:2" }));
  report.archive = found;
  const ended = new Promise((resolve) => (connection.connect_callback = (status) => status === Strophe.Status.DISCONNECTED && resolve()));
  connection.disconnect();
  await ended;
  return report;
}

async function stanza() {
  const { createClient } = await from("stanza");
  const transports = service.startsWith("http") ? { bosh: service, websocket: false } : { websocket: service, bosh: false };
  const client = createClient({ jid, password, resource: "web", transports });
  for (const direction of ["incoming", "outgoing"]) client.on(`raw:${direction}`, (data) => trace(direction, data));
  const started = once(client, "session:started");
  client.connect();
  await started;
  const report = { jid: client.jid };
  await client.updateRosterItem({ jid: friend });
  report.roster = (await client.getRoster()).items.map((item) => item.jid);
  const chat = once(client, "chat");
  client.sendPresence();
  client.sendMessage({ to: jid, type: "chat", body: "Hello & wëlcome 🎉" });
  report.chat = (await chat)[0].body;
  report.archive = (await client.searchHistory({})).results.length;
  const ended = once(client, "--transport-disconnected");
  client.disconnect();
  await ended;
  return report;
}

const report = await { "@xmpp/client": xmppJs, "strophe.js": strophe, stanza }[library]();
console.log(JSON.stringify(report));
process.exit(0);
