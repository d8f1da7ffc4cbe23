//! Tests of stanzas.
