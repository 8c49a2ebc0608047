//! The layout's facts.

use super::*;

fn wanted() -> Wanted {
    Wanted {
        width: Width::Pv32,
        virt_base: 0xc000_0000,
        kernel_end: 0xc011_2345,
        initrd_len: 5000,
        initrd_unmapped: false,
        ring_pages: 0,
        pages: 16384,
        limit: 0xf580_0000,
    }
}

#[test]
fn parts_follow_each_other_as_in_xen() {
    let l = Layout::new(&wanted()).unwrap();
    assert_eq!(l.initrd, 0xc011_3000);
    assert_eq!(l.p2m, 0xc011_5000);
    assert_eq!(l.start_info, 0xc011_5000 + 16384 * 4);
    assert_eq!(l.tables, l.start_info + PAGE);
    // Root, one level-2 table (slot 3), two level-1 tables for 4 MiB.
    assert_eq!(l.table_count, 4);
    assert_eq!(l.stack, l.tables + 4 * PAGE);
    assert_eq!(l.end, 0xc040_0000);
    assert_eq!(l.pages_needed, 1024);
    assert_eq!(l.pfn(l.stack), (l.stack - 0xc000_0000) / PAGE);
}

#[test]
fn below_3_gib_there_is_a_table_more_for_the_window() {
    let l = Layout::new(&Wanted { virt_base: 0x8000_0000, kernel_end: 0x8011_0000, ..wanted() })
        .unwrap();
    assert_eq!(l.table_count, 5);
}

#[test]
fn an_end_at_3_gib_needs_the_window_table_and_one_past_it_has_it() {
    let at = Wanted { virt_base: 0x8000_0000, kernel_end: 0xbfb0_0000, pages: 1 << 20, ..wanted() };
    let l = Layout::new(&at).unwrap();
    assert!(l.end > 0xc000_0000);
    assert_eq!(l.table_count, 1 + 2 + (l.end - l.start).div_ceil(2 << 20));
    assert_eq!(tables_for(Width::Pv32, 0x8000_0000, 0xc000_0000), 1 + 2 + 512);
}

#[test]
fn rings_lie_between_start_info_and_tables() {
    let without = Layout::new(&wanted()).unwrap();
    let l = Layout::new(&Wanted { ring_pages: RINGS, ..wanted() }).unwrap();
    assert_eq!((l.start_info, l.rings), (without.start_info, without.start_info + PAGE));
    assert_eq!(l.tables, l.rings + 2 * PAGE);
}

#[test]
fn there_is_always_slack_behind_the_stack() {
    for kernel_end in (0xc010_0000..0xc140_0000_u64).step_by(0x7_f123) {
        let l = Layout::new(&Wanted { kernel_end, ..wanted() }).unwrap();
        let slack = l.end - (l.stack + PAGE);
        assert!((SLACK..SLACK + END_ALIGNMENT).contains(&slack));
        assert!(l.end.is_multiple_of(END_ALIGNMENT));
        assert!(l.table_count >= tables_for(Width::Pv32, l.start, l.end));
    }
}

#[test]
fn an_unmapped_initrd_lies_behind_everything() {
    let l = Layout::new(&Wanted { initrd_unmapped: true, ..wanted() }).unwrap();
    assert_eq!(l.p2m, 0xc011_3000);
    assert_eq!(l.initrd, l.end);
    assert_eq!(l.pages_needed, 1024 + 2);
}

#[test]
fn too_little_memory_is_said_in_numbers() {
    let error = Layout::new(&Wanted { pages: 1000, ..wanted() }).unwrap_err();
    assert_eq!(error, LayoutError::TooLittleMemory { needed: 1024, pages: 1000 });
    assert_eq!(std::format!("{error}"), "its start takes 4096 KiB of memory, and it has 4000 KiB");
}

#[test]
fn the_hypervisors_window_is_left_alone() {
    let big = Wanted { initrd_len: 0x3560_0000, pages: 1 << 20, ..wanted() };
    let error = Layout::new(&big).unwrap_err();
    assert!(
        matches!(error, LayoutError::TooLarge { end, limit: 0xf580_0000 } if end > 0xf580_0000)
    );
    for huge in [u64::MAX, u64::MAX - PAGE, 1 << 63] {
        let error = Layout::new(&Wanted { initrd_len: huge, ..wanted() }).unwrap_err();
        assert!(matches!(error, LayoutError::TooLarge { .. }), "{error}");
    }
}

#[test]
fn a_64_bit_guest_has_four_levels_and_longer_numbers() {
    let base = 0xffff_ffff_8000_0000;
    let l = Layout::new(&Wanted {
        width: Width::Pv64,
        virt_base: base,
        kernel_end: base + 0x11_0000,
        limit: u64::MAX,
        ..wanted()
    })
    .unwrap();
    assert_eq!(l.table_count, 5);
    assert_eq!(l.start_info - l.p2m, 16384 * 8);
}
