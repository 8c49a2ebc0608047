//! The table as text: four columns, each wrapped at words, 79 columns in all.

use core::fmt::{self, Write};

use crate::rows::Row;
use crate::seen::{Expect, Seen};
use crate::{ROWS, Ring};

/// Widths of the columns; two blanks part them.
const WIDTHS: [usize; 4] = [15, 17, 19, 22];

/// Room for the text of one cell.
const CELL_MAX: usize = 160;

/// Text of fixed capacity; what does not fit is cut off.
struct Cell {
    bytes: [u8; CELL_MAX],
    used: usize,
}

impl Cell {
    fn new(text: fmt::Arguments<'_>) -> Self {
        let mut cell = Self { bytes: [0; CELL_MAX], used: 0 };
        // Cutting off is all that can go wrong.
        let _ = cell.write_fmt(text);
        cell
    }

    fn text(&self) -> &str {
        let used = self.bytes.get(..self.used).unwrap_or(&[]);
        core::str::from_utf8(used).unwrap_or("?")
    }
}

impl Write for Cell {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for &byte in text.as_bytes() {
            let place = self.bytes.get_mut(self.used).ok_or(fmt::Error)?;
            *place = byte;
            self.used += 1;
        }
        Ok(())
    }
}

/// Splits off the next line of at most `width` characters, at a blank where there is one.
fn next_line(text: &str, width: usize) -> (&str, &str) {
    let text = text.trim_start_matches(' ');
    let broken = text.find('\n').unwrap_or(text.len());
    if broken <= width {
        let (line, rest) = text.split_at(broken);
        return (line, rest.strip_prefix('\n').unwrap_or(rest));
    }
    // The cells are ASCII: a byte is a character.
    let head = text.get(..=width).unwrap_or(text);
    let end = head.rfind(' ').unwrap_or(width);
    text.split_at(end)
}

fn print(cells: [&str; 4], out: &mut dyn Write) -> fmt::Result {
    let mut rest = cells;
    while rest.iter().any(|text| !text.is_empty()) {
        let mut column = 0;
        let mut start = 0;
        for (text, width) in rest.iter_mut().zip(WIDTHS) {
            let (line, after) = next_line(text, width);
            if !line.is_empty() {
                let pad = start - column;
                write!(out, "{:pad$}{line}", "")?;
                column = start + line.len();
            }
            *text = after;
            start += width + 2;
        }
        out.write_char('\n')?;
    }
    Ok(())
}

/// The lines above the table.
pub fn head(ring: Ring, out: &mut dyn Write) -> fmt::Result {
    let (title, here) = match ring {
        Ring::One => ("Sensitive but unprivileged instructions in Ring 1", "HERE, IN RING 1"),
        Ring::Three => ("\nThe same in Ring 3, where it differs", "HERE, IN RING 3"),
    };
    writeln!(out, "{title}\n")?;
    print(["INSTRUCTION", here, "NATIVE RING 0", "THE PV ABI INSTEAD"], out)
}

/// One row.
pub fn row(
    row: &Row,
    expected: Expect,
    seen: Seen,
    good: bool,
    out: &mut dyn Write,
) -> fmt::Result {
    let first = Cell::new(format_args!("{}\n{}", row.form, if good { "ok" } else { "DIFFERS" }));
    let here = if good {
        Cell::new(format_args!("{seen}"))
    } else {
        Cell::new(format_args!("{seen}\nexpected {expected}"))
    };
    print([first.text(), here.text(), row.native, row.instead], out)
}

/// The line below the table.
pub fn foot(ring: Ring, differences: u32, out: &mut dyn Write) -> fmt::Result {
    let rows = ROWS.iter().filter(|row| row.expected(ring).is_some()).count();
    match differences {
        0 => writeln!(out, "{rows} rows, all as expected"),
        _ => writeln!(out, "{rows} rows, {differences} DIFFER"),
    }
}
