//! Circles: groups of accounts that administrators manage, as families, teams and clubs use them. Members see each other
//! in their rosters, are subscribed to each other without asking, and share group chats that are bookmarked for them.
//!
//! `registry` holds what administrators have said, `gift` says what that makes of a contact, `bookmarked` does the same for
//! bookmarks, `work` brings members in step with it, account by account; `commands` and `chats` are what administrators can
//! do.
//!
//! Not done: circles with members at other servers or other domains, and circles in circles.

mod bookmarked;
mod chats;
mod commands;
mod gift;
mod leave;
mod limits;
mod record;
mod registry;
mod work;

pub(crate) use gift::Gift;
#[cfg(test)]
pub(crate) use gift::settle;
pub(crate) use leave::Leaving;

use kernel::{Feature, Hook, jobs::Job};

/// Circles.
pub static FEATURE: Feature = Feature {
    name: "circles",
    xeps: &[],
    server_features: &[],
    account_features: &[],
    stream_features: &[],
    hooks: &[
        Hook::Command(&commands::CREATE),
        Hook::Command(&commands::RENAME),
        Hook::Command(&commands::REMOVE),
        Hook::Command(&commands::ADD),
        Hook::Command(&commands::TAKE),
        Hook::Command(&commands::LIST),
        Hook::Command(&commands::SHOW),
        Hook::Command(&chats::ROOM),
        Hook::Command(&chats::UNROOM),
        Hook::Job(Job { name: "circles", every: limits::AGAIN, step: work::job }),
    ],
};
