//! A dump that is cut or damaged anywhere is found before it is restored, and what is wrong is said.

use crate::support::directory::Directory;
use crate::support::dumps::dumps;
use firedrill::scratch::account::Account;
use firedrill::scratch::binaries::Binaries;
use firedrill::works::restore::archive::{DataAt, Scanner};
use firedrill::works::restore::blocks::walk;
use firedrill::works::restore::phase::Progress;
use firedrill::works::restore::validate::{Examined, ValidatePlan, validate};
use firedrill_core::time::Known;
use tokio_util::sync::CancellationToken;

async fn examine(bytes: &[u8]) -> Examined {
    examine_for(bytes, &[("public", "orders")]).await
}

async fn examine_for(bytes: &[u8], tables: &[(&str, &str)]) -> Examined {
    let account = Account::choose().unwrap();
    let directory = Directory::new("cut");
    account.own(directory.path()).unwrap();
    let path = directory.join("x.dump");
    std::fs::write(&path, bytes).unwrap();
    let plan = ValidatePlan {
        binaries: Binaries::find(None, None).map_err(|e| e.to_string()),
        account,
        tables: tables.iter().map(|(s, t)| ((*s).to_owned(), (*t).to_owned())).collect(),
        within: None,
    };
    validate(&path, &plan, &Progress::unwatched(), &CancellationToken::new()).await.unwrap()
}

#[tokio::test]
async fn whole_dumps_of_every_kind_are_good() {
    for (name, bytes) in [("file", &dumps().file), ("pipe", &dumps().pipe), ("plain", &dumps().plain)] {
        let examined = examine(bytes).await;
        let seen = &examined.validated;
        assert_eq!(seen.defects, [], "{name}");
        // Five tables and one block of large objects.
        assert_eq!((&seen.tables, &seen.data_blocks), (&Known::Known(5), &Known::Known(6)), "{name}");
        assert_eq!(seen.database, Known::Known("shop".to_owned()));
        let compression = if name == "plain" { "none" } else { "gzip" };
        assert_eq!(seen.compression, Known::Known(compression.to_owned()));
        let Known::Known(read) = seen.read_through_bytes else { panic!("{seen:?}") };
        assert!(read > 200_000, "3,000 orders are more than {read} bytes of text");
    }
    assert!(examine(&dumps().file).await.contents.unwrap().has_data_of("audit", "entries"));
}

/// Every byte of head and table of contents, the beginning of every block, and points throughout its data.
fn cut_points(bytes: &[u8], contents_step: usize) -> Vec<usize> {
    let (contents, _) = Scanner::new(bytes, bytes.len() as u64).contents().map_err(|e| e.to_string()).unwrap();
    let data = usize::try_from(contents.data_begin).unwrap();
    let mut points: Vec<usize> = (0..200).chain((200..=data).step_by(contents_step)).chain(data - 30..=data).collect();
    for entry in &contents.entries {
        if let DataAt::Offset(offset) = entry.data {
            let offset = usize::try_from(offset).unwrap();
            points.extend(offset..offset + 30);
        }
    }
    points.extend((data..bytes.len()).step_by(997));
    points.extend(bytes.len() - 300..bytes.len());
    points.retain(|p| *p < bytes.len());
    points.sort_unstable();
    points.dedup();
    points
}

#[test]
fn a_cut_anywhere_is_found_by_the_walk() {
    for (name, bytes) in [("file", &dumps().file), ("pipe", &dumps().pipe), ("plain", &dumps().plain)] {
        // Every byte of one table of contents; of the others, which differ from it in their offsets only, some.
        let points = cut_points(bytes, if name == "file" { 1 } else { 31 });
        let least = if name == "file" { 5_000 } else { 700 };
        assert!(points.len() > least, "{name}: only {} points", points.len());
        for point in points {
            let cut = &bytes[..point];
            let Err(error) = walk(cut, cut.len() as u64) else {
                panic!("{name} cut at {point} of {} passed", bytes.len());
            };
            assert!(error.is_defect(), "{name} cut at {point}: {error}");
            // It speaks of the cut, with the file's size, except where nothing of an archive is left to speak of.
            let said = error.to_string();
            assert!(point == 0 || said.contains(&format!("ends at {point} bytes")), "{name} cut at {point}: {said}");
        }
    }
}

#[tokio::test]
async fn a_cut_dump_is_a_defect_that_says_where() {
    let bytes = &dumps().file;
    let half = examine(&bytes[..bytes.len() / 2]).await.validated;
    let [defect] = half.defects.as_slice() else { panic!("{:?}", half.defects) };
    assert!(defect.sentence.contains("the data of TABLE DATA public.orders"), "{}", defect.sentence);
    assert!(defect.sentence.contains(&format!("ends at {} bytes", bytes.len() / 2)), "{}", defect.sentence);
    assert!(defect.offset.unwrap() <= bytes.len() as u64 / 2);
    let empty = examine(b"").await.validated;
    assert!(empty.defects[0].sentence.contains("0 bytes"), "{:?}", empty.defects);
    let wrong = examine(b"-- PostgreSQL database dump").await.validated;
    assert!(wrong.defects[0].sentence.contains("`-- Po`"), "{:?}", wrong.defects);
}

#[test]
fn bytes_behind_the_end_are_found() {
    let mut longer = dumps().file.clone();
    longer.extend_from_slice(b"tail");
    let error = walk(longer.as_slice(), longer.len() as u64).map(|_| ()).unwrap_err();
    assert!(error.to_string().contains("4 bytes follow its last block"), "{error}");
}

/// Flips a bit at points throughout the blocks of a compressed dump. The frame is checked by the walk, the content by
/// zlib's own sum, so none may pass unseen.
#[tokio::test]
async fn a_flipped_bit_in_the_data_is_found() {
    let bytes = &dumps().file;
    let (contents, _) =
        Scanner::new(bytes.as_slice(), bytes.len() as u64).contents().map_err(|e| e.to_string()).unwrap();
    let data = usize::try_from(contents.data_begin).unwrap();
    let mut points: Vec<usize> = contents
        .entries
        .iter()
        .filter_map(|e| match e.data {
            DataAt::Offset(offset) => usize::try_from(offset).ok(),
            _ => None,
        })
        .flat_map(|o| [o, o + 1, o + 3, o + 7])
        .collect();
    points.extend((data..bytes.len()).step_by((bytes.len() - data) / 24));
    // The sign of a number that is zero: with either it is zero, and the dump says the same.
    points.retain(|point| bytes.get(*point..*point + 5) != Some(&[0; 5]));
    for point in points {
        let mut flipped = bytes.clone();
        flipped[point] ^= 0x04;
        let seen = examine(&flipped).await.validated;
        assert!(!seen.defects.is_empty(), "a flip at {point} of {} passed: {seen:?}", bytes.len());
    }
}

#[tokio::test]
async fn a_table_that_the_checks_need_must_be_in_the_dump() {
    let seen = examine_for(&dumps().file, &[("public", "orders"), ("public", "invoices")]).await.validated;
    assert_eq!(seen.defects.len(), 1);
    assert!(seen.defects[0].sentence.contains("no data of public.invoices"), "{:?}", seen.defects);
}
