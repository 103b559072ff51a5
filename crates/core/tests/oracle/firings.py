#!/usr/bin/env python3
"""When crontab lines fire, worked out by watching a clock: what the schedule of the core is held against.

firings.py > firings.txt        takes minutes, Python 3.9, and a time zone database (PYTHONTZPATH says which)

Nothing here knows how the core does it, and nothing asks a library which instant a civil time is. For every minute of
UTC the clock on the wall is read, a question that has one answer. From what it showed follows when a civil minute
fires:

- it was shown: when it was shown first, so what an autumn change repeats does not fire again;
- it was jumped over: when the clock shows a time as much later as it jumped, which is the rule in words;
- two that fire at one instant are one firing.

A field is not expanded into a set either: each civil minute is held against its text.

What is printed: a `clock` (zone, first instant, end, seconds east of UTC) with each `change` of it (from when on,
seconds east of UTC); then each `line` with how many firings it has, and these as runs: first instant, seconds between,
how many; seconds between such runs, how many runs.
"""

import os
import sys
import zoneinfo
from datetime import datetime, timedelta, timezone

EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
EPOCH_CIVIL = datetime(1970, 1, 1)
MINUTE = timedelta(minutes=1)

ZONES = [
    "Asia/Tashkent",
    "Europe/Berlin",
    "America/New_York",
    "Australia/Lord_Howe",  # its clock jumps by half an hour
    "Africa/Casablanca",  # an hour back for Ramadan, in spring
    "Asia/Kathmandu",  # a quarter to the hour
    "America/Sao_Paulo",  # no change any more; up to 2019 at midnight
    "UTC",
]

LINES = [
    "0 * * * *",
    "30 0-2,23 * * *",
    "*/15 1-3 * * *",
    "30 2 * * *",
    "15 0 * * *",
    "20-50/30,5 1,2 ? 3,10,11 SUN",
    "0 10 * * Tue",
    "30 2 * * 0",
    "45 23 * * 7",
    "15 1 * * Fri-sun",
    "0 12 * * Tue#1,5#5",
    "@weekly",
    "0 3 1 * *",
    "5 1 31 * *",
    "10-50/20 0-23/6 * feb,AUG Mon-Fri",
    "59 23 */10 2-12/5 *",
]
LEAP_LINES = ["0 0 29 2 *"]

SPANS = [(zone, 2026, 2028, LINES) for zone in ZONES]
SPANS += [("America/Sao_Paulo", 2017, 2019, LINES)]
SPANS += [(zone, 2024, 2029, LEAP_LINES) for zone in ZONES]

WORDS = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
}
MONTHS = "jan feb mar apr may jun jul aug sep oct nov dec".split()
WEEKDAYS = "sun mon tue wed thu fri sat".split()


def number(text, names, base):
    """A number, or a name's."""
    return names.index(text.lower()) + base if text.lower() in names else int(text)


def named_by(part, value, lowest, names):
    """Whether one part of a field's list names a value. A range may go over the end when it is one of names."""
    span, _, step = part.partition("/")
    step = int(step or "1")
    if span in ("*", "?"):
        return (value - lowest) % step == 0
    first, _, last = span.partition("-")
    low, high = number(first, names, lowest), number(last or first, names, lowest)
    if low <= high:
        return low <= value <= high and (value - low) % step == 0
    behind = (value - low) % len(names)
    return behind <= (high - low) % len(names) and behind % step == 0


def named(field, value, lowest, names=()):
    return any(named_by(part, value, lowest, names) for part in field.split(","))


def names_weekday(field, day):
    """0 and 7 are Sunday; `Tue#1` is the first of its kind in the month."""
    sunday_is_zero = day.isoweekday() % 7
    if "#" not in field:
        values = (0, 7) if sunday_is_zero == 0 else (sunday_is_zero,)
        return any(named(field, value, 0, WEEKDAYS) for value in values)
    nth = (day.day + 6) // 7
    pairs = (part.split("#") for part in field.split(","))
    return any(number(name, WEEKDAYS, 0) % 7 == sunday_is_zero and int(n) == nth for name, n in pairs)


def matcher(line):
    """A question to a civil minute. Answers for minutes, hours and days are remembered: millions are asked."""
    minute, hour, day, month, weekday = WORDS.get(line, line).split()
    minutes = [named(minute, value, 0) for value in range(60)]
    hours = [named(hour, value, 0) for value in range(24)]
    days = {}

    def fires(civil):
        if not (minutes[civil % 60] and hours[civil // 60 % 24]):
            return False
        number_of_day = civil // 1440
        if number_of_day not in days:
            date = (EPOCH_CIVIL + civil * MINUTE).date()
            days[number_of_day] = (
                named(day, date.day, 1) and named(month, date.month, 1, MONTHS) and names_weekday(weekday, date)
            )
        return days[number_of_day]

    return fires


def watch(zone, start, end):
    """What a clock on the wall shows in each minute from `start` to `end`. All are minutes since 1970, UTC or civil."""
    wall = zoneinfo.ZoneInfo(zone)
    for instant in range(start, end):
        shown = (EPOCH + instant * MINUTE).astimezone(wall).replace(tzinfo=None)
        civil, odd = divmod(shown - EPOCH_CIVIL, MINUTE)
        if odd:
            sys.exit(f"{zone} is not whole minutes from UTC at {shown}")
        yield instant, civil


def civil_minutes(shown):
    """Each civil minute with the instant at which it fires, and how the clock changed."""
    first_shown, jumped, changes, before = {}, [], [], None
    for instant, civil in shown:
        if before is not None and civil != before + 1:
            changes.append((instant, civil - instant))
            jump = civil - before - 1  # below zero in autumn, when nothing is missing
            jumped += [(missing, missing + jump) for missing in range(before + 1, civil)]
        first_shown.setdefault(civil, instant)
        before = civil
    pairs = list(first_shown.items())
    pairs += [(missing, first_shown[later]) for missing, later in jumped if later in first_shown]
    return pairs, changes


def run(times, at):
    """The longest run of even steps from a place: how long the step is, and how many firings."""
    if at + 1 == len(times):
        return 0, 1
    step, count = times[at + 1] - times[at], 2
    while at + count < len(times) and times[at + count] - times[at + count - 1] == step:
        count += 1
    if count == 2 and at + 2 < len(times) and times[at + 2] - times[at + 1] < step:
        return 0, 1  # two with denser ones behind: the second begins something of its own
    return step, count


def grouped(times):
    """Runs, and runs of like runs, so that two years are lines and not pages."""
    runs, at = [], 0
    while at < len(times):
        step, count = run(times, at)
        runs.append((times[at], step, count))
        at += count
    at = 0
    while at < len(runs):
        start, step, count = runs[at]
        alike = at + 1
        while alike < len(runs) and runs[alike][1:] == (step, count):
            alike += 1
        every, many = run([start for start, _, _ in runs[at:alike]], 0)
        yield start, step, count, every, many
        at += many


def stamp(minutes):
    return (EPOCH + minutes * MINUTE).strftime("%Y-%m-%dT%H:%M:%SZ")


def database():
    """Which release of the time zone database is read."""
    for directory in zoneinfo.TZPATH:
        path = os.path.join(directory, "tzdata.zi")
        if os.path.exists(path):
            with open(path, encoding="utf-8") as file:
                return file.readline().split()[-1]
    sys.exit("no tzdata.zi says which release of the time zone database this is")


def show(zone, first_year, end_year, lines):
    start, end = ((datetime(year, 1, 1, tzinfo=timezone.utc) - EPOCH) // MINUTE for year in (first_year, end_year))
    # Two days more at either end: what is jumped over before the span may fire within it.
    pairs, changes = civil_minutes(watch(zone, start - 2880, end + 2880))
    offset = dict(watch(zone, start, start + 1))[start] - start
    print(f"\nclock {zone} {stamp(start)} {stamp(end)} {offset * 60}")
    for instant, offset in changes:
        if start <= instant < end:
            print(f"change {stamp(instant)} {offset * 60}")
    for line in lines:
        fires = matcher(line)
        times = sorted({instant for civil, instant in pairs if start <= instant < end and fires(civil)})
        print(f"line {len(times)} {line}")
        for first, step, count, every, many in grouped(times):
            print(stamp(first), step * 60, count, every * 60, many)


def main():
    print("# When crontab lines fire, by an oracle of its own: firings.py beside this file says how, and what is here.")
    print(f"# Made with time zone database {database()} by `python3 firings.py > firings.txt`; never edited by hand.")
    for span in SPANS:
        show(*span)


if __name__ == "__main__":
    main()
