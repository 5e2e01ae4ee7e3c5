//! SCRAM's salted passwords, kept for further connections: the brokers of one cluster share salt and iterations, and
//! salting takes a client some milliseconds of work each time.

use std::collections::VecDeque;
use std::fmt;
use std::num::NonZeroU32;
use std::sync::Mutex;
use std::sync::PoisonError;

use aws_lc_rs::pbkdf2;

use crate::formats::secret::ExposeSecret;
use crate::formats::secret::SecretSlice;

/// Most salted passwords that are kept. One user has one for each mechanism, until the password is changed.
const KEPT_MAX: usize = 4;

/// What a salted password is made for.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Recipe {
    mechanism: &'static str,
    iterations: NonZeroU32,
    salt: Vec<u8>,
}

/// The salted passwords of one user, for as long as the cluster is spoken to.
#[derive(Default)]
pub struct SaltedPasswords(Mutex<VecDeque<(Recipe, SecretSlice<u8>)>>);

impl fmt::Debug for SaltedPasswords {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SaltedPasswords")
    }
}

impl SaltedPasswords {
    /// `Hi(password, salt, iterations)` of RFC 5802: made once, handed to `take` each time. Nothing where the mechanism
    /// is no SCRAM that we know, or the number of iterations is 0.
    pub(super) fn with<T>(
        &self,
        (mechanism, password): (&str, &[u8]),
        (salt, iterations): (&[u8], u32),
        take: impl FnOnce(&[u8]) -> T,
    ) -> Option<T> {
        let (mechanism, algorithm, length) = match mechanism {
            "SCRAM-SHA-256" => ("SCRAM-SHA-256", pbkdf2::PBKDF2_HMAC_SHA256, 32),
            "SCRAM-SHA-512" => ("SCRAM-SHA-512", pbkdf2::PBKDF2_HMAC_SHA512, 64),
            _ => return None,
        };
        let recipe = Recipe { mechanism, iterations: NonZeroU32::new(iterations)?, salt: salt.to_vec() };
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, salted)) = kept.iter().find(|(known, _)| *known == recipe) {
            return Some(take(salted.expose_secret()));
        }
        let mut salted = vec![0; length];
        pbkdf2::derive(algorithm, recipe.iterations, salt, password, &mut salted);
        let taken = take(&salted);
        kept.truncate(KEPT_MAX - 1);
        kept.push_front((recipe, SecretSlice::from(salted)));
        Some(taken)
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;

    use super::*;

    fn salted(kept: &SaltedPasswords, mechanism: &str, salt: &[u8], iterations: u32) -> Option<Vec<u8>> {
        kept.with((mechanism, b"pencil"), (salt, iterations), <[u8]>::to_vec)
    }

    /// RFC 7677's example: password `pencil`, this salt, 4096 iterations.
    #[test]
    fn the_example_of_the_rfc_is_salted_right() {
        let salt = STANDARD.decode("W22ZaJ0SNY7soEsUEjb6gQ==").unwrap();
        let kept = SaltedPasswords::default();
        let first = salted(&kept, "SCRAM-SHA-256", &salt, 4096).unwrap();
        assert_eq!(STANDARD.encode(&first), "xKSVEDI6tPlSysH6mUQZOeeOp01r6B3fcJbodRPcYV0=");
        assert_eq!(salted(&kept, "SCRAM-SHA-256", &salt, 4096), Some(first));
        assert_eq!(kept.0.lock().unwrap().len(), 1);
    }

    #[test]
    fn another_salt_mechanism_or_number_is_another_one_and_few_are_kept() {
        let kept = SaltedPasswords::default();
        let all = [("SCRAM-SHA-256", 0, 1), ("SCRAM-SHA-512", 0, 1), ("SCRAM-SHA-256", 1, 1), ("SCRAM-SHA-256", 0, 2)];
        let made: Vec<_> = all.iter().map(|(name, salt, count)| salted(&kept, name, &[*salt; 8], *count)).collect();
        for (one, other) in made.iter().zip(&made[1..]) {
            assert!(one.is_some() && one != other);
        }
        for salt in 0..20 {
            salted(&kept, "SCRAM-SHA-512", &[salt; 8], 1).unwrap();
        }
        assert_eq!(kept.0.lock().unwrap().len(), KEPT_MAX);
        assert_eq!(salted(&kept, "SCRAM-SHA-256", &[0; 8], 1), made[0]);
        assert_eq!(salted(&kept, "PLAIN", &[0; 8], 1), None);
        assert_eq!(salted(&kept, "SCRAM-SHA-256", &[0; 8], 0), None);
    }
}
