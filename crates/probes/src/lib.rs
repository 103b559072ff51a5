//! The registry of probes, one word each, and the open-loop sampler that runs them. A probe is one file beside this one.
//!
//! A crate of its own, so that the code which every sample goes through is built for speed and the rest of the product for
//! size, and so that it can know neither drills nor clusters.

mod ask;
pub mod book;
pub mod clock;
pub mod config;
pub mod detour;
pub mod http;
pub mod ledger;
pub mod ledger_table;
pub mod pace;
mod postgres;
mod sampler;
pub mod scalar;
mod schedule;
pub mod set;
mod slots;
pub mod sql;
mod stalls;
pub mod summary;
pub mod tcp;
mod timer;
mod wire;

/// Declares the registry.
macro_rules! probes {
    ($($module:ident :: $spec:ident = $word:literal),+ $(,)?) => {
        /// What an estate's `probes` may hold.
        #[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
        #[serde(rename_all = "kebab-case")]
        pub enum ProbeSpec {
            $(
                #[doc = concat!("`", $word, "`")]
                $spec($module::$spec),
            )+
        }

        /// The words, with the sample of each that documentation and tests use.
        pub const PROBES: &[(&str, &str)] = &[$(($word, $module::$spec::SAMPLE)),+];

        impl ProbeSpec {
            /// The word in an estate.
            pub fn word(&self) -> &'static str {
                match self { $(Self::$spec(_) => $word),+ }
            }

            /// The target it asks, when it names one of the estate.
            pub fn target(&self) -> Option<&crate::scalar::Name> {
                match self { $(Self::$spec(p) => p.target()),+ }
            }

            /// Its rates and its timeout.
            pub fn pace(&self) -> pace::Pace {
                match self { $(Self::$spec(p) => p.pace()),+ }
            }
        }
    };
}

probes![ledger::Ledger = "ledger", sql::Sql = "sql", http::Http = "http", tcp::Tcp = "tcp"];
