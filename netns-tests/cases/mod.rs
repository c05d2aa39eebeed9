//! One file per theme.

mod lab_itself;
