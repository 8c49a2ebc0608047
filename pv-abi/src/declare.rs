//! The three macros through which everything in this crate is declared.
//!
//! A number or a layout is stated once and yields the Rust item, its
//! documentation of origin (C name and header) and its row in
//! [`crate::manifest`]. The row is what the layout test compares with the C
//! headers, so nothing can be declared here and escape the comparison. That
//! test also reads the sources and refuses public items declared by hand.

/// Declares constants: `NAME: type = value => "C expression";`. The C
/// expression is the Rust name itself where it is left out. One use a module.
macro_rules! constants {
    (in $header:literal; $(
        $(#[$meta:meta])*
        $name:ident: $ty:ty = $value:expr $(=> $c:literal)?;
    )*) => {
        $(
            $(#[$meta])*
            #[doc = ""]
            #[doc = concat!("C: `", c_name!($name $(=> $c)?), "` in `xen/", $header, "`.")]
            pub const $name: $ty = $value;
        )*
        /// What this module states, for [`crate::manifest`].
        pub(crate) const CONSTANTS: &[$crate::manifest::Constant] = &[$(
            $crate::manifest::Constant {
                rust: stringify!($name),
                c: c_name!($name $(=> $c)?),
                value: $name as i128,
            },
        )*];
    };
}

/// Declares `#[repr(C)]` structures:
/// `struct Name("C type", size) { field: type => ["C path", ...], }`.
///
/// A field without a list has the same name in C. The first path of a list has
/// exactly the field's offset and size; any further path is another member of
/// the same C union: same offset, no larger. An empty list is padding that C
/// leaves without a name. One use a module.
macro_rules! layouts {
    (in $header:literal; $(
        $(#[$meta:meta])*
        struct $name:ident($c:literal, $size:expr) {$(
            $(#[$field_meta:meta])*
            $field:ident: $ty:ty $(=> [$($path:literal),*])?,
        )*}
    )*) => {
        $(
            $(#[$meta])*
            #[doc = ""]
            #[doc = concat!("C: `", $c, "` in `xen/", $header, "`.")]
            #[derive(
                Clone, Copy, Debug, PartialEq, Eq,
                ::zerocopy::FromBytes, ::zerocopy::IntoBytes,
                ::zerocopy::KnownLayout, ::zerocopy::Immutable,
            )]
            #[repr(C)]
            pub struct $name {
                $($(#[$field_meta])* pub $field: $ty,)*
            }
            const _: () = assert!(core::mem::size_of::<$name>() == $size);
        )*
        /// What this module states, for [`crate::manifest`].
        pub(crate) const LAYOUTS: &[$crate::manifest::Layout] = &[$(
            $crate::manifest::Layout {
                rust: stringify!($name),
                c: $c,
                size: core::mem::size_of::<$name>(),
                fields: &[$(
                    $crate::manifest::Field {
                        rust: stringify!($field),
                        c: c_paths!($field $(=> [$($path),*])?),
                        offset: core::mem::offset_of!($name, $field),
                        size: core::mem::size_of::<$ty>(),
                    },
                )*],
            },
        )*];
    };
}

/// The C name of a constant.
macro_rules! c_name {
    ($name:ident) => {
        stringify!($name)
    };
    ($name:ident => $c:literal) => {
        $c
    };
}

/// The C paths of a field.
macro_rules! c_paths {
    ($field:ident) => {
        &[stringify!($field)]
    };
    ($field:ident => [$($path:literal),*]) => {
        &[$($path),*]
    };
}
