//! Every limit of rooms, with its reason.

/// Rooms of a service: each is a row or two, but somebody has to list them.
pub(super) const ROOMS: u64 = 1_000_000;
/// Occupants of a room, whatever its configuration says.
pub(super) const OCCUPANTS: usize = 20_000;
/// Admins and owners who may enter a room that is full (XEP-0045 §7.2.9).
pub(super) const BEYOND_FULL: usize = 20;
/// Clients with which one person is in a room under one nickname.
pub(super) const SEATS: usize = 20;
/// Affiliations of a room: all are in memory while somebody is in it.
pub(super) const MEMBERS: usize = 20_000;
/// Bytes of a nickname. Longer ones serve to say something without voice (XEP-0045 §14.6).
pub(super) const NICK_BYTES: usize = 256;
/// Bytes of a subject, all languages together.
pub(super) const SUBJECT_BYTES: usize = 4 * 1024;
/// Bytes of a reason for a kick, a ban or an invitation.
pub(super) const REASON_BYTES: usize = 1024;
/// Bytes of a text in the configuration.
pub(super) const TEXT_BYTES: usize = 2 * 1024;
/// Bytes of a presence's content that others get to see: each of them gets it.
pub(super) const PRESENCE_BYTES: usize = 4 * 1024;
/// Items of one change of roles or affiliations.
pub(super) const ITEMS: usize = 500;
/// Invitations of a room that can still be declined.
pub(super) const INVITED: usize = 200;
/// Invitations in one message.
pub(super) const INVITES: usize = 20;
/// People whose voice a room remembers while they are out.
pub(super) const REMEMBERED: usize = 500;
/// Messages of the past that somebody gets who enters, if he asks for no other number.
pub(super) const HISTORY: u32 = 20;
/// The same at most, whatever configuration and client say: more is read from the archive.
pub(super) const MAX_HISTORY: u32 = 200;
/// Bytes of them together.
pub(super) const HISTORY_BYTES: usize = 256 * 1024;
/// Recipients that wait for what a room sends on; above it nobody speaks. Several messages to the largest room.
pub(super) const WAITING: usize = 100_000;
/// Members of a private group up to which each message tells those who are not in it: a family, a class, a company.
pub(super) const WOKEN: usize = 1000;
/// Rooms on one page of the list of a service.
pub(super) const PAGE: usize = 100;
