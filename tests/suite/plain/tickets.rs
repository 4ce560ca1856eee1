//! Reset tickets.

use serde_json::{Value, json};

use super::{Asked, Done, Fault, MINUTE, Outcome, Plain, Refused, done, millis, refused, text};

/// 8 to 16 printable characters without space, of two kinds.
fn is_weak(password: &str, fault: Option<Fault>) -> bool {
    let kinds = [
        password.contains(|c: char| c.is_ascii_lowercase()),
        password.contains(|c: char| c.is_ascii_uppercase()),
        password.contains(|c: char| c.is_ascii_digit()),
        password.contains(|c: char| c.is_ascii_punctuation()),
    ];
    let wanted = if fault == Some(Fault::OneKindIsEnough) { 1 } else { 2 };
    let first = if fault == Some(Fault::SpacesArePrinted) { ' ' } else { '!' };
    let shortest = if fault == Some(Fault::SevenAreEnough) { 7 } else { 8 };
    let length = password.chars().count();
    let printed = password.chars().all(|c| (first..='~').contains(&c));
    !(printed
        && (shortest..=16).contains(&length)
        && kinds.into_iter().filter(|kind| *kind).count() >= wanted)
}

impl Plain {
    pub(super) fn open_ticket(&mut self, who: &str, fields: &Value) -> Outcome {
        let (id, device) = (text(fields, "ticket").to_owned(), text(fields, "device").to_owned());
        let Some(own) = self.devices.get(&device).cloned() else { return Err(refused("not_found")) };
        let key = ("ticket", id);
        if self.asked.contains_key(&key) {
            return Err(refused("already_exists"));
        }
        let by = self.permitted(who, "openResetTicket", fields)?;
        if !own.resets && !self.wrong(Fault::AnyDeviceIsSupported) {
            return Err(Refused { by, ..refused("unsupported_device") });
        }
        let live = self.asked.iter().find(|((kind, _), asked)| {
            let same = asked.device.as_ref().is_some_and(|(_, serial)| *serial == own.serial);
            *kind == "ticket" && same && ["pending", "applying"].contains(&asked.state)
        });
        let mut done = done(["resetTicketOpened"]);
        if let Some((key, asked)) = live {
            let late = asked.state == "pending" && self.over(asked.deadline);
            if !late && !self.wrong(Fault::TicketsSupersede) {
                return Err(Refused { by, ..refused("live_duplicate") });
            }
            let key = key.clone();
            done.events.extend(self.cancel_one(&key));
        }
        let mut asked = self.asked_by(who, &own.site);
        asked.device = Some((device, own.serial));
        asked.on_site = text(fields, "mode") == "onSite";
        self.asked.insert(key, asked);
        Ok(done)
    }

    /// Whether the platform attests, fresh enough, that the right two are in one network.
    fn is_attested(&self, asked: &Asked, lan: Option<&Value>) -> bool {
        let Some(lan) = lan else { return false };
        let observed = millis(text(lan, "observedAt"));
        let oldest = self.now - 5 * MINUTE;
        let fresh =
            if self.wrong(Fault::FiveMinutesAreTooOld) { observed > oldest } else { observed >= oldest };
        let fresh = fresh && (observed <= self.now || self.wrong(Fault::LaterIsFresh));
        let phone = lan["peer"].as_str().is_none_or(|peer| peer == "ownerPhone");
        let device = asked.device.as_ref().is_some_and(|(device, _)| device == text(lan, "device"));
        let attested = text(lan, "attestedBy") == "platform" || self.wrong(Fault::AnybodyAttests);
        device && attested && fresh && (phone || asked.on_site || self.wrong(Fault::AnyPeerFits))
    }

    pub(super) fn complete(&mut self, who: &str, fields: &Value) -> Outcome {
        let key = ("ticket", text(fields, "ticket").to_owned());
        if !self.asked.contains_key(&key) {
            return Err(refused("not_found"));
        }
        let by = self.permitted(who, "completeResetTicket", fields)?;
        self.waits(&key, &by)?;
        let code = if is_weak(text(fields, "password"), self.fault) {
            "weak_password"
        } else if !self.is_attested(&self.asked[&key], fields.get("sameLan")) {
            "lan_not_attested"
        } else {
            ""
        };
        let uncounted = self.wrong(Fault::FailuresAreNotCounted);
        let asked = self.asked.get_mut(&key).unwrap();
        if !code.is_empty() {
            asked.failed += u64::from(!uncounted);
            return Err(Refused { by, ..refused(code) });
        }
        asked.state = "applying";
        let effect = json!({"device": asked.device.as_ref().unwrap().0, "password": fields["password"]});
        Ok(Done { effect: Some(effect), ..done(["resetSubmitted"]) })
    }

    pub(super) fn confirm(&mut self, who: &str, fields: &Value) -> Outcome {
        let key = ("ticket", text(fields, "ticket").to_owned());
        if !self.asked.contains_key(&key) {
            return Err(refused("not_found"));
        }
        let by = self.permitted(who, "confirmReset", fields)?;
        if self.asked[&key].state != "applying" {
            self.waits(&key, &by)?;
            return Err(Refused { by, state: Some("pending".to_owned()), ..refused("wrong_state") });
        }
        let over = self.over(self.asked[&key].deadline) && !self.wrong(Fault::FailedResetsNeverExpire);
        let groundless =
            self.is_groundless("ticket", &self.asked[&key]) && !self.wrong(Fault::FailedResetsKeepWaiting);
        let asked = self.asked.get_mut(&key).unwrap();
        if text(fields, "outcome") == "done" {
            asked.state = "completed";
            return Ok(done(["resetCompleted"]));
        }
        if over {
            asked.state = "expired";
            return Ok(done(["resetFailed"]));
        }
        if groundless {
            asked.state = "cancelled";
            return Ok(done(["resetFailed", "resetTicketCancelled"]));
        }
        asked.state = "pending";
        Ok(done(["resetFailed"]))
    }
}
