//! The machine's end: who is asked when, and for whom nobody waits.

use super::*;
use crate::config::DomainConfig;
use crate::toolstack::{DomId, DomainInfo};

impl Scene {
    /// Ends the machine; what standard error was told.
    fn halt(&mut self) -> &str {
        let Self { machine, terminal, files } = self;
        crate::verbs::halt(&mut Session { toolstack: machine, terminal, files });
        &self.terminal.err
    }

    /// One more domain like web.
    fn add(&mut self, number: u16, name: &str, driver_domain: bool) {
        let id = DomId::new(number);
        let info = DomainInfo { id, name: name.into(), ..self.machine.web().clone() };
        self.machine.domains.push(info);
        let config = DomainConfig { driver_domain, ..DomainConfig::default() };
        self.machine.configs.insert(number, config);
    }
}

fn is_gone(machine: &mut FakeMachine, number: u16) {
    machine.domains.retain(|info| info.id.raw() != number);
}

#[test]
fn those_who_serve_others_go_last() {
    let mut scene = Scene::new();
    scene.add(2, "drivers", true);
    scene.add(3, "shop", false);
    scene.machine.meanwhile.push_back(|machine| is_gone(machine, 1));
    scene.machine.meanwhile.push_back(|machine| {
        assert_eq!(machine.acts, ["Poweroff d1", "Poweroff d3"]);
        machine.domains[2].shutdown = Some(0);
    });
    scene.machine.meanwhile.push_back(|machine| is_gone(machine, 2));
    assert_eq!(
        scene.halt(),
        "Shutting down web, shop; Ctrl-C waits no longer\n\
         Shutting down drivers; Ctrl-C waits no longer\n"
    );
    assert_eq!(scene.machine.acts, ["Poweroff d1", "Poweroff d3", "Poweroff d2"]);
    assert!(scene.machine.meanwhile.is_empty(), "each was waited for");
}

#[test]
fn nothing_is_said_where_nothing_runs() {
    let mut scene = Scene::new();
    scene.machine.web().shutdown = Some(3);
    assert_eq!(scene.halt(), "");
    assert!(scene.machine.acts.is_empty());
}

#[test]
fn nobody_waits_for_ever() {
    let mut scene = Scene::new();
    let before = scene.machine.now_ns;
    assert!(scene.halt().ends_with("no longer\nStill running after 30 s: web\n"));
    assert_eq!(scene.machine.now_ns - before, 30_000_000_000);
}

#[test]
fn ctrl_c_waits_for_nobody() {
    let mut scene = Scene::new();
    scene.add(2, "drivers", true);
    scene.terminal.keys.push_back(b"\x03".to_vec());
    assert_eq!(scene.halt(), "Shutting down web; Ctrl-C waits no longer\n");
    assert_eq!(scene.machine.acts, ["Poweroff d1"]);
}

#[test]
fn who_cannot_listen_is_not_waited_for() {
    let mut scene = Scene::new();
    scene.machine.web().paused = true;
    assert_eq!(scene.halt(), "web is paused: it ends as it is\n");
    let mut scene = Scene::new();
    scene.machine.refuse = Some(Error::NoParavirtualControl);
    assert_eq!(scene.halt(), "web ends as it is: PV control interface not available\n");
}
