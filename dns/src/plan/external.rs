//! `k8s_external`: zones with the external addresses of the cluster's Services.

use super::item::Item;
use super::print::Printed;
use super::question::Fallthrough;
use super::reading::Reading;
use super::zone::Zone;
use crate::corefile::PlanError;
use config::DomainName;

#[derive(Debug, Clone)]
pub(crate) struct External {
    /// At least one that is not made of addresses; the first such is what reverse names lead into.
    pub(crate) zones: Vec<Zone>,
    /// The label, in lower case, below which the zone's name server is.
    pub(crate) apex: String,
    /// Seconds, at most 3600.
    pub(crate) ttl: u32,
    /// Whether headless Services have names, and endpoints.
    pub(crate) headless: bool,
    pub(crate) fallthrough: Fallthrough,
}

const OPTIONS: [&str; 4] = ["apex", "fallthrough", "headless", "ttl"];

impl External {
    /// The names of its zones that are not made of addresses.
    pub(crate) fn domains(&self) -> impl Iterator<Item = &DomainName> {
        self.zones.iter().filter(|zone| !zone.is_reverse()).filter_map(Zone::domain)
    }

    pub(super) fn read(item: Item<'_>, reading: &mut Reading<'_>, block: &[Zone]) -> Result<Self, PlanError> {
        let mut external = Self {
            zones: item.zones_or(item.arguments(), block)?,
            apex: "dns".to_owned(),
            ttl: 5,
            headless: false,
            fallthrough: Fallthrough::default(),
        };
        if external.zones.contains(&Zone::root()) {
            return Err(item.error("cannot have the root; name a zone, such as example.org"));
        }
        if external.domains().next().is_none() {
            return Err(item.error("needs a zone that is not made of addresses, such as example.org"));
        }
        for zone in external.zones.iter().filter(|zone| zone.is_part_of_network()) {
            reading.note(item, format!("{zone} changes nothing: its names are not made of addresses"));
        }
        item.options(reading, |_, option| external.read_option(option));
        Ok(external)
    }

    fn read_option(&mut self, option: Item<'_>) -> Result<(), PlanError> {
        match option.name() {
            "apex" => {
                let word = option.one("a label, such as dns")?;
                let is_label = word.text.parse::<DomainName>().is_ok_and(|name| name.labels().count() == 1);
                if !is_label || word.text.ends_with('.') {
                    return Err(option.error(format!("{:?} is no label", word.text)));
                }
                self.apex = word.text.to_ascii_lowercase();
            }
            "ttl" => self.ttl = option.number(option.one("seconds")?, 0..=3600)?,
            "headless" => self.headless = option.alone().map(|()| true)?,
            "fallthrough" => self.fallthrough = Fallthrough::read(option)?,
            _ => return Err(option.unknown(&OPTIONS)),
        }
        Ok(())
    }

    pub(super) fn printed(&self) -> Printed {
        Printed::new("k8s_external")
            .words(&self.zones)
            .option(Printed::new("apex").word(&self.apex))
            .option(Printed::new("ttl").word(self.ttl))
            .switch("headless", self.headless)
            .list("fallthrough", &self.fallthrough.0)
    }
}
