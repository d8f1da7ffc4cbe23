//! The limits of circles, with their reasons. What a circle costs grows with the square of its members: each has each
//! other in his roster.

use std::time::Duration;

/// Circles of one domain; all are in memory. A town's clubs.
pub(super) const CIRCLES: usize = 500;
/// Members of one circle: a quarter of a million roster items, and a quarter of each member's roster.
pub(super) const MEMBERS: usize = 500;
/// Circles that one account is in: each is a group in rosters.
pub(super) const CIRCLES_OF_ONE: usize = 32;
/// Group chats of one circle: clients join all of them when they start.
pub(super) const ROOMS: usize = 20;
/// Bytes of a circle's or a member's name, which stand in every member's roster.
pub(super) const NAME: usize = 200;
/// Contacts that are changed in one turn: with their pushes a fraction of a batch, so that it delays nobody.
pub(super) const CONTACTS_OF_A_TURN: usize = 100;
/// Turns for one account in one pass, so that a store that fails is not tried without end. Enough for a full roster.
pub(super) const TURNS: usize = 2 * crate::roster::CONTACTS / CONTACTS_OF_A_TURN;
/// After this what was not done (a crash, a store that failed, a full roster) is tried again.
pub(super) const AGAIN: Duration = Duration::from_secs(600);
