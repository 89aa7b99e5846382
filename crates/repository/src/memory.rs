//! What was found out once and is asked for by several inspections.

use std::{
    any::{Any, TypeId},
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

type Kept = Arc<OnceLock<Arc<dyn Any + Send + Sync>>>;

/// One value of each type.
#[derive(Default)]
pub struct Memory(Mutex<HashMap<TypeId, Kept>>);

impl Memory {
    /// The value of this type; `make` makes it the first time, while whoever else asks for it waits.
    pub fn remember<T: Any + Send + Sync>(&self, make: impl FnOnce() -> T) -> Arc<T> {
        let place = {
            let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(kept.entry(TypeId::of::<T>()).or_default())
        };
        let mut made = None;
        let value = place.get_or_init(|| {
            let value = Arc::new(make());
            made = Some(Arc::clone(&value));
            value
        });
        match (made, Arc::clone(value).downcast::<T>()) {
            (Some(value), _) | (None, Ok(value)) => value,
            // A place is found by its value's type.
            (None, Err(_)) => unreachable!("a value of another type"),
        }
    }
}

impl fmt::Debug for Memory {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Memory")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_made_once() {
        let memory = Memory::default();
        assert_eq!(*memory.remember(|| 1_u8), 1);
        assert_eq!(*memory.remember(|| 2_u8), 1);
        assert_eq!(*memory.remember(|| 3_u16), 3);
    }
}
