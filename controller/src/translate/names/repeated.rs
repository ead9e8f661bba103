//! What the names of many Services repeat, kept once.

use crate::objects::Shared;
use config::{EndpointGroup, PortName};
use std::sync::Arc;

/// What is in the table, of which much is the same.
#[derive(Debug, Default)]
pub(super) struct Repeated {
    ports: Shared<[PortName]>,
    groups: Shared<EndpointGroup>,
}

impl Repeated {
    pub(super) fn ports(&mut self, ports: impl Iterator<Item = PortName>) -> Arc<[PortName]> {
        let ports: Vec<_> = ports.collect();
        self.ports.get(&ports, || ports.as_slice().into())
    }

    pub(super) fn group(&mut self, ports: &Arc<[PortName]>, topology: Option<&Arc<str>>) -> Arc<EndpointGroup> {
        let group = EndpointGroup { ports: Arc::clone(ports), topology: topology.cloned() };
        self.groups.get(&group, || Arc::new(group.clone()))
    }
}
