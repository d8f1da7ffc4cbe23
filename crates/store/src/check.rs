//! What every back end refuses before it touches anything, so that all refuse the same.

use crate::{Condition, Entry, StoreError, Write};

/// The largest value or body, in bytes. A stanza is far smaller; this only keeps one row from filling the memory.
pub const MAX_VALUE_BYTES: usize = 16 * 1024 * 1024;
/// The longest owner, peer, key or second key, in bytes (a full address has at most 3071, RFC 7622 §3.1).
pub const MAX_KEY_BYTES: usize = 8 * 1024;
/// The largest entry id and log id: databases count in signed numbers.
pub const MAX_ID: u64 = i64::MAX as u64;

/// Looks over a batch: ids ascend and are in range, keys and values are not too large, log rows have flags.
///
/// # Errors
/// [`StoreError::Refused`] with the reason.
pub fn check_batch(batch: &[Entry]) -> Result<(), StoreError> {
    let mut last = 0;
    for entry in batch {
        if entry.id <= last || entry.id > MAX_ID {
            return refused(format!("entry id {} does not ascend or is out of range", entry.id));
        }
        last = entry.id;
        entry.conditions.iter().try_for_each(check_condition)?;
        entry.writes.iter().try_for_each(check_write)?;
    }
    Ok(())
}

fn check_condition(condition: &Condition) -> Result<(), StoreError> {
    match condition {
        Condition::AccountExists(owner) | Condition::AccountAbsent(owner) | Condition::MapFewerThan(_, owner, _) => {
            key(owner)
        }
        Condition::MapExists(_, owner, row)
        | Condition::MapAbsent(_, owner, row)
        | Condition::MapBegins(_, owner, row, _) => key(owner).and_then(|()| key(row)),
    }
}

fn check_write(write: &Write) -> Result<(), StoreError> {
    match write {
        Write::AccountPut { owner, value: bytes } | Write::DocPut { owner, value: bytes, .. } => {
            key(owner)?;
            value(bytes.len())
        }
        Write::AccountRemove { owner }
        | Write::DocRemove { owner, .. }
        | Write::MapClear { owner, .. }
        | Write::NumberRemove { owner, .. }
        | Write::NumbersBelow { owner, .. }
        | Write::LogClearFlags { owner, .. } => key(owner),
        Write::MapPut { owner, key: row, second, value: bytes, .. } => {
            key(owner)?;
            key(row)?;
            key(second.as_deref().unwrap_or_default())?;
            value(bytes.len())
        }
        Write::MapTrim { owner, second, .. } => key(owner).and_then(|()| key(second)),
        Write::MapRemove { owner, key: row, .. } => key(owner).and_then(|()| key(row)),
        Write::NumberPut { owner, key: number, value, .. } => {
            if *number > MAX_ID || *value > MAX_ID {
                return refused(format!("number {number} or its value {value} is out of range"));
            }
            key(owner)
        }
        Write::LogAppend { rows, body, .. } => {
            for row in rows {
                key(&row.owner)?;
                key(&row.peer)?;
                if row.flags == 0 {
                    return refused(format!("log row {} has no flags", row.id));
                }
                if row.id == 0 || row.id > MAX_ID {
                    return refused(format!("log id {} is out of range", row.id));
                }
            }
            value(body.len())
        }
        Write::LogIndex { up_to, texts, .. } => {
            if *up_to > MAX_ID {
                return refused(format!("body number {up_to} is out of range"));
            }
            texts.iter().try_for_each(|(_, text)| value(text.len()))
        }
    }
}

fn key(text: &str) -> Result<(), StoreError> {
    if text.len() > MAX_KEY_BYTES {
        return refused(format!("a key of {} bytes is too long", text.len()));
    }
    Ok(())
}

fn value(len: usize) -> Result<(), StoreError> {
    if len > MAX_VALUE_BYTES {
        return refused(format!("a value of {len} bytes is too large"));
    }
    Ok(())
}

fn refused<T>(reason: String) -> Result<T, StoreError> {
    Err(StoreError::Refused(reason))
}
