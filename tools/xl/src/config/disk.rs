//! A disk's specification: xl-disk-configuration(5).
//!
//! Parameters are parted by commas. One with `=` and the flags stand for themselves; the others are
//! positional: target, format, vdev, access. `target=` takes the whole rest, so that a target can
//! have commas. Of the old syntax there is what xl still takes: prefixes such as `phy:` before the
//! target, after which no format is expected, and `vdev:cdrom`. Not xl's is the target `ram:SIZE`.

use alloc::format;
use alloc::string::{String, ToString};

use super::model::{Access, Disk, DiskFormat, DiskKind};
use super::vdev;

/// Prefixes that name a format.
const FORMAT_PREFIXES: [(&str, DiskFormat); 4] = [
    ("raw:", DiskFormat::Raw),
    ("qcow2:", DiskFormat::Qcow2),
    ("qcow:", DiskFormat::Qcow),
    ("vhd:", DiskFormat::Vhd),
];

/// Prefixes that name a script.
const SCRIPT_PREFIXES: [&str; 4] = ["iscsi:", "enbd:", "nbd:", "drbd:"];

/// Prefix that is a part of the target: as much memory as follows it, in place of a disk.
const MEMORY_PREFIX: &str = "ram:";

/// Prefixes that once named a back end.
const IDLE_PREFIXES: [&str; 7] = ["tapdisk:", "tap2:", "tap:", "aio:", "ioemu:", "file:", "phy:"];

/// Reads a specification; the error says what is wrong with it.
pub fn parse(specification: &str) -> Result<Disk, String> {
    let mut disk = Parsed::default();
    let mut rest = specification;
    while !rest.trim_start().is_empty() {
        rest = rest.trim_start();
        if let Some(target) = rest.strip_prefix("target=") {
            set_once(&mut disk.target, "target", target)?;
            break;
        }
        if disk.target.is_none() && disk.prefix(&mut rest)? {
            continue;
        }
        let (parameter, behind) = rest.split_once(',').unwrap_or((rest, ""));
        disk.parameter(parameter)?;
        rest = behind;
    }
    disk.finish()
}

/// What a specification has said so far.
#[derive(Default)]
struct Parsed {
    target: Option<String>,
    format: Option<String>,
    vdev: Option<String>,
    access: Option<String>,
    kind: DiskKind,
    backend: Option<String>,
    backend_type: Option<String>,
    script: Option<String>,
    no_discard: bool,
    untrusted: bool,
    direct_io_safe: bool,
    /// The old syntax: no positional format follows.
    prefixed: bool,
}

/// A parameter may be given once, unless it was empty before.
fn set_once(place: &mut Option<String>, name: &str, value: &str) -> Result<(), String> {
    if place.as_deref().is_some_and(|old| !old.is_empty()) {
        return Err(format!("{name} is given twice"));
    }
    *place = Some(value.into());
    Ok(())
}

impl Parsed {
    /// Takes one old prefix off `rest`, if there is one.
    fn prefix(&mut self, rest: &mut &str) -> Result<bool, String> {
        let text = *rest;
        let word = text.trim_start_matches(|character: char| character.is_ascii_alphanumeric());
        let length = text.len() - word.len();
        if length == 0 || !word.starts_with(':') {
            return Ok(false);
        }
        let (prefix, behind) = text.split_at(length + 1);
        if prefix == MEMORY_PREFIX {
            self.prefixed = true;
            return Ok(false);
        }
        if let Some((_, format)) = FORMAT_PREFIXES.iter().find(|(name, _)| *name == prefix) {
            set_once(&mut self.format, "format", format.name())?;
        } else if SCRIPT_PREFIXES.contains(&prefix) {
            let script = format!("block-{}", prefix.trim_end_matches(':'));
            set_once(&mut self.script, "script", &script)?;
        } else if !IDLE_PREFIXES.contains(&prefix) {
            return Err(format!("unknown prefix {prefix}"));
        }
        self.prefixed = true;
        *rest = behind;
        Ok(true)
    }

    fn parameter(&mut self, parameter: &str) -> Result<(), String> {
        let Some((name, value)) = parameter.split_once('=') else {
            return self.flag_or_position(parameter);
        };
        match name {
            "format" => set_once(&mut self.format, name, value),
            "vdev" => set_once(&mut self.vdev, name, value),
            "access" => set_once(&mut self.access, name, value),
            "backend" => set_once(&mut self.backend, name, value),
            "backendtype" => match value {
                "phy" | "qdisk" | "standalone" => set_once(&mut self.backend_type, name, value),
                _ => Err(format!("backendtype is phy, qdisk or standalone, not {value}")),
            },
            "script" => set_once(&mut self.script, name, value),
            "devtype" => self.set_kind(value),
            "specification" if value == "xen" => Ok(()),
            "specification" => Err(format!("specification is xen, not {value}")),
            _ => Err(format!("unknown parameter {name}")),
        }
    }

    fn flag_or_position(&mut self, parameter: &str) -> Result<(), String> {
        match parameter {
            "cdrom" => self.kind = DiskKind::Cdrom,
            "direct-io-safe" => self.direct_io_safe = true,
            "discard" => self.no_discard = false,
            "no-discard" => self.no_discard = true,
            "trusted" => self.untrusted = false,
            "untrusted" => self.untrusted = true,
            _ => return self.position(parameter),
        }
        Ok(())
    }

    fn position(&mut self, value: &str) -> Result<(), String> {
        // `,hdc:cdrom,r`: a drive without a disc has no format either.
        self.prefixed |= self.target.as_deref() == Some("") && value.contains(':');
        if self.target.is_none() {
            self.target = Some(value.into());
        } else if self.format.is_none() && !self.prefixed {
            self.format = Some(value.into());
        } else if self.vdev.is_none() {
            let (vdev, kind) = value.split_once(':').unwrap_or((value, ""));
            if !kind.is_empty() {
                self.set_kind(kind)?;
            }
            self.vdev = Some(vdev.into());
        } else if self.access.is_none() {
            self.access = Some(value.into());
        } else {
            return Err(format!("{value}: too many positional parameters"));
        }
        Ok(())
    }

    fn set_kind(&mut self, kind: &str) -> Result<(), String> {
        self.kind = match kind {
            "cdrom" => DiskKind::Cdrom,
            "disk" => DiskKind::Disk,
            _ => return Err(format!("devtype is disk or cdrom, not {kind}")),
        };
        Ok(())
    }

    fn finish(self) -> Result<Disk, String> {
        let target = self.target.unwrap_or_default();
        let vdev = self.vdev.filter(|vdev| !vdev.is_empty()).ok_or("vdev is missing")?;
        if vdev::number(&vdev).is_none() {
            return Err(format!("{vdev} is no vdev: xvda, sda1, hdc, d0p1 are"));
        }
        if target.is_empty() && self.kind != DiskKind::Cdrom {
            return Err("target is missing".to_string());
        }
        let format = match self.format.as_deref() {
            // "empty" is how xl names a drive without a disc.
            None | Some("" | "empty") => DiskFormat::Raw,
            Some(name) => DiskFormat::NAMES
                .iter()
                .find(|(known, _)| *known == name)
                .map(|(_, format)| *format)
                .ok_or_else(|| format!("format is raw, qcow, qcow2, vhd or qed, not {name}"))?,
        };
        let access = match self.access.as_deref() {
            _ if self.kind == DiskKind::Cdrom => Access::ReadOnly,
            None | Some("" | "rw" | "w") => Access::ReadWrite,
            Some("ro" | "r") => Access::ReadOnly,
            Some(access) => return Err(format!("access is ro or rw, not {access}")),
        };
        Ok(Disk {
            target,
            format,
            vdev,
            access,
            kind: self.kind,
            backend: self.backend.filter(|backend| !backend.is_empty()),
            backend_type: self.backend_type,
            script: self.script.filter(|script| !script.is_empty()),
            discard: !self.no_discard,
            trusted: !self.untrusted,
            direct_io_safe: self.direct_io_safe,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn disk(target: &str, vdev: &str) -> Disk {
        let (target, vdev) = (target.into(), vdev.into());
        Disk { target, vdev, discard: true, trusted: true, ..Disk::default() }
    }

    #[test]
    fn the_manual_s_equivalents_are_equal() {
        for text in [
            "/dev/vg/guest-volume,,hda",
            "/dev/vg/guest-volume,raw,hda,rw",
            "format=raw, vdev=hda, access=rw, target=/dev/vg/guest-volume",
            "raw:/dev/vg/guest-volume,hda,w",
        ] {
            assert_eq!(parse(text), Ok(disk("/dev/vg/guest-volume", "hda")), "{text}");
        }
        let iso = Disk {
            access: Access::ReadOnly,
            kind: DiskKind::Cdrom,
            ..disk("/root/image.iso", "hdc")
        };
        for text in [
            "/root/image.iso,,hdc,cdrom",
            "/root/image.iso,,hdc,,cdrom",
            "/root/image.iso,raw,hdc,devtype=cdrom",
            "format=raw, vdev=hdc, access=ro, devtype=cdrom, target=/root/image.iso",
            "raw:/root/image.iso,hdc:cdrom,ro",
        ] {
            assert_eq!(parse(text), Ok(iso.clone()), "{text}");
        }
        for text in [",hdc:cdrom,r", ",,hdc,,cdrom", ",empty,hdc,,cdrom"] {
            assert_eq!(parse(text), Ok(Disk { target: String::new(), ..iso.clone() }), "{text}");
        }
    }

    #[test]
    fn everything_can_be_said() {
        let text = "vdev=xvdb1,backend=disks,backendtype=phy,script=block-nbd,no-discard,untrusted,\
            direct-io-safe,format=qcow2,access=r,target=/a,b: c ";
        let expected = Disk {
            format: DiskFormat::Qcow2,
            access: Access::ReadOnly,
            backend: Some("disks".into()),
            backend_type: Some("phy".into()),
            script: Some("block-nbd".into()),
            discard: false,
            trusted: false,
            direct_io_safe: true,
            ..disk("/a,b: c ", "xvdb1")
        };
        assert_eq!(parse(text), Ok(expected));
        let prefixed = parse("tap:aio:qcow2:/x,xvda,r").unwrap();
        assert_eq!((prefixed.format, prefixed.target.as_str()), (DiskFormat::Qcow2, "/x"));
        assert_eq!(parse("nbd:h/1,xvda").unwrap().script.as_deref(), Some("block-nbd"));
        // The prefix of memory stays with its size.
        for text in ["ram:8M,xvda,w", "ram:8M,xvda", "vdev=xvda,target=ram:8M"] {
            assert_eq!(parse(text), Ok(disk("ram:8M", "xvda")), "{text}");
        }
        // An empty positional target may be given later.
        assert_eq!(parse(",,xvda,target=/x"), Ok(disk("/x", "xvda")));
    }

    #[test]
    fn what_is_wrong_is_told() {
        for (text, error) in [
            ("", "vdev is missing"),
            ("/x", "vdev is missing"),
            ("/x,,", "vdev is missing"),
            (",,xvda", "target is missing"),
            ("/x,,xvd", "xvd is no vdev: xvda, sda1, hdc, d0p1 are"),
            ("/x,,xvda1b", "xvda1b is no vdev: xvda, sda1, hdc, d0p1 are"),
            ("/x,tar,xvda", "format is raw, qcow, qcow2, vhd or qed, not tar"),
            ("/x,,xvda,x", "access is ro or rw, not x"),
            ("/x,,xvda,w,more", "more: too many positional parameters"),
            ("/x,,xvda,vdev=xvdb", "vdev is given twice"),
            ("/x,,xvda,target=/y", "target is given twice"),
            ("/x,,xvda,colour=red", "unknown parameter colour"),
            ("/x,,xvda,backendtype=tap", "backendtype is phy, qdisk or standalone, not tap"),
            ("/x,,xvda,specification=virtio", "specification is xen, not virtio"),
            ("/x,,xvda:floppy", "devtype is disk or cdrom, not floppy"),
            ("foo:/x,xvda", "unknown prefix foo:"),
            ("raw:qcow2:/x,xvda", "format is given twice"),
        ] {
            assert_eq!(parse(text), Err(error.into()), "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "[a-z0-9:,= \t\u{e4}/.]{0,40}") {
            let _ = parse(&text);
        }
    }
}
