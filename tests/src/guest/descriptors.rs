//! A guest's descriptor tables.

use pv_abi::mmu::MMUEXT_SET_LDT;
use pv_abi::{hypercall as nr, mmu};

use super::{Guest, Page};

impl Guest {
    /// A page of descriptors, mapped read-only as descriptor tables are.
    pub fn descriptors(&mut self, descriptors: &[u64]) -> Page {
        let page = self.page();
        self.write(page.va, descriptors);
        let read_only = page.maddr() | 0x21;
        assert_eq!(self.update_va(page.va, read_only, mmu::UVMF_INVLPG), 0);
        page
    }

    /// Makes these the guest's GDT; returns the page they are in.
    pub fn set_gdt(&mut self, descriptors: &[u64]) -> Page {
        let page = self.descriptors(descriptors);
        let list = self.arg(&[page.mfn.raw() as u32]);
        assert_eq!(self.call(nr::SET_GDT, &[list, descriptors.len() as u64]), 0);
        page
    }

    /// Makes these the guest's LDT; returns the page they are in.
    pub fn set_ldt(&mut self, descriptors: &[u64]) -> Page {
        let page = self.descriptors(descriptors);
        assert_eq!(self.mmuext(MMUEXT_SET_LDT, page.va, descriptors.len() as u64), 0);
        page
    }
}
