//! How `ls` lays out a node's line.
//!
//! As Xen's `xenstore-ls` does it, to the column: on a terminal a line fits into its width, elsewhere
//! into 80 columns; a value that does not fit is cut and marked with `\...`; permissions stand in a
//! column of their own, behind dots.

use crate::output::{Kind, Line};
use crate::text::escape;

/// Without a terminal.
const WIDTH: usize = 80;
/// Where permissions stand.
const PERMISSIONS: usize = 60;
/// What surrounds a value: ` = "..."`.
const FRAME: usize = 8;

/// How wide lines may be.
#[derive(Clone, Copy)]
pub struct Layout {
    /// Whole paths instead of indented names.
    flat: bool,
    width: usize,
}

impl Layout {
    /// `columns`: those of the terminal, if output goes to one.
    pub fn new(flat: bool, columns: Option<usize>) -> Self {
        let unbounded = if flat { usize::MAX / 2 } else { WIDTH };
        let width = columns.map_or(unbounded, |columns| columns.saturating_sub(2));
        Self { flat, width }
    }

    /// The line of a node without its permissions. `value`: None if it could not be read.
    pub fn line(
        self,
        depth: usize,
        path: &str,
        value: Option<&[u8]>,
        with_permissions: bool,
    ) -> Line {
        let mut line = Line::default();
        let mut used = 0;
        if self.flat {
            line.push(Kind::Name, path);
        } else {
            let name = path.rsplit('/').next().unwrap_or(path);
            used = depth;
            let name = self.cut(name.as_bytes(), used);
            line.push(Kind::Plain, vec![b' '; depth]);
            line.push(Kind::Name, name);
            used += name.len();
        }
        let Some(value) = value else {
            line.push(Kind::Plain, ":\n");
            return line;
        };
        let text = escape(value);
        line.push(Kind::Plain, " = \"");
        // The length before escaping decides: so it does in Xen's.
        if self.width < used + value.len() + FRAME {
            line.push(Kind::Value, self.cut(&text, used));
            line.push(Kind::Plain, "\\...\"");
            return line;
        }
        line.push(Kind::Value, text.as_slice());
        line.push(Kind::Plain, "\"");
        if with_permissions {
            used += " = \"\"".len() + text.len() + 1;
            let column = if self.flat { 0 } else { PERMISSIONS.min(self.width) };
            let dots = (used..column).map(|at| if at % 2 == 1 { b'.' } else { b' ' });
            line.push(Kind::Plain, std::iter::once(b' ').chain(dots).collect::<Vec<u8>>());
        }
        line
    }

    /// What fits of a text where `used` columns are used and a value's frame must still fit. Where not
    /// even that is so, all of it: C's `%.*s` takes a negative precision for none.
    fn cut(self, text: &[u8], used: usize) -> &[u8] {
        let room = self.width.checked_sub(FRAME + used);
        room.and_then(|room| text.get(..room)).unwrap_or(text)
    }
}
