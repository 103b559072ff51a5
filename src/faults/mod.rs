//! The registry of faults and operations: one word each. A fault is one file beside this one.

pub mod kill_primary;
pub mod restore_backup;
pub mod scale_to_zero;

/// Declares the registry. The order is the order of documentation.
macro_rules! faults {
    ($($module:ident :: $spec:ident = $word:literal),+ $(,)?) => {
        /// What an experiment's `method` may hold.
        #[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
        #[serde(rename_all = "kebab-case")]
        pub enum FaultSpec {
            $(
                #[doc = concat!("`", $word, "`")]
                $spec($module::$spec),
            )+
        }

        /// The words, with the sample of each that documentation and tests use.
        pub const FAULTS: &[(&str, &str)] = &[$(($word, $module::$spec::SAMPLE)),+];

        impl FaultSpec {
            /// The word in `method` and in `allow`.
            pub fn word(&self) -> &'static str {
                match self { $(Self::$spec(_) => $word),+ }
            }
        }
    };
}

faults![
    kill_primary::KillPrimary = "kill-primary",
    scale_to_zero::ScaleToZero = "scale-to-zero",
    restore_backup::RestoreBackup = "restore-backup",
];
