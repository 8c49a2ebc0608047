//! Clock frequencies as the CPU or the hypervisor below us states them.
//!
//! Where they are stated nothing has to be measured: boots are faster and clocks agree with
//! the machine's own idea of them.

/// Stated frequencies, in Hz.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stated {
    /// Of the time-stamp counter.
    pub tsc: Option<u64>,
    /// Of the local APIC's timer, before its divider.
    pub apic_timer: Option<u64>,
}

/// Reads CPUID: `leaf(n)` is EAX, EBX, ECX, EDX of leaf `n`, subleaf 0.
///
/// - Leaf 0x4000_0010 (VMware's, KVM's and QEMU's): TSC and APIC bus in kHz.
/// - Leaf 0x15 (SDM volume 2, CPUID): TSC = ECX Hz * EBX / EAX; the crystal (ECX) also
///   drives the APIC timer.
pub fn stated(leaf: impl Fn(u32) -> [u32; 4]) -> Stated {
    let hypervisor_present = leaf(1)[2] & 1 << 31 != 0;
    if hypervisor_present && (0x4000_0010..0x4000_1000).contains(&leaf(0x4000_0000)[0]) {
        let [tsc_khz, apic_khz, ..] = leaf(0x4000_0010);
        let hz = |khz: u32| (khz != 0).then_some(u64::from(khz) * 1000);
        if tsc_khz != 0 {
            return Stated { tsc: hz(tsc_khz), apic_timer: hz(apic_khz) };
        }
    }
    if leaf(0)[0] >= 0x15 {
        let [denominator, numerator, crystal, _] = leaf(0x15);
        if denominator != 0 && numerator != 0 && crystal != 0 {
            let tsc = u64::from(crystal) * u64::from(numerator) / u64::from(denominator);
            return Stated { tsc: Some(tsc), apic_timer: Some(crystal.into()) };
        }
    }
    Stated::default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HYPERVISOR: [u32; 4] = [0, 0, 1 << 31, 0];

    #[test]
    fn a_hypervisor_states_both() {
        let found = stated(|leaf| match leaf {
            1 => HYPERVISOR,
            0x4000_0000 => [0x4000_0010, 0, 0, 0],
            0x4000_0010 => [2_900_000, 1_000_000, 0, 0],
            _ => [0; 4],
        });
        assert_eq!(found, Stated { tsc: Some(2_900_000_000), apic_timer: Some(1_000_000_000) });
    }

    #[test]
    fn the_crystal_leaf() {
        let found = stated(|leaf| match leaf {
            0 => [0x16, 0, 0, 0],
            0x15 => [2, 168, 24_000_000, 0],
            _ => [0; 4],
        });
        assert_eq!(found, Stated { tsc: Some(2_016_000_000), apic_timer: Some(24_000_000) });
    }

    #[test]
    fn silence_is_no_statement() {
        assert_eq!(stated(|_| [0; 4]), Stated::default());
        // QEMU's TCG: leaves exist, but are empty; its hypervisor leaf ends at 0x4000_0001.
        let found = stated(|leaf| match leaf {
            0 => [0x16, 0, 0, 0],
            1 => HYPERVISOR,
            0x4000_0000 => [0x4000_0001, 0, 0, 0],
            _ => [0; 4],
        });
        assert_eq!(found, Stated::default());
    }
}
