//! Whether the journal is what its runners wrote: nothing changed, nothing missing, nothing cut off.
//!
//! Each drill's records are a chain of digests, and its sealed samples are named in it. Where the chain ended stands in the
//! drill's report too, which is filed elsewhere as well; and each report names the digest of the one before it.

use crate::store::journal::{DrillRow, Journal, JournalError, SampleChunk};
use firedrill_core::digest::Digest;
use firedrill_core::event::{Event, Record};
use firedrill_core::report::Report;
use firedrill_core::time::Known;
use std::collections::{BTreeMap, BTreeSet};

/// One thing in the journal that is not as its runners left it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tampered {
    /// The drill.
    pub drill: String,
    /// What is wrong, as a sentence.
    pub what: String,
}

/// What was held against its digests.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verified {
    /// How many drills.
    pub drills: usize,
    /// How many records.
    pub records: usize,
    /// How many chunks of samples.
    pub chunks: usize,
    /// How many reports.
    pub reports: usize,
    /// All that is wrong.
    pub tampered: Vec<Tampered>,
}

impl Verified {
    fn tell(&mut self, drill: &str, what: impl Into<String>) {
        self.tampered.push(Tampered { drill: drill.to_owned(), what: what.into() });
    }
}

/// A report as it was filed somewhere, out of reach of whoever writes to the journal.
#[derive(Clone, Debug)]
pub struct Outside {
    /// Where, for people.
    pub place: String,
    /// Its JSON.
    pub text: String,
}

impl Journal {
    /// Holds every drill of the journal against its digests, and against reports that lie outside.
    ///
    /// # Errors
    /// When it cannot be read. What is wrong in it is no error: it is what was looked for.
    pub async fn verify(&self, outside: &[Outside]) -> Result<Verified, JournalError> {
        let mut verified = Verified::default();
        let rows = self.drills().await?;
        let mut reports: BTreeSet<String> = BTreeSet::new();
        let mut before: Vec<(String, String)> = Vec::new();
        for row in &rows {
            verified.drills += 1;
            let records = match self.records(&row.drill).await {
                Ok((records, head)) => Some((records, head)),
                Err(JournalError::Corrupt { seq, why, .. }) => {
                    verified.tell(&row.drill, format!("record {seq} is not what was written: {why}"));
                    None
                }
                Err(e) => return Err(e),
            };
            if let Some((records, _)) = &records {
                verified.records += records.len();
                let chunks = self.samples(&row.drill).await?;
                verified.chunks += chunks.len();
                chunks_against_seals(&mut verified, &row.drill, records, &chunks);
            }
            let Some(text) = self.report(&row.drill).await? else { continue };
            verified.reports += 1;
            reports.insert(Digest::of(text.as_bytes()).to_string());
            match Report::from_json(&text) {
                Ok(report) => {
                    report_against_journal(&mut verified, row, &report, records.as_ref());
                    if let Known::Known(previous) = report.identity.previous_report_sha256 {
                        before.push((row.drill.clone(), previous));
                    }
                }
                Err(e) => verified.tell(&row.drill, format!("its report cannot be read: {e}")),
            }
        }
        for filed in outside {
            self.against_outside(&mut verified, filed).await?;
        }
        for (drill, previous) in before {
            if !reports.contains(&previous) {
                verified
                    .tell(&drill, "the report before its own, which it names by its digest, was changed or is missing");
            }
        }
        Ok(verified)
    }
}

impl Journal {
    /// A report that was filed must be the one that the journal keeps, and end where its records do.
    async fn against_outside(&self, verified: &mut Verified, filed: &Outside) -> Result<(), JournalError> {
        let Ok(report) = Report::from_json(&filed.text) else { return Ok(()) };
        let drill = &report.identity.drill;
        let Some(row) = self.drill(drill).await? else {
            verified.tell(drill, format!("it is not in the journal, and its report lies in {}", filed.place));
            return Ok(());
        };
        if self.report(drill).await?.is_some_and(|kept| kept != filed.text) {
            verified.tell(drill, format!("its report is another than the one that was filed to {}", filed.place));
        }
        // One that cannot be read was told already.
        if let Ok(records) = self.records(drill).await {
            report_against_journal(verified, &row, &report, Some(&records));
        }
        Ok(())
    }
}

/// Every chunk is sealed by a record, as it is, and every sealed chunk is there.
fn chunks_against_seals(verified: &mut Verified, drill: &str, records: &[Record], chunks: &[SampleChunk]) {
    let mut sealed: BTreeMap<(u64, u16, u32), &str> = BTreeMap::new();
    for record in records {
        if let Event::SamplesSealed(seals) = &record.event {
            sealed.extend(seals.iter().map(|s| ((record.epoch.0, s.stream, s.chunk), s.sha256.as_str())));
        }
    }
    for chunk in chunks {
        // The newest may have been stored and not sealed, when its runner died in between.
        let Some(sha256) = sealed.remove(&(chunk.epoch, chunk.stream, chunk.chunk)) else { continue };
        if Digest::of(&chunk.bytes).to_string() != sha256 {
            verified.tell(drill, format!("chunk {} of its samples (stream {}) was changed", chunk.chunk, chunk.stream));
        }
    }
    for (_, stream, chunk) in sealed.into_keys() {
        verified.tell(drill, format!("chunk {chunk} of its samples (stream {stream}) is missing"));
    }
}

/// The records end where the report says that they ended.
fn report_against_journal(
    verified: &mut Verified,
    row: &DrillRow,
    report: &Report,
    records: Option<&(Vec<Record>, String)>,
) {
    let seal = &report.evidence.journal;
    if report.identity.drill != row.drill {
        verified.tell(&row.drill, format!("its report is that of drill {}", report.identity.drill));
    }
    if row.verdict.as_deref() != Some(report.judgement.verdict.word()) {
        let found = row.verdict.as_deref().unwrap_or("none");
        let word = report.judgement.verdict.word();
        verified.tell(&row.drill, format!("its verdict in the list is {found}, in its report {word}"));
    }
    let Some((records, head)) = records else { return };
    if (records.len() as u64) < seal.events {
        let what = format!("{} records are there, its report knows of {}: cut off", records.len(), seal.events);
        verified.tell(&row.drill, what);
    } else if records.len() as u64 == seal.events && *head != seal.chain_head {
        verified.tell(&row.drill, "its records are others than those that its report was made of");
    }
}
