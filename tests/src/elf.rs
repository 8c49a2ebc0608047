//! Makes small PV kernels: ELF files with Xen notes, well-made or not.

use pv_abi::elfnote as note;

/// A segment to be loaded.
#[derive(Clone, Debug)]
pub struct Segment {
    /// `p_paddr`.
    pub address: u64,
    /// Its bytes.
    pub data: Vec<u8>,
    /// `p_memsz`.
    pub memory_size: u64,
}

/// A kernel in the making. Its fields are what goes into the file, right or wrong.
#[derive(Clone, Debug)]
pub struct KernelElf {
    /// ELF class: 1 for 32-bit, 2 for 64-bit.
    pub class: u8,
    /// `e_machine`.
    pub machine: u16,
    /// `e_type`.
    pub kind: u16,
    /// `e_entry`.
    pub entry: u64,
    /// What is loaded.
    pub segments: Vec<Segment>,
    /// Notes: type and contents.
    pub notes: Vec<(u32, Vec<u8>)>,
    /// Bytes to leave off the end of the note segment, as GRUB's kernel does.
    pub notes_cut: usize,
    /// The text of a `__xen_guest` section, if there is one.
    pub xen_guest: Option<String>,
}

impl KernelElf {
    /// A kernel at `virt_base`: 8 KiB of code and data at 1 MiB, 6 KiB of bss behind it.
    pub fn pv32(virt_base: u32) -> KernelElf {
        let base = u64::from(virt_base);
        let mut kernel = KernelElf {
            class: 1,
            machine: 3,
            kind: 2,
            entry: base + 0x10_0010,
            segments: vec![
                Segment {
                    address: 0x10_0000,
                    data: (0..0x1000_u32).map(|i| i as u8).collect(),
                    memory_size: 0x1000,
                },
                Segment { address: 0x10_1000, data: vec![0x5a; 0xffd], memory_size: 0x2800 },
            ],
            notes: Vec::new(),
            notes_cut: 0,
            xen_guest: None,
        };
        kernel.set_text(note::XEN_ELFNOTE_GUEST_OS, "test");
        kernel.set_text(note::XEN_ELFNOTE_XEN_VERSION, "xen-3.0");
        kernel.set_text(note::XEN_ELFNOTE_LOADER, "generic");
        kernel.set_number(note::XEN_ELFNOTE_VIRT_BASE, virt_base);
        kernel.set_number(note::XEN_ELFNOTE_PADDR_OFFSET, 0);
        kernel.set_number(note::XEN_ELFNOTE_ENTRY, virt_base + 0x10_0010);
        kernel.set_number(note::XEN_ELFNOTE_HYPERCALL_PAGE, virt_base + 0x10_0000);
        kernel.set_number(note::XEN_ELFNOTE_HV_START_LOW, 0xf580_0000);
        kernel.set_text(note::XEN_ELFNOTE_PAE_MODE, "yes");
        kernel
    }

    /// Sets a string note.
    pub fn set_text(&mut self, kind: u32, text: &str) {
        self.set(kind, [text.as_bytes(), &[0]].concat());
    }

    /// Sets a numeric note of 4 bytes.
    pub fn set_number(&mut self, kind: u32, number: u32) {
        self.set(kind, number.to_le_bytes().to_vec());
    }

    /// Sets a note; one of the same type is replaced in its place.
    pub fn set(&mut self, kind: u32, desc: Vec<u8>) {
        match self.notes.iter_mut().find(|(k, _)| *k == kind) {
            Some((_, old)) => *old = desc,
            None => self.notes.push((kind, desc)),
        }
    }

    /// Takes a note away.
    pub fn remove(&mut self, kind: u32) {
        self.notes.retain(|(k, _)| *k != kind);
    }

    /// The note segment's bytes.
    fn note_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (kind, desc) in &self.notes {
            bytes.extend(4_u32.to_le_bytes());
            bytes.extend((desc.len() as u32).to_le_bytes());
            bytes.extend(kind.to_le_bytes());
            bytes.extend(b"Xen\0");
            bytes.extend(desc);
            bytes.resize(bytes.len().next_multiple_of(4), 0);
        }
        bytes.truncate(bytes.len().saturating_sub(self.notes_cut));
        bytes
    }

    /// The file: header, program headers, contents; section headers only for `__xen_guest`.
    pub fn file(&self) -> Vec<u8> {
        let wide = self.class == 2;
        let (header_len, ph_len) = if wide { (64, 56) } else { (52, 32) };
        let notes = self.note_bytes();
        let count = self.segments.len() + usize::from(!notes.is_empty());
        let mut at = header_len + count * ph_len;
        let mut headers = Vec::new();
        let mut body = Vec::new();
        for s in &self.segments {
            let size = s.data.len() as u64;
            headers.extend(self.program_header(1, at as u64, s.address, size, s.memory_size));
            body.extend(&s.data);
            at += s.data.len();
        }
        if !notes.is_empty() {
            let size = notes.len() as u64;
            headers.extend(self.program_header(4, at as u64, 0, size, size));
            body.extend(&notes);
            at += notes.len();
        }
        let (sections, section_count) = self.sections(at);
        let section_headers = if section_count == 0 { 0 } else { at + sections.names_len };
        body.extend(sections.bytes);

        let mut file = vec![0x7f, b'E', b'L', b'F', self.class, 1, 1, 0];
        file.resize(16, 0);
        file.extend(self.kind.to_le_bytes());
        file.extend(self.machine.to_le_bytes());
        file.extend(1_u32.to_le_bytes());
        for word in [self.entry, header_len as u64, section_headers as u64] {
            file.extend(self.long(word));
        }
        file.extend(0_u32.to_le_bytes());
        let sh_len = if wide { 64 } else { 40 };
        let index = if section_count == 0 { 0 } else { 1 };
        for half in [header_len, ph_len, count, sh_len, section_count, index] {
            file.extend((half as u16).to_le_bytes());
        }
        file.extend(headers);
        file.extend(body);
        file
    }

    fn long(&self, value: u64) -> Vec<u8> {
        if self.class == 2 {
            value.to_le_bytes().to_vec()
        } else {
            (value as u32).to_le_bytes().to_vec()
        }
    }

    fn program_header(&self, kind: u32, at: u64, address: u64, file: u64, memory: u64) -> Vec<u8> {
        let mut bytes = kind.to_le_bytes().to_vec();
        if self.class == 2 {
            bytes.extend(7_u32.to_le_bytes());
        }
        for word in [at, address, address, file, memory] {
            bytes.extend(self.long(word));
        }
        if self.class == 1 {
            bytes.extend(7_u32.to_le_bytes());
        }
        bytes.extend(self.long(4096));
        bytes
    }

    /// Section names and contents at file offset `at`, then three section headers (32-bit).
    fn sections(&self, at: usize) -> (Sections, usize) {
        let Some(text) = &self.xen_guest else {
            return (Sections { bytes: Vec::new(), names_len: 0 }, 0);
        };
        let names = b"\0.shstrtab\0__xen_guest\0";
        let mut bytes = names.to_vec();
        bytes.extend(text.as_bytes());
        bytes.push(0);
        let names_len = bytes.len();
        bytes.resize(bytes.len() + 40, 0);
        let placed = [(1_u32, at, names.len()), (11, at + names.len(), text.len() + 1)];
        for (name, offset, size) in placed {
            for word in [name, 3, 0, 0, offset as u32, size as u32, 0, 0, 1, 0] {
                bytes.extend(word.to_le_bytes());
            }
        }
        (Sections { bytes, names_len }, 3)
    }
}

/// What follows the segments in the file.
struct Sections {
    bytes: Vec<u8>,
    /// Bytes before the section headers.
    names_len: usize,
}
