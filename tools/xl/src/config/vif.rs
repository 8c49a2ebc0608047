//! A network interface's specification: xl-network-configuration(5).

use alloc::format;
use alloc::string::{String, ToString};

use super::model::{Rate, Vif};

/// How often credit is given to an interface with a rate, if its file does not say.
const INTERVAL_US: u32 = 50_000;

/// Reads a specification, `key=value` and flags parted by commas; the error says what is wrong.
pub fn parse(specification: &str) -> Result<Vif, String> {
    let mut vif = Vif::default();
    for parameter in specification.split(',').map(str::trim) {
        match parameter.split_once('=') {
            Some((name, value)) => set(&mut vif, name, value)?,
            None => match parameter {
                "" => {}
                "trusted" => vif.untrusted = false,
                "untrusted" => vif.untrusted = true,
                _ => return Err(format!("unknown flag {parameter}")),
            },
        }
    }
    Ok(vif)
}

fn set(vif: &mut Vif, name: &str, value: &str) -> Result<(), String> {
    let text = || Some(value.to_string());
    let number = |least: u32, most: u32| {
        let number = value.parse().ok().filter(|number| (least..=most).contains(number));
        number.map(Some).ok_or_else(|| format!("{name} is a number from {least} to {most}"))
    };
    match name {
        "mac" => {
            vif.mac = Some(mac(value).ok_or("mac is like 00:16:3e:74:34:32, not a group address")?)
        }
        "bridge" => vif.bridge = text(),
        "gatewaydev" | "netdev" => vif.gateway = text(),
        "vifname" => vif.name = text(),
        "script" => vif.script = text(),
        "ip" => vif.ip = text(),
        "backend" => vif.backend = text(),
        "rate" => vif.rate = Some(rate(value)?),
        "devid" => vif.devid = number(0, 0xffff)?,
        "mtu" => vif.mtu = number(68, 65535)?,
        "type" | "model" => return Err(format!("{name} is for HVM domains")),
        _ => return Err(format!("unknown parameter {name}")),
    }
    Ok(())
}

/// An address as it is written.
pub fn display(mac: [u8; 6]) -> String {
    mac.map(|byte| format!("{byte:02x}")).join(":")
}

/// Six pairs of hexadecimal digits; not a group address.
pub fn mac(text: &str) -> Option<[u8; 6]> {
    let mut bytes = [0; 6];
    let mut pairs = text.split(':');
    for byte in &mut bytes {
        let pair = pairs.next()?;
        if pair.len() != 2 || !pair.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return None;
        }
        *byte = u8::from_str_radix(pair, 16).ok()?;
    }
    let group = bytes.first().is_some_and(|byte| byte & 1 != 0);
    (pairs.next().is_none() && !group).then_some(bytes)
}

/// `10Mb/s`, `250KB/s`, `1MB/s@20ms`.
fn rate(text: &str) -> Result<Rate, String> {
    let wrong = || format!("rate is like 10Mb/s or 1MB/s@20ms, not {text}");
    let (speed, interval) = text.split_once('@').unwrap_or((text, ""));
    let (number, unit) = quantity(speed).ok_or_else(wrong)?;
    let bits: u64 = match unit {
        "b/s" => 1,
        "Kb/s" => 1_000,
        "Mb/s" => 1_000_000,
        "Gb/s" => 1_000_000_000,
        "B/s" => 8,
        "KB/s" => 8_000,
        "MB/s" => 8_000_000,
        "GB/s" => 8_000_000_000,
        _ => return Err(wrong()),
    };
    let interval_us = match interval {
        "" => INTERVAL_US,
        _ => {
            let (number, unit) = quantity(interval).ok_or_else(wrong)?;
            let unit_us = match unit {
                "us" | "u" => 1,
                "ms" | "m" => 1_000,
                "s" | "" => 1_000_000,
                _ => return Err(wrong()),
            };
            number.checked_mul(unit_us).filter(|us| *us > 0).ok_or_else(wrong)?
        }
    };
    let bytes = bits.checked_mul(number.into()).map(|bits| bits / 8).ok_or_else(wrong)?;
    let bytes_per_interval = bytes.checked_mul(interval_us.into()).ok_or_else(wrong)? / 1_000_000;
    if bytes_per_interval == 0 {
        return Err(format!("rate {text} is less than a byte in each interval"));
    }
    Ok(Rate { bytes_per_interval, interval_us })
}

/// A number and the unit behind it.
fn quantity(text: &str) -> Option<(u32, &str)> {
    let end = text.find(|character: char| !character.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    Some((number.parse().ok()?, unit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_can_be_said() {
        assert_eq!(parse(""), Ok(Vif::default()));
        let text = "mac=00:16:3E:74:3d:76, bridge=xenbr1,gatewaydev=eth0,vifname=web,script=vif-x,\
            ip=10.0.0.1,backend=net,rate=1MB/s@20ms,devid=3,mtu=9000,untrusted";
        let expected = Vif {
            mac: Some([0x00, 0x16, 0x3e, 0x74, 0x3d, 0x76]),
            bridge: Some("xenbr1".into()),
            gateway: Some("eth0".into()),
            name: Some("web".into()),
            script: Some("vif-x".into()),
            ip: Some("10.0.0.1".into()),
            backend: Some("net".into()),
            rate: Some(Rate { bytes_per_interval: 20_000, interval_us: 20_000 }),
            devid: Some(3),
            mtu: Some(9000),
            untrusted: true,
        };
        assert_eq!(parse(text), Ok(expected));
    }

    #[test]
    fn rates() {
        let parsed = |text| rate(text).map(|rate| (rate.bytes_per_interval, rate.interval_us));
        assert_eq!(parsed("10Mb/s"), Ok((62_500, 50_000)));
        assert_eq!(parsed("250KB/s"), Ok((12_500, 50_000)));
        assert_eq!(parsed("8b/s@1s"), Ok((1, 1_000_000)));
        assert_eq!(parsed("1GB/s@1"), Ok((1_000_000_000, 1_000_000)));
        for text in [
            "",
            "10",
            "10Mb",
            "Mb/s",
            "1TB/s",
            "1MB/s@0",
            "1MB/s@1h",
            "4294967296B/s",
            "1MB/s@5000s",
        ] {
            assert!(rate(text).is_err(), "{text}");
        }
        assert_eq!(rate("1b/s"), Err("rate 1b/s is less than a byte in each interval".into()));
        assert!(rate("4294967295GB/s@4294s").is_err());
    }

    #[test]
    fn what_is_wrong_is_told() {
        let mac = "mac is like 00:16:3e:74:34:32, not a group address";
        for (text, error) in [
            ("mac=00:16:3e:74:34", mac),
            ("mac=00:16:3e:74:34:3g", mac),
            ("mac=01:16:3e:74:34:32", mac),
            ("mac=+0:16:3e:74:34:32", mac),
            ("mac=00:16:3e:74:34:32:00", mac),
            ("bridge", "unknown flag bridge"),
            ("brigde=x", "unknown parameter brigde"),
            ("model=e1000", "model is for HVM domains"),
            ("mtu=67", "mtu is a number from 68 to 65535"),
            ("devid=x", "devid is a number from 0 to 65535"),
        ] {
            assert_eq!(parse(text), Err(error.into()), "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "[a-z0-9:,=@/MKGBb \u{e4}]{0,40}") {
            let _ = parse(&text);
            let _ = rate(&text);
        }
    }
}
