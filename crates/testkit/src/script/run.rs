//! Runs a script, step by step.

use super::{
    Captured, Event, Pattern, Script, Step, World,
    pattern::{elements, fill},
};
use linnet_xmpp::Jid;
use std::collections::BTreeMap;

/// Runs a script on a fresh server. `Err` says in which line what went wrong.
pub async fn run<W: World>(ground: &W::Ground, script: &Script) -> Result<(), String> {
    run_and_show::<W>(ground, script, &mut |_| Ok(())).await
}

/// The same, and shows every stanza that a step expects to somebody who may object.
pub async fn run_and_show<W: World>(
    ground: &W::Ground,
    script: &Script,
    reader: &mut dyn FnMut(&str) -> Result<(), String>,
) -> Result<(), String> {
    let world = W::start(ground, &script.setup).await?;
    let mut play = Play { world, clients: BTreeMap::new(), captured: Captured::new(), reader };
    for (line, step) in &script.steps {
        play.step(step).await.map_err(|why| format!("line {line}: {why}"))?;
    }
    play.finish().await.map_err(|why| format!("at the end: {why}"))
}

struct Play<'a, W> {
    world: W,
    /// Sees what clients receive.
    reader: &'a mut dyn FnMut(&str) -> Result<(), String>,
    /// Who is connected, with the address bound.
    clients: BTreeMap<String, Jid>,
    captured: Captured,
}

impl<W: World> Play<'_, W> {
    async fn step(&mut self, step: &Step) -> Result<(), String> {
        match step {
            Step::Account { address, password } => self.world.account(address, password).await,
            Step::Friends(a, b) => self.befriend(a, b).await,
            Step::Connect { name, address, password } => {
                let said = self.world.connect(name, address, password).await?;
                said.map_err(|condition| format!("{address} was refused with {condition}"))?;
                self.clients.insert(name.clone(), address.clone());
                Ok(())
            }
            Step::Refused { address, password, condition } => {
                match self.world.connect("nobody", address, password).await? {
                    Ok(()) => Err(format!("{address} was let in")),
                    Err(said) if said == *condition => Ok(()),
                    Err(said) => Err(format!("{address} was refused with {said}")),
                }
            }
            Step::Sends { name, block } => {
                for xml in elements(&fill(block, &self.captured)?)? {
                    self.world.send(name, &xml).await?;
                }
                Ok(())
            }
            Step::Receives { name, block, in_any_order } => self.receive(name, block, *in_any_order).await,
            Step::ReceivesNothing(names) => {
                for name in names {
                    self.nothing(name).await?;
                }
                Ok(())
            }
            Step::Forgets(name) => self.world.rest(name).await.map(drop),
            Step::Disconnects(name) => self.leave(name, true).await,
            Step::Vanishes(name) => self.leave(name, false).await,
            Step::IsEnded { name, condition } => self.ended(name, condition).await,
            Step::TimePasses(time) => self.world.pass(*time).await,
            Step::Restart => {
                for name in self.names() {
                    self.nothing(&name).await?;
                }
                self.clients.clear();
                self.world.restart().await
            }
        }
    }

    fn names(&self) -> Vec<String> {
        self.clients.keys().cloned().collect()
    }

    /// What came and no step expected is an error.
    async fn finish(mut self) -> Result<(), String> {
        for name in self.names() {
            self.nothing(&name).await?;
        }
        for name in self.names() {
            self.world.disconnect(&name, true).await?;
        }
        Ok(())
    }

    async fn leave(&mut self, name: &str, politely: bool) -> Result<(), String> {
        self.nothing(name).await?;
        self.clients.remove(name);
        self.world.disconnect(name, politely).await
    }

    async fn nothing(&mut self, name: &str) -> Result<(), String> {
        let rest = self.world.rest(name).await?;
        if rest.is_empty() { Ok(()) } else { Err(format!("{name} received {}", listed(&rest))) }
    }

    async fn ended(&mut self, name: &str, condition: &str) -> Result<(), String> {
        match self.world.next(name).await? {
            Some(Event::Ended(Some(said))) if said == condition => {
                self.clients.remove(name);
                self.world.disconnect(name, false).await
            }
            other => Err(format!("{name} received {other:?}")),
        }
    }

    async fn receive(&mut self, name: &str, block: &str, in_any_order: bool) -> Result<(), String> {
        let receiver = self.clients.get(name).ok_or_else(|| format!("{name} is not connected"))?.clone();
        let patterns: Result<Vec<Pattern>, String> = elements(block)?.iter().map(|text| Pattern::parse(text)).collect();
        let mut patterns = patterns?;
        while !patterns.is_empty() {
            let xml = match self.world.next(name).await? {
                Some(Event::Stanza(xml)) => {
                    (self.reader)(&xml)?;
                    xml
                }
                other => {
                    let missing: Vec<&str> = patterns.iter().map(|pattern| pattern.text.as_str()).collect();
                    return Err(format!("{name} received {other:?} and not {}", missing.join(" ")));
                }
            };
            let candidates = if in_any_order { patterns.len() } else { 1 };
            let mut reasons = Vec::new();
            let found = patterns[..candidates].iter().position(|pattern| {
                let said = pattern.matches(&xml, &receiver, &mut self.captured);
                said.map_err(|why| reasons.push(format!("  expected {}\n  {why}", pattern.text))).is_ok()
            });
            match found {
                Some(place) => patterns.remove(place),
                None => return Err(format!("{name} received {xml}\n{}", reasons.join("\n"))),
            };
        }
        Ok(())
    }

    /// Makes both accounts see each other, by the stanzas that clients would send.
    async fn befriend(&mut self, a: &Jid, b: &Jid) -> Result<(), String> {
        let names = ["friend-a", "friend-b"];
        for (name, address) in names.iter().zip([a, b]) {
            let said = self.world.connect(name, address, crate::server::PASSWORD).await?;
            said.map_err(|condition| format!("{address} was refused with {condition}"))?;
        }
        for ((name, to), ty) in
            names.iter().zip([b, a]).cycle().zip(["subscribe", "subscribed", "", "subscribe", "subscribed"])
        {
            if !ty.is_empty() {
                self.world.send(name, &format!("<presence to='{}' type='{ty}'/>", to.bare_str())).await?;
            }
        }
        for name in names {
            self.world.disconnect(name, true).await?;
        }
        Ok(())
    }
}

fn listed(events: &[Event]) -> String {
    let text = |event: &Event| match event {
        Event::Stanza(xml) => xml.clone(),
        Event::Ended(condition) => format!("the stream's end ({condition:?})"),
    };
    events.iter().map(text).collect::<Vec<_>>().join("\n    ")
}
