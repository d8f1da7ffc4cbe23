//! The state tables of RFC 6121 appendix A.2 and A.3, as functions of the state's five facts.

use crate::roster::State;
use linnet_xmpp::stanza::Type;

/// What an outbound subscription stanza does to the user's state, and whether it is routed to the contact (A.2).
pub(super) fn outbound(ty: Type, state: State) -> (bool, State) {
    match ty {
        // A.2.1: always routed; pending unless already subscribed.
        Type::Subscribe => (true, State { pending_out: state.pending_out || !state.to, ..state }),
        // A.2.2: always routed.
        Type::Unsubscribe => (true, State { to: false, pending_out: false, ..state }),
        // A.2.3: routed where it answers a request; else it approves in advance (§3.4), unless already subscribed.
        Type::Subscribed if state.pending_in => {
            (true, State { from: true, pending_in: false, approved: false, ..state })
        }
        Type::Subscribed if state.from => (false, state),
        Type::Subscribed => (false, State { approved: true, ..state }),
        // A.2.4: routed where there was something to take back; cancels an approval (§3.4.2).
        Type::Unsubscribed => {
            let routed = state.from || state.pending_in;
            (routed, State { from: false, pending_in: false, approved: false, ..state })
        }
        _ => (false, state),
    }
}

/// What an inbound subscription stanza does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Inbound {
    /// Whether the user's sessions get it.
    pub(super) deliver: bool,
    /// What the server answers in the user's name.
    pub(super) reply: Option<Type>,
    /// The new state.
    pub(super) state: State,
}

/// What an inbound subscription stanza does to the user's state (A.3).
pub(super) fn inbound(ty: Type, state: State) -> Inbound {
    let nothing = Inbound { deliver: false, reply: None, state };
    match ty {
        // A.3.1 note 2: already subscribed, so the server says it again.
        Type::Subscribe if state.from => Inbound { reply: Some(Type::Subscribed), ..nothing },
        Type::Subscribe if state.pending_in => nothing,
        // A.3.1 note 1: approved in advance.
        Type::Subscribe if state.approved => {
            let state = State { from: true, approved: false, ..state };
            Inbound { reply: Some(Type::Subscribed), state, ..nothing }
        }
        Type::Subscribe => Inbound { deliver: true, state: State { pending_in: true, ..state }, ..nothing },
        // A.3.2.
        Type::Unsubscribe if state.from || state.pending_in => {
            let state = State { from: false, pending_in: false, ..state };
            Inbound { deliver: true, reply: Some(Type::Unsubscribed), state }
        }
        // A.3.3.
        Type::Subscribed if state.pending_out => {
            Inbound { deliver: true, state: State { to: true, pending_out: false, ..state }, ..nothing }
        }
        // A.3.4.
        Type::Unsubscribed if state.to || state.pending_out => {
            Inbound { deliver: true, state: State { to: false, pending_out: false, ..state }, ..nothing }
        }
        _ => nothing,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The nine states of A.1 by name.
    const STATES: [(&str, State); 9] = {
        const fn state(to: bool, from: bool, pending_out: bool, pending_in: bool) -> State {
            State { to, from, pending_out, pending_in, approved: false }
        }
        [
            ("None", state(false, false, false, false)),
            ("None + Pending Out", state(false, false, true, false)),
            ("None + Pending In", state(false, false, false, true)),
            ("None + Pending Out+In", state(false, false, true, true)),
            ("To", state(true, false, false, false)),
            ("To + Pending In", state(true, false, false, true)),
            ("From", state(false, true, false, false)),
            ("From + Pending Out", state(false, true, true, false)),
            ("Both", state(true, true, false, false)),
        ]
    };

    fn named(name: &str) -> State {
        STATES.iter().find(|(known, _)| *known == name).map(|(_, state)| *state).unwrap_or_else(|| panic!("{name}"))
    }

    /// A row of a table: routed or delivered, and the new state ("" where it does not change).
    type Row = (bool, &'static str);

    fn check_outbound(ty: Type, rows: [Row; 9]) {
        for ((name, state), (routed, after)) in STATES.iter().zip(rows) {
            let after = if after.is_empty() { *state } else { named(after) };
            let (is_routed, mut became) = outbound(ty, *state);
            became.approved = false;
            assert_eq!((is_routed, became), (routed, after), "outbound {ty:?} in {name}");
        }
    }

    fn check_inbound(ty: Type, rows: [Row; 9]) {
        for ((name, state), (delivered, after)) in STATES.iter().zip(rows) {
            let after = if after.is_empty() { *state } else { named(after) };
            let does = inbound(ty, *state);
            assert_eq!((does.deliver, does.state), (delivered, after), "inbound {ty:?} in {name}");
        }
    }

    #[test]
    fn table_2_outbound_subscribe() {
        check_outbound(
            Type::Subscribe,
            [
                (true, "None + Pending Out"),
                (true, ""),
                (true, "None + Pending Out+In"),
                (true, ""),
                (true, ""),
                (true, ""),
                (true, "From + Pending Out"),
                (true, ""),
                (true, ""),
            ],
        );
    }

    #[test]
    fn table_3_outbound_unsubscribe() {
        check_outbound(
            Type::Unsubscribe,
            [
                (true, ""),
                (true, "None"),
                (true, ""),
                (true, "None + Pending In"),
                (true, "None"),
                (true, "None + Pending In"),
                (true, ""),
                (true, "From"),
                (true, "From"),
            ],
        );
    }

    #[test]
    fn table_4_outbound_subscribed() {
        check_outbound(
            Type::Subscribed,
            [
                (false, ""),
                (false, ""),
                (true, "From"),
                (true, "From + Pending Out"),
                (false, ""),
                (true, "Both"),
                (false, ""),
                (false, ""),
                (false, ""),
            ],
        );
        let approves = ["None", "None + Pending Out", "To"];
        for (name, state) in STATES {
            assert_eq!(outbound(Type::Subscribed, state).1.approved, approves.contains(&name), "{name}");
        }
    }

    #[test]
    fn table_5_outbound_unsubscribed() {
        check_outbound(
            Type::Unsubscribed,
            [
                (false, ""),
                (false, ""),
                (true, "None"),
                (true, "None + Pending Out"),
                (false, ""),
                (true, "To"),
                (true, "None"),
                (true, "None + Pending Out"),
                (true, "To"),
            ],
        );
    }

    #[test]
    fn table_6_inbound_subscribe() {
        check_inbound(
            Type::Subscribe,
            [
                (true, "None + Pending In"),
                (true, "None + Pending Out+In"),
                (false, ""),
                (false, ""),
                (true, "To + Pending In"),
                (false, ""),
                (false, ""),
                (false, ""),
                (false, ""),
            ],
        );
        for (name, state) in STATES {
            let says = inbound(Type::Subscribe, state).reply;
            assert_eq!(says, state.from.then_some(Type::Subscribed), "{name}");
        }
    }

    #[test]
    fn table_7_inbound_unsubscribe() {
        let rows = [
            (false, ""),
            (false, ""),
            (true, "None"),
            (true, "None + Pending Out"),
            (false, ""),
            (true, "To"),
            (true, "None"),
            (true, "None + Pending Out"),
            (true, "To"),
        ];
        check_inbound(Type::Unsubscribe, rows);
        for ((name, state), (delivered, _)) in STATES.iter().zip(rows) {
            let says = inbound(Type::Unsubscribe, *state).reply;
            assert_eq!(says, delivered.then_some(Type::Unsubscribed), "{name}");
        }
    }

    #[test]
    fn table_8_inbound_subscribed() {
        check_inbound(
            Type::Subscribed,
            [
                (false, ""),
                (true, "To"),
                (false, ""),
                (true, "To + Pending In"),
                (false, ""),
                (false, ""),
                (false, ""),
                (true, "Both"),
                (false, ""),
            ],
        );
    }

    #[test]
    fn table_9_inbound_unsubscribed() {
        check_inbound(
            Type::Unsubscribed,
            [
                (false, ""),
                (true, "None"),
                (false, ""),
                (true, "None + Pending In"),
                (true, "None"),
                (true, "None + Pending In"),
                (false, ""),
                (true, "From"),
                (true, "From"),
            ],
        );
    }

    #[test]
    fn an_approval_in_advance_answers_the_request_section_3_4() {
        for before in [named("None"), named("None + Pending Out"), named("To")] {
            let approved = outbound(Type::Subscribed, before).1;
            let does = inbound(Type::Subscribe, approved);
            assert_eq!((does.deliver, does.reply), (false, Some(Type::Subscribed)));
            assert!(does.state.from && !does.state.pending_in && !does.state.approved);
            assert!(!outbound(Type::Unsubscribed, approved).1.approved);
        }
    }
}
