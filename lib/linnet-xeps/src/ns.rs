//! Namespaces of extensions; those of RFC 6120 and RFC 6121 are in `linnet_xmpp::ns`.

/// Data forms (XEP-0004).
pub const DATA_FORMS: &str = "jabber:x:data";
/// Last activity (XEP-0012).
pub const LAST: &str = "jabber:iq:last";
/// Flexible offline message retrieval (XEP-0013).
pub const OFFLINE: &str = "http://jabber.org/protocol/offline";
/// Service discovery, information (XEP-0030).
pub const DISCO_INFO: &str = "http://jabber.org/protocol/disco#info";
/// Service discovery, items (XEP-0030).
pub const DISCO_ITEMS: &str = "http://jabber.org/protocol/disco#items";
/// Private XML storage (XEP-0049).
pub const PRIVATE: &str = "jabber:iq:private";
/// Ad-hoc commands (XEP-0050).
pub const COMMANDS: &str = "http://jabber.org/protocol/commands";
/// vcard-temp (XEP-0054).
pub const VCARD: &str = "vcard-temp";
/// In-band registration (XEP-0077).
pub const REGISTER: &str = "jabber:iq:register";
/// In-band registration as a stream feature (XEP-0077 §8).
pub const REGISTER_FEATURE: &str = "http://jabber.org/features/iq-register";
/// Software version (XEP-0092).
pub const VERSION: &str = "jabber:iq:version";
/// Entity capabilities (XEP-0115).
pub const CAPS: &str = "http://jabber.org/protocol/caps";
/// Nodes of the commands of service administration start with this and `#` (XEP-0133).
pub const ADMIN: &str = "http://jabber.org/protocol/admin";
/// FORM_TYPE of contact addresses (XEP-0157).
pub const SERVER_INFO: &str = "http://jabber.org/network/serverinfo";
/// Offline messages as a disco feature (XEP-0160 §3).
pub const MSGOFFLINE: &str = "msgoffline";
/// Blocking (XEP-0191).
pub const BLOCKING: &str = "urn:xmpp:blocking";
/// The application condition of blocking (XEP-0191 §3.5).
pub const BLOCKING_ERRORS: &str = "urn:xmpp:blocking:errors";
/// Ping (XEP-0199).
pub const PING: &str = "urn:xmpp:ping";
/// Entity time (XEP-0202).
pub const TIME: &str = "urn:xmpp:time";
/// Delayed delivery (XEP-0203).
pub const DELAY: &str = "urn:xmpp:delay";
/// FORM_TYPE of software information in disco (XEP-0232).
pub const SOFTWARE_INFO: &str = "urn:xmpp:dataforms:softwareinfo";
/// Cryptographic hashes (XEP-0300).
pub const HASHES: &str = "urn:xmpp:hashes:2";
/// Message processing hints (XEP-0334).
pub const HINTS: &str = "urn:xmpp:hints";
/// Unique and stable stanza ids (XEP-0359).
pub const STANZA_ID: &str = "urn:xmpp:sid:0";
/// HTTP file upload (XEP-0363).
pub const UPLOAD: &str = "urn:xmpp:http:upload:0";
/// Purposes of uploads (XEP-0363 §5).
pub const UPLOAD_PURPOSE: &str = "urn:xmpp:http:upload:purpose:0";
/// Entity capabilities 2.0 (XEP-0390).
pub const CAPS2: &str = "urn:xmpp:caps";
/// Message carbons (XEP-0280).
pub const CARBONS: &str = "urn:xmpp:carbons:2";
/// Chat states (XEP-0085).
pub const CHAT_STATES: &str = "http://jabber.org/protocol/chatstates";
/// Message delivery receipts (XEP-0184).
pub const RECEIPTS: &str = "urn:xmpp:receipts";
/// The rules by which a server chooses messages for carbons (XEP-0280 §6.2).
pub const CARBONS_RULES: &str = "urn:xmpp:carbons:rules:0";
/// Stanza forwarding (XEP-0297).
pub const FORWARD: &str = "urn:xmpp:forward:0";
/// Result set management (XEP-0059).
pub const RSM: &str = "http://jabber.org/protocol/rsm";
/// Message archive management (XEP-0313) and its preferences (XEP-0441).
pub const MAM: &str = "urn:xmpp:mam:2";
/// Queries by id, flipped pages and metadata (XEP-0313 §7).
pub const MAM_EXTENDED: &str = "urn:xmpp:mam:2#extended";
/// The field `include-groupchat` is understood (XEP-0313 §7).
pub const MAM_GROUPCHAT_FIELD: &str = "urn:xmpp:mam:2#groupchat-field";
/// Full text search in archives (XEP-0431).
pub const FULLTEXT: &str = "urn:xmpp:fulltext:0";
/// Validation of form fields (XEP-0122).
pub const DATA_VALIDATE: &str = "http://jabber.org/protocol/xdata-validate";
/// Rooms: what a client says when it enters one (XEP-0045).
pub const MUC: &str = "http://jabber.org/protocol/muc";
/// Lists of roles and affiliations (XEP-0045 §8, §9).
pub const MUC_ADMIN: &str = "http://jabber.org/protocol/muc#admin";
/// What owners of rooms ask (XEP-0045 §10).
pub const MUC_OWNER: &str = "http://jabber.org/protocol/muc#owner";
/// FORM_TYPE of a room's configuration (XEP-0045 §16.5.3).
pub const MUC_ROOMCONFIG: &str = "http://jabber.org/protocol/muc#roomconfig";
/// FORM_TYPE of what service discovery tells of a room (XEP-0045 §16.5.4).
pub const MUC_ROOMINFO: &str = "http://jabber.org/protocol/muc#roominfo";
/// FORM_TYPE of requests for voice (XEP-0045 §16.5.2).
pub const MUC_REQUEST: &str = "http://jabber.org/protocol/muc#request";
/// FORM_TYPE of registrations (XEP-0045 §16.5.1).
pub const MUC_REGISTER: &str = "http://jabber.org/protocol/muc#register";
/// Rooms keep the ids of messages (XEP-0045 §7.4).
pub const MUC_STABLE_ID: &str = "http://jabber.org/protocol/muc#stable_id";
/// Names of rooms that nobody has (XEP-0307).
pub const MUC_UNIQUE: &str = "http://jabber.org/protocol/muc#unique";
/// A room answers pings of occupants to themselves (XEP-0410 §3.3).
pub const MUC_SELF_PING: &str = "http://jabber.org/protocol/muc#self-ping-optimization";
/// Messages that are taken back (XEP-0424).
pub const RETRACT: &str = "urn:xmpp:message-retract:1";
/// Archives keep tombstones of them (XEP-0424 §4).
pub const RETRACT_TOMBSTONE: &str = "urn:xmpp:message-retract:1#tombstone";
/// The same of before 2022.
pub const RETRACT_0: &str = "urn:xmpp:message-retract:0";
/// Messages that moderators take back (XEP-0425).
pub const MODERATE: &str = "urn:xmpp:message-moderate:1";
/// The same in version 0.2, which clients in the field know.
pub const MODERATE_0: &str = "urn:xmpp:message-moderate:0";
/// What one message says of another (XEP-0422), for version 0.2 of XEP-0425.
pub const FASTEN: &str = "urn:xmpp:fasten:0";
/// Ids of occupants (XEP-0421).
pub const OCCUPANT_ID: &str = "urn:xmpp:occupant-id:0";
/// What a room says of users (XEP-0045).
pub const MUC_USER: &str = "http://jabber.org/protocol/muc#user";
/// Direct invitations to rooms (XEP-0249).
pub const CONFERENCE: &str = "jabber:x:conference";
/// Chat markers (XEP-0333).
pub const CHAT_MARKERS: &str = "urn:xmpp:chat-markers:0";
/// Bookmarks, an item for each room (XEP-0402).
pub const BOOKMARKS: &str = "urn:xmpp:bookmarks:1";
/// Bookmarks are also what XEP-0049 holds (XEP-0402 §5.3).
pub const BOOKMARKS_COMPAT: &str = "urn:xmpp:bookmarks:1#compat";
/// Bookmarks are also what the node of XEP-0048 holds (XEP-0402 §5.3).
pub const BOOKMARKS_COMPAT_PEP: &str = "urn:xmpp:bookmarks:1#compat-pep";
/// Bookmarks in one list (XEP-0048).
pub const BOOKMARKS_STORAGE: &str = "storage:bookmarks";
/// The image of an avatar (XEP-0084).
pub const AVATAR_DATA: &str = "urn:xmpp:avatar:data";
/// Which images an avatar has (XEP-0084).
pub const AVATAR_METADATA: &str = "urn:xmpp:avatar:metadata";
/// The hash of a vCard's photo in presence (XEP-0153).
pub const VCARD_UPDATE: &str = "vcard-temp:x:update";
/// Avatars of nodes and vCards are the same (XEP-0398).
pub const PEP_VCARD_CONVERSION: &str = "urn:xmpp:pep-vcard-conversion:0";
/// vCard4 (XEP-0292).
pub const VCARD4: &str = "urn:ietf:params:xml:ns:vcard-4.0";
/// The node of an account's vCard4 (XEP-0292 §4.1).
pub const VCARD4_NODE: &str = "urn:xmpp:vcard4";
/// Nicknames (XEP-0172).
pub const NICK: &str = "http://jabber.org/protocol/nick";
/// How far chats were read (XEP-0490).
pub const DISPLAYED: &str = "urn:xmpp:mds:displayed:0";
/// The server publishes how far a chat was read (XEP-0490 §4.5.2).
pub const DISPLAYED_ASSIST: &str = "urn:xmpp:mds:server-assist:0";
/// Which chats notify (XEP-0492).
pub const NOTIFICATION_SETTINGS: &str = "urn:xmpp:notification-settings:1";
/// OMEMO's device list (XEP-0384 §5.3.1).
pub const OMEMO_DEVICES: &str = "urn:xmpp:omemo:2:devices";
/// OMEMO's bundles, an item for each device (XEP-0384 §5.3.2).
pub const OMEMO_BUNDLES: &str = "urn:xmpp:omemo:2:bundles";
/// The device list of OMEMO as of 2016.
pub const OMEMO_OLD_DEVICES: &str = "eu.siacs.conversations.axolotl.devicelist";
/// What begins the name of a bundle's node in OMEMO as of 2016; the number of the device follows.
pub const OMEMO_OLD_BUNDLES: &str = "eu.siacs.conversations.axolotl.bundles:";
/// The list of public OpenPGP keys (XEP-0373 §4.2).
pub const OX_PUBLIC_KEYS: &str = "urn:xmpp:openpgp:0:public-keys";
/// What begins the name of a public key's node (XEP-0373 §4.1); the fingerprint follows.
pub const OX_PUBLIC_KEY: &str = "urn:xmpp:openpgp:0:public-keys:";
/// The secret OpenPGP key (XEP-0373 §5).
pub const OX_SECRET_KEY: &str = "urn:xmpp:openpgp:0:secret-key";
/// Authentication by tokens (XEP-0484).
pub const FAST: &str = linnet_xmpp::ns::FAST;
/// Clients that have access to an account (XEP-0494).
pub const CLIENT_ACCESS: &str = "urn:xmpp:cam:0";
/// Push notifications (XEP-0357).
pub const PUSH: &str = "urn:xmpp:push:0";
/// FORM_TYPE of what a push notification says (XEP-0357 §7).
pub const PUSH_SUMMARY: &str = "urn:xmpp:push:summary";
/// Publish-subscribe (XEP-0060).
pub const PUBSUB: &str = "http://jabber.org/protocol/pubsub";
/// FORM_TYPE of what a publisher demands of a node (XEP-0060 §7.1.5).
pub const PUBLISH_OPTIONS: &str = "http://jabber.org/protocol/pubsub#publish-options";
/// Jingle message initiation: calls that ring (XEP-0353).
pub const JINGLE_MESSAGE: &str = "urn:xmpp:jingle-message:0";
/// Reports with a block (XEP-0377).
pub const REPORTING: &str = "urn:xmpp:reporting:1";
/// What owners of nodes ask (XEP-0060 §8).
pub const PUBSUB_OWNER: &str = "http://jabber.org/protocol/pubsub#owner";
/// Notifications (XEP-0060 §7.1.2.1).
pub const PUBSUB_EVENT: &str = "http://jabber.org/protocol/pubsub#event";
/// Conditions of errors (XEP-0060 §11).
pub const PUBSUB_ERRORS: &str = "http://jabber.org/protocol/pubsub#errors";
/// FORM_TYPE of a node's configuration (XEP-0060 §16.4.4).
pub const PUBSUB_NODE_CONFIG: &str = "http://jabber.org/protocol/pubsub#node_config";
/// FORM_TYPE of a node's meta-data (XEP-0060 §16.4.5).
pub const PUBSUB_META_DATA: &str = "http://jabber.org/protocol/pubsub#meta-data";
/// FORM_TYPE of the options of a subscription (XEP-0060 §16.4.2).
pub const PUBSUB_SUBSCRIBE_OPTIONS: &str = "http://jabber.org/protocol/pubsub#subscribe_options";
/// FORM_TYPE of the approval of a subscription (XEP-0060 §8.6).
pub const PUBSUB_SUBSCRIBE_AUTHORIZATION: &str = "http://jabber.org/protocol/pubsub#subscribe_authorization";
/// External service discovery (XEP-0215).
pub const EXTERNAL_SERVICES: &str = "urn:xmpp:extdisco:2";
