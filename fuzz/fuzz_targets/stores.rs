//! Any bytes as a key store or trust store, with and without a password: certificates and keys, or an error, never a panic. The first
//! byte chooses the form that the settings name, and whether there is a password.
#![no_main]

use kafka_toolbox_fuzz::{StoreKind, opens};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let [choice, store @ ..] = bytes else { return };
    let kind = [StoreKind::Pem, StoreKind::Pkcs12, StoreKind::Jks][usize::from(choice % 3)];
    let password = if choice & 0x80 == 0 { "" } else { "changeit" };
    let _ = opens(kind, store, password);
});
