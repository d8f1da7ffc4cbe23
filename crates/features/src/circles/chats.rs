//! The group chats of a circle, as administrators say them.

use super::{
    commands::{CIRCLE, DOMAIN, domain, finish, found, name},
    limits, registry,
};
use kernel::command::{Argument, ArgumentKind, Call, Command, CommandError, Report};
use linnet_xmpp::Jid;

const ADDRESS: Argument =
    Argument { name: "room", label: "Address of the group chat", kind: ArgumentKind::Text, required: true };

/// Gives a circle a group chat.
pub(super) static ROOM: Command = Command {
    node: "https://linnet.im/commands#circle-room",
    name: "circle room",
    help: "Give a circle a group chat, which is bookmarked for its members.",
    arguments: &[
        CIRCLE,
        ADDRESS,
        Argument {
            name: "name",
            label: "What it is called in bookmarks; else as the circle",
            kind: ArgumentKind::Text,
            required: false,
        },
        DOMAIN,
    ],
    run: |call| Box::pin(async move { room(&call).await }),
};

/// Takes it back.
pub(super) static UNROOM: Command = Command {
    node: "https://linnet.im/commands#circle-unroom",
    name: "circle unroom",
    help: "Take a group chat from a circle, and the bookmarks that it gave; the room stays.",
    arguments: &[CIRCLE, ADDRESS, DOMAIN],
    run: |call| Box::pin(async move { unroom(&call).await }),
};

fn address(call: &Call) -> Result<Jid, CommandError> {
    let text = call.text("room")?;
    let room = Jid::parse(text).ok().filter(|room| room.local().is_some() && room.resource().is_none());
    room.ok_or_else(|| CommandError::BadInput(format!("'{text}' is not the address of a room")))
}

fn is_given(call: &Call, argument: &str) -> bool {
    call.values.get(argument).and_then(|values| values.first()).is_some_and(|value| !value.is_empty())
}

async fn room(call: &Call) -> Result<Report, CommandError> {
    let kernel = &call.kernel;
    let mut held = registry::hold(kernel, domain(call)?).await?;
    let (id, mut circle) = found(&held, call)?;
    let called = if is_given(call, "name") { Some(name(call, "name")?) } else { None };
    let address = address(call)?;
    let is_full = circle.rooms.len() >= limits::ROOMS;
    match (circle.rooms.get_mut(&address), called) {
        (Some(known), Some(called)) => *known = called.into(),
        (Some(_), None) => {
            return Err(CommandError::Exists(format!("'{}' has the group chat {address} already", circle.name)));
        }
        (None, _) if is_full => {
            return Err(CommandError::BadInput(format!("a circle takes {} group chats", limits::ROOMS)));
        }
        (None, called) => {
            let name = called.map_or_else(|| circle.name.clone(), Into::into);
            circle.rooms.insert(address.clone(), name);
        }
    }
    let text = format!("'{}' has the group chat {address}.", circle.name);
    held.change(kernel, id, Some(circle), Vec::new()).await?;
    finish(kernel, held, text).await
}

async fn unroom(call: &Call) -> Result<Report, CommandError> {
    let kernel = &call.kernel;
    let mut held = registry::hold(kernel, domain(call)?).await?;
    let (id, mut circle) = found(&held, call)?;
    let address = address(call)?;
    if circle.rooms.remove(&address).is_none() {
        return Err(CommandError::NotFound(format!("'{}' has no group chat {address}", circle.name)));
    }
    let text = format!("'{}' has the group chat {address} no more.", circle.name);
    held.change(kernel, id, Some(circle), Vec::new()).await?;
    finish(kernel, held, text).await
}
