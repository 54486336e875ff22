//! ALSA's functions, looked up in `libasound.so.2` when they are first called.
//!
//! This stands in the place of the crate `alsa-sys` (`[patch.crates-io]` in the workspace's `Cargo.toml`), which links the library: what
//! links it does not even start where it is not installed. With this, a program starts anywhere, builds without ALSA's headers, and is told
//! by `alsa` that ALSA is not there when it asks for it: each function then fails as ALSA's own do, with -ENOSYS or a null pointer.
//!
//! What is declared, in `generated.rs`, is what the crates `alsa` and `cpal` use; `generate` writes it from ALSA's headers.
//!
//! All of `unsafe` here is of two kinds: the foreign functions themselves, whose contracts are ALSA's, and the lookup that finds them.

#![cfg(unix)]
#![no_std]
#![allow(non_camel_case_types, non_snake_case)]
#![allow(clippy::missing_safety_doc, reason = "the functions' contracts are in ALSA's documentation")]

use core::ffi::{CStr, c_char, c_int, c_long, c_longlong, c_uint, c_ulong, c_void};
use core::mem::transmute;
use core::ptr::{self, null_mut};
use core::sync::atomic::{AtomicPtr, Ordering};

/// The library's name: the one that its packages install for programs.
const LIBRARY: &CStr = c"libasound.so.2";

/// Where the library is loaded; null until then, and [`absent`] once it could not be.
static HANDLE: AtomicPtr<c_void> = AtomicPtr::new(null_mut());

/// An address that is no library's: it marks that there is none.
fn absent() -> *mut c_void {
    ptr::from_ref(&HANDLE).cast_mut().cast()
}

/// Whether the library is there. It is loaded for the answer, once for the process.
pub fn is_available() -> bool {
    let loaded = HANDLE.load(Ordering::Acquire);
    if !loaded.is_null() {
        return loaded != absent();
    }
    // SAFETY: the name is a C string, and the library's initialisers are those of any program that links it. Loading it twice, by two
    // threads at once, gives the same handle.
    let found = unsafe { libc::dlopen(LIBRARY.as_ptr(), libc::RTLD_NOW | libc::RTLD_LOCAL) };
    HANDLE.store(if found.is_null() { absent() } else { found }, Ordering::Release);
    !found.is_null()
}

/// A function's address, looked up at its first call.
struct Symbol(AtomicPtr<c_void>);

impl Symbol {
    const fn new() -> Self {
        Self(AtomicPtr::new(null_mut()))
    }

    /// The address; null where the library, or this function of it, is not there.
    fn address(&self, name: &CStr) -> *mut c_void {
        let known = self.0.load(Ordering::Relaxed);
        if known.is_null() { self.look_up(name) } else { known }
    }

    #[cold]
    fn look_up(&self, name: &CStr) -> *mut c_void {
        if !is_available() {
            return null_mut();
        }
        // SAFETY: the handle is that of a loaded library, which is never unloaded, and the name is a C string.
        let found = unsafe { libc::dlsym(HANDLE.load(Ordering::Acquire), name.as_ptr()) };
        self.0.store(found, Ordering::Relaxed);
        found
    }
}

/// What a function gives that is not there.
trait Absent {
    fn absent() -> Self;
}

impl Absent for () {
    fn absent() {}
}

impl<T> Absent for *const T {
    fn absent() -> Self {
        ptr::null()
    }
}

impl<T> Absent for *mut T {
    fn absent() -> Self {
        null_mut()
    }
}

impl<T> Absent for Option<T> {
    fn absent() -> Self {
        None
    }
}

macro_rules! absent {
    ($($value:expr => $($number:ty),+;)+) => {
        $($(impl Absent for $number {
            fn absent() -> Self {
                $value
            }
        })+)+
    };
}

absent! {
    -(libc::ENOSYS as Self) => i16, i32, i64, isize;
    -1 => i8;
    0 => u8, u16, u32, u64, usize;
}

/// Defines functions of the library.
macro_rules! functions {
    ($(fn $name:ident($($argument:ident: $kind:ty),* $(,)?) $(-> $result:ty)?;)+) => {
        /// The names of all functions that are declared here.
        pub const FUNCTIONS: &[&CStr] = &[$(name!($name)),+];

        $(pub unsafe fn $name($($argument: $kind),*) $(-> $result)? {
            static SYMBOL: Symbol = Symbol::new();
            let address = SYMBOL.address(name!($name));
            if address.is_null() {
                return Absent::absent();
            }
            // SAFETY: the address is that of the function of this name, whose type the headers tell; the caller keeps its contract.
            unsafe {
                let function = transmute::<*mut c_void, unsafe extern "C" fn($($kind),*) $(-> $result)?>(address);
                function($($argument),*)
            }
        })+
    };
}

macro_rules! name {
    ($name:ident) => {
        match CStr::from_bytes_with_nul(concat!(stringify!($name), "\0").as_bytes()) {
            Ok(name) => name,
            Err(_) => c"",
        }
    };
}

/// Whether the library has the function.
pub fn has(function: &CStr) -> bool {
    !Symbol::new().address(function).is_null()
}

include!("generated.rs");
