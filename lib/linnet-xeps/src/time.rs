//! Entity time (XEP-0202): somebody's clock and time zone.

use crate::{Payload, bad_request, child_text, datetime, expect, ns};
use linnet_xmpp::{
    StanzaError,
    xml::{Node, Writer},
};
use std::time::SystemTime;

/// `<time/>`: the question is empty, the answer has both parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Time {
    /// The question.
    Question,
    /// The answer.
    Answer {
        /** What the clock says; told to the second. */
        utc: SystemTime,
        /** The time zone in minutes east of UTC. */
        offset_minutes: i32,
    },
}

impl Payload for Time {
    fn read(node: Node<'_>) -> Result<Time, StanzaError> {
        expect(node, "time", ns::TIME)?;
        let (zone, utc) = (child_text(node, "tzo", ns::TIME), child_text(node, "utc", ns::TIME));
        let (Some(zone), Some(utc)) = (&zone, &utc) else {
            let empty = zone.is_none() && utc.is_none();
            return if empty { Ok(Time::Question) } else { Err(bad_request("half a time")) };
        };
        match (datetime::parse(utc.trim()), datetime::parse_offset(zone.trim())) {
            (Some(utc), Some(offset_minutes)) => Ok(Time::Answer { utc, offset_minutes }),
            _ => Err(bad_request("not a time")),
        }
    }

    fn write(&self, out: &mut Writer) {
        out.open("time", ns::TIME);
        if let Time::Answer { utc, offset_minutes } = self {
            out.leaf("tzo", ns::TIME, &datetime::format_offset(*offset_minutes));
            out.leaf("utc", ns::TIME, &datetime::format(*utc));
        }
        out.close();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{read, refused, written};
    use linnet_xmpp::stanza::Condition;

    /// XEP-0202 examples 1 and 2.
    #[test]
    fn question_and_answer() {
        assert_eq!(written(&Time::Question), "<time xmlns='urn:xmpp:time'/>");
        let answer = "<time xmlns='urn:xmpp:time'><tzo>-06:00</tzo><utc>2006-12-19T17:58:35Z</utc></time>";
        let time = read::<Time>(answer).unwrap();
        assert!(matches!(time, Time::Answer { offset_minutes: -360, .. }));
        assert_eq!(written(&time), answer);
        let half = "<time xmlns='urn:xmpp:time'><tzo>-06:00</tzo></time>";
        assert_eq!(refused::<Time>(half), Some(Condition::BadRequest));
        let bad = "<time xmlns='urn:xmpp:time'><tzo>-6</tzo><utc>now</utc></time>";
        assert_eq!(refused::<Time>(bad), Some(Condition::BadRequest));
    }
}
