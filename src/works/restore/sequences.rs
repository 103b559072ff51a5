//! Sequences: each must be beyond the values of the column it feeds, or the next insert into the copy collides.

use crate::targets::quote::{identifier, said};
use firedrill_core::restore::Check;
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Row};

/// Sequences with the columns they feed: by ownership (`serial`, identity), or by a default that calls `nextval`.
const FEEDING: &str = "
    select distinct sn.nspname::text, s.relname::text, tn.nspname::text, t.relname::text, a.attname::text, q.seqincrement
    from (
        select d.objid as sequence, d.refobjid as relation, d.refobjsubid as number from pg_depend d
            where d.classid = 'pg_class'::regclass and d.refclassid = 'pg_class'::regclass
            and d.deptype in ('a', 'i') and d.refobjsubid > 0
        union
        select d.refobjid, x.adrelid, x.adnum from pg_depend d join pg_attrdef x on x.oid = d.objid
            where d.classid = 'pg_attrdef'::regclass and d.refclassid = 'pg_class'::regclass and d.deptype = 'n'
    ) f
    join pg_class s on s.oid = f.sequence and s.relkind = 'S' and s.relpersistence <> 't'
    join pg_sequence q on q.seqrelid = s.oid
    join pg_namespace sn on sn.oid = s.relnamespace
    join pg_class t on t.oid = f.relation and t.relkind in ('r', 'p')
    join pg_namespace tn on tn.oid = t.relnamespace
    join pg_attribute a on a.attrelid = t.oid and a.attnum = f.number and not a.attisdropped
    where a.atttypid in ('int2'::regtype, 'int4'::regtype, 'int8'::regtype)
    order by 1, 2";
const NAME: &str = "sequences";
const EXPECTED: &str = "each beyond the values of the column it feeds";
/// How many of those that are behind are named.
const NAMED_MAX: usize = 5;

/// One check over all sequences.
pub async fn check(copy: &mut PgConnection) -> Check {
    let rows = match sqlx::query(FEEDING).fetch_all(&mut *copy).await {
        Ok(rows) => rows,
        Err(error) => return Check::unknown(NAME, EXPECTED, said(&error)),
    };
    let mut behind = Vec::new();
    for row in &rows {
        let text = |index: usize| row.get::<String, _>(index);
        let sequence = format!("{}.{}", identifier(&text(0)), identifier(&text(1)));
        let table = format!("{}.{}", identifier(&text(2)), identifier(&text(3)));
        let (column, increment) = (identifier(&text(4)), row.get::<i64, _>(5));
        let furthest = if increment > 0 { "max" } else { "min" };
        let sql =
            format!("select last_value, is_called, (select {furthest}({column})::bigint from {table}) from {sequence}");
        match sqlx::query(AssertSqlSafe(sql)).fetch_one(&mut *copy).await {
            Ok(seen) => {
                let (last, called, furthest) = (seen.get(0), seen.get(1), seen.get(2));
                if !is_beyond(last, called, increment, furthest) {
                    let column = format!("{}.{}.{}", text(2), text(3), text(4));
                    let furthest = furthest.unwrap_or_default();
                    behind.push(format!("{}.{} is at {last}, {column} at {furthest}", text(0), text(1)));
                }
            }
            Err(error) => return Check::unknown(NAME, EXPECTED, said(&error)),
        }
    }
    let found = if behind.is_empty() {
        format!("all {} are", rows.len())
    } else {
        let more = behind.len().saturating_sub(NAMED_MAX);
        let more = if more == 0 { String::new() } else { format!(" and {more} more") };
        format!("{} of {} behind: {}{more}", behind.len(), rows.len(), behind[..behind.len().min(NAMED_MAX)].join("; "))
    };
    Check::answered(NAME, EXPECTED, found, behind.is_empty())
}

/// Whether the value that comes next is not among those that are there.
fn is_beyond(last: i64, is_called: bool, increment: i64, furthest: Option<i64>) -> bool {
    let Some(furthest) = furthest else { return true };
    let next = if is_called { last.saturating_add(increment) } else { last };
    if increment > 0 { next > furthest } else { next < furthest }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_value_decides() {
        assert!(is_beyond(5, true, 1, Some(5)));
        assert!(!is_beyond(5, false, 1, Some(5)), "not called yet: 5 comes again");
        assert!(is_beyond(1, false, 1, None));
        assert!(!is_beyond(4, true, 1, Some(5)));
        assert!(is_beyond(-5, true, -1, Some(-5)));
        assert!(!is_beyond(-3, true, -1, Some(-5)));
    }
}
