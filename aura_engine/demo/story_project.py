"""The example project of `aura demo` as the person has it: a goal, the tests, and next to nothing else."""

from __future__ import annotations

TASK = """# The keeper's almanac

I keep a lighthouse. Every evening I want one printed page that tells me about the night ahead: the moon, how long the
day was, the tide, the wind in words, and how the lamp blinks tonight's word in Morse.

- `python3 -m almanac 2026-03-03` prints that page for a date; `--latitude` says where I am (52.3 if I say nothing).
- Plain Python, standard library only. One module of the package `almanac` per subject.
- My tests in `tests/` say what each module offers. They are right; please don't touch them.
- It must also be right far up north, where the sun does not rise in winter.

```check
name = "all tests"
run = "python3 -m unittest discover -s tests -t ."
timeout = "1m"
```

```check
name = "tonight's page"
run = "python3 -m almanac 2026-03-03 > page.txt"
file = "page.txt"
matches = "full moon"
timeout = "1m"
```

```check
name = "polar night"
part = "the length of the day"
run = "python3 -c 'import datetime as d; from almanac import sun; assert sun.daylight(d.date(2026, 12, 21), 78.2) == 0'"
hidden = true
timeout = "1m"
```
"""

EDITED_TASK = (
    TASK
    + """
## Since I thought of it

- `--week` prints seven days, one line each, beginning with the date.
- A short `GUIDE.md` for whoever relieves me: how to read the page, and what a spring tide is.

```check
name = "the week"
run = "python3 -m almanac 2026-03-03 --week > week.txt"
file = "week.txt"
matches = '(?s)2026-03-03.*2026-03-06.*2026-03-09'
timeout = "1m"
```
"""
)

FILES: dict[str, str] = {
    "README.md": """# almanac

One page an evening for a lighthouse keeper. What it should do is in `task.md`; what each module offers is in `tests/`.
""",
    "almanac/__init__.py": '"""A lighthouse keeper\'s almanac."""\n',
    "tests/__init__.py": "",
    "tests/test_moon.py": """import datetime
import unittest

from almanac import moon


class Moon(unittest.TestCase):
    def test_names(self):
        self.assertEqual(moon.name(datetime.date(2026, 3, 3)), "full moon")
        self.assertEqual(moon.name(datetime.date(2026, 8, 12)), "new moon")
        self.assertEqual(moon.name(datetime.date(2026, 2, 24)), "first quarter")

    def test_lit_part(self):
        self.assertGreater(moon.lit(datetime.date(2026, 3, 3)), 0.97)
        self.assertLess(moon.lit(datetime.date(2026, 8, 12)), 0.03)
""",
    "tests/test_sun.py": """import datetime
import unittest

from almanac import sun


class Daylight(unittest.TestCase):
    def test_equator_has_twelve_hours(self):
        self.assertAlmostEqual(sun.daylight(datetime.date(2026, 6, 21), 0.0), 12.0, delta=0.1)

    def test_midsummer_and_midwinter(self):
        self.assertAlmostEqual(sun.daylight(datetime.date(2026, 6, 21), 52.3), 16.5, delta=0.4)
        self.assertAlmostEqual(sun.daylight(datetime.date(2026, 12, 21), 52.3), 7.5, delta=0.4)

    def test_midnight_sun(self):
        self.assertEqual(sun.daylight(datetime.date(2026, 6, 21), 70.0), 24.0)
""",
    "tests/test_tides.py": """import datetime
import unittest

from almanac import tides


class Tides(unittest.TestCase):
    def test_rule_of_twelfths(self):
        self.assertEqual(tides.height(0, low=1.0, high=5.0), 1.0)
        self.assertEqual(tides.height(3, low=1.0, high=5.0), 3.0)
        self.assertEqual(tides.height(6, low=1.0, high=5.0), 5.0)
        self.assertEqual(tides.height(12, low=1.0, high=5.0), 1.0)

    def test_spring_and_neap(self):
        self.assertEqual(tides.kind(datetime.date(2026, 3, 3)), "spring tide")
        self.assertEqual(tides.kind(datetime.date(2026, 2, 24)), "neap tide")
""",
    "tests/test_wind.py": """import unittest

from almanac import wind


class Wind(unittest.TestCase):
    def test_beaufort(self):
        for speed, words in [(0.1, "calm"), (9.0, "fresh breeze"), (19.0, "gale"), (40.0, "hurricane")]:
            self.assertEqual(wind.words(speed), words)
""",
    "tests/test_morse.py": """import unittest

from almanac import morse


class Morse(unittest.TestCase):
    def test_letters_and_words(self):
        self.assertEqual(morse.encode("sos"), "... --- ...")
        self.assertEqual(morse.encode("all well"), ".- .-.. .-.. / .-- . .-.. .-..")

    def test_what_morse_lacks_is_refused(self):
        with self.assertRaises(ValueError):
            morse.encode("ü")
""",
    "tests/test_lamp.py": """import unittest

from almanac import lamp


class Lamp(unittest.TestCase):
    def test_blinks(self):
        self.assertEqual(lamp.blinks("et"), [("on", 1), ("off", 3), ("on", 3)])
        self.assertEqual(lamp.blinks("i"), [("on", 1), ("off", 1), ("on", 1)])
        self.assertEqual(lamp.blinks("e e"), [("on", 1), ("off", 7), ("on", 1)])
""",
    "tests/test_page.py": """import datetime
import unittest

from almanac import page


class Page(unittest.TestCase):
    def test_says_it_all(self):
        text = page.render(datetime.date(2026, 3, 3), latitude=52.3, speed=9.0, word="all well")
        for words in ["2026-03-03", "full moon", "spring tide", "fresh breeze", ".- .-.. .-..", "10.7 h"]:
            self.assertIn(words, text)

    def test_fits_the_printer(self):
        text = page.render(datetime.date(2026, 3, 3), latitude=52.3, speed=9.0, word="all well")
        self.assertLessEqual(max(map(len, text.splitlines())), 60)
""",
    "tests/test_command.py": """import subprocess
import sys
import unittest


def almanac(*arguments):
    return subprocess.run([sys.executable, "-m", "almanac", *arguments], capture_output=True, text=True)


class Command(unittest.TestCase):
    def test_prints_the_page(self):
        done = almanac("2026-03-03", "--latitude", "0")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("full moon", done.stdout)

    def test_refuses_what_is_no_date(self):
        self.assertEqual(almanac("yesterday").returncode, 2)
""",
}
"""Path to text."""
