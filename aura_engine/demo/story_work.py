"""What the scripted workers of `aura demo` write: each module of the example, the wrong one too."""

from __future__ import annotations

MOON = '''"""The moon: its age, its name, how much of it is lit."""

import datetime
import math

MONTH = 29.530588853
NEW_MOON = datetime.datetime(2000, 1, 6, 18, 14)
NAMES = [
    "new moon", "waxing crescent", "first quarter", "waxing gibbous",
    "full moon", "waning gibbous", "last quarter", "waning crescent",
]


def age(day):
    """Days since the last new moon, at noon."""
    noon = datetime.datetime(day.year, day.month, day.day, 12)
    return (noon - NEW_MOON).total_seconds() / 86400 % MONTH


def lit(day):
    """The lit part of the disc, 0 to 1."""
    return (1 - math.cos(2 * math.pi * age(day) / MONTH)) / 2


def name(day):
    return NAMES[round(8 * age(day) / MONTH) % 8]
'''

SUN = '''"""The sun: how long the day is."""

import math


def daylight(day, latitude):
    """Hours between sunrise and sunset; 24 in the midnight sun, 0 in the polar night."""
    number = day.timetuple().tm_yday
    tilt = -math.radians(23.44) * math.cos(2 * math.pi * (number + 10) / 365)
    edge = -math.tan(math.radians(latitude)) * math.tan(tilt)
    return 24 / math.pi * math.acos(max(-1.0, min(1.0, edge)))
'''

SUN_WRONG = SUN.replace("math.tan(math.radians(latitude))", "math.tan(latitude)")
"""Degrees taken for radians: right at the equator, so that a quick look finds nothing wrong."""

TIDES = '''"""The tide by the rule of twelfths, and what the moon makes of it."""

from almanac import moon

TWELFTHS = [0, 1, 3, 6, 9, 11, 12]


def height(hours, low, high):
    """Metres so many whole hours after low water."""
    step = hours % 12
    return low + (high - low) * TWELFTHS[min(step, 12 - step)] / 12


def kind(day):
    """Spring tides come with a full or a new moon, neap tides with the quarters."""
    turned = moon.age(day) % (moon.MONTH / 2)
    off = min(turned, moon.MONTH / 2 - turned)
    if off < 2:
        return "spring tide"
    return "neap tide" if off > 5.4 else "between tides"
'''

WIND = '''"""The wind in Beaufort's words."""

LIMITS = [0.3, 1.6, 3.4, 5.5, 8.0, 10.8, 13.9, 17.2, 20.8, 24.5, 28.5, 32.7]
WORDS = [
    "calm", "light air", "light breeze", "gentle breeze", "moderate breeze", "fresh breeze", "strong breeze",
    "near gale", "gale", "strong gale", "storm", "violent storm", "hurricane",
]


def words(speed):
    """Speed in metres a second."""
    return WORDS[sum(speed >= limit for limit in LIMITS)]
'''

MORSE = '''"""Morse code."""

CODES = dict(zip(
    "abcdefghijklmnopqrstuvwxyz0123456789",
    ".- -... -.-. -.. . ..-. --. .... .. .--- -.- .-.. -- -. --- .--. --.- .-. ... - ..- ...- .-- -..- -.-- --.. "
    "----- .---- ..--- ...-- ....- ..... -.... --... ---.. ----.".split(),
))


def encode(text):
    """Letters apart by a blank, words by a slash. ValueError for what has no code."""
    for letter in text.lower().replace(" ", ""):
        if letter not in CODES:
            raise ValueError(f"no Morse code for {letter!r}")
    return " / ".join(" ".join(CODES[letter] for letter in word) for word in text.lower().split())
'''

LAMP = '''"""How the lamp blinks a word."""

from almanac import morse


def blinks(text):
    """(on or off, units of time), beginning with on: a dash is 3, between letters 3, between words 7."""
    row = []
    for sign in morse.encode(text).replace(" / ", "/"):
        if sign in ".-":
            if row and row[-1][0] == "on":
                row.append(("off", 1))
            row.append(("on", 3 if sign == "-" else 1))
        else:
            row.append(("off", 7 if sign == "/" else 3))
    return row
'''

PAGE = '''"""The evening's page."""

from almanac import lamp, moon, morse, sun, tides, wind


def render(day, latitude, speed, word):
    seconds = sum(units for _, units in lamp.blinks(word)) * 0.4
    rows = [
        ("Moon", f"{moon.name(day)}, {moon.lit(day):.0%} lit"),
        ("Day", f"{sun.daylight(day, latitude):.1f} h of light"),
        ("Tide", tides.kind(day)),
        ("Wind", wind.words(speed)),
        ("Lamp", morse.encode(word)),
        ("", f"once in {seconds:.0f} s"),
    ]
    head = f"The keeper's almanac, {day.isoformat()}"
    return "\\n".join([head, "-" * len(head), *(f"{name:<6}{text}" for name, text in rows)])
'''

COMMAND = '''"""python3 -m almanac DATE"""

import argparse
import datetime

from almanac import page

parser = argparse.ArgumentParser(prog="almanac", description="A page for tonight's watch.")
parser.add_argument("date", type=datetime.date.fromisoformat, help="such as 2026-03-03")
parser.add_argument("--latitude", type=float, default=52.3, help="degrees north")
parser.add_argument("--wind", type=float, default=5.0, help="metres a second")
parser.add_argument("--word", default="all well", help="what the lamp says")
options = parser.parse_args()
print(page.render(options.date, options.latitude, options.wind, options.word))
'''

WEEK = '''"""Seven days, a line each."""

import datetime

from almanac import moon, sun, tides


def lines(day, latitude):
    for step in range(7):
        date = day + datetime.timedelta(days=step)
        yield f"{date.isoformat()}  {moon.name(date):<16}{sun.daylight(date, latitude):>5.1f} h  {tides.kind(date)}"
'''

COMMAND_WITH_WEEK = (
    COMMAND.replace("from almanac import page", "from almanac import page, week")
    .replace(
        "options = parser", 'parser.add_argument("--week", action="store_true", help="seven days")\noptions = parser'
    )
    .replace(
        "print(page.render(options.date, options.latitude, options.wind, options.word))",
        "if options.week:\n"
        '    print("\\n".join(week.lines(options.date, options.latitude)))\n'
        "else:\n"
        "    print(page.render(options.date, options.latitude, options.wind, options.word))",
    )
)

GUIDE = """# For whoever relieves me

`python3 -m almanac 2026-03-03` prints the evening's page, with `--week` the week ahead.

- **Moon**: its phase, and how much of it is lit. Under a full moon you will see the skerries yourself.
- **Day**: hours between sunrise and sunset; light the lamp when they are over.
- **Tide**: a *spring tide* comes with the full and the new moon: highest high water, lowest low water. A neap tide
  comes with the quarters and hardly moves the boat.
- **Wind**: in Beaufort's words. From "gale" on, stay inside.
- **Lamp**: what we blink tonight, in Morse.
"""
