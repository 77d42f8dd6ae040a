//! How figures are shown: as text and as a picture.

pub(crate) mod chart;
pub(crate) mod table;
