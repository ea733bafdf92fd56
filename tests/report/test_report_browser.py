"""The report in a real browser: it is painted, nothing is fetched, nothing is complained about."""

from __future__ import annotations

import json
import shutil
import struct
import subprocess
from pathlib import Path

import pytest

from aura_engine.report.account import account_of
from aura_engine.report.final_html import final_html

BROWSER = "chromium"
QUIET = (
    "--headless",
    "--no-sandbox",  # as root there is none
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
)


def browse(page: Path, place: Path, *options: str) -> tuple[str, list[str], bytes]:
    """What the browser said, the addresses it asked for, and its picture."""
    picture, net = place / "picture.png", place / "net.json"
    done = subprocess.run(
        [
            BROWSER,
            *QUIET,
            *options,
            "--enable-logging=stderr",
            f"--user-data-dir={place / 'profile'}",
            f"--log-net-log={net}",
            f"--screenshot={picture}",
            "--window-size=1100,1600",
            page.as_uri(),
        ],
        capture_output=True,
        text=True,
        timeout=90,
        check=True,
    )
    text = net.read_text()
    try:
        log = json.loads(text)
    except ValueError:  # it was cut short at the end
        log = json.loads(text.rstrip().rstrip(",") + "]}")
    urls = [event["params"]["url"] for event in log["events"] if "url" in event.get("params", {})]
    return done.stderr, urls, picture.read_bytes()


@pytest.mark.slow
@pytest.mark.timeout(200)
@pytest.mark.skipif(shutil.which(BROWSER) is None, reason="chromium is not installed")
def test_a_browser_fetches_nothing_and_complains_about_nothing(story, nasty: str, tmp_path: Path) -> None:
    story.whole()
    patch = f"diff --git a/x b/x\n--- a/x\n+++ b/x\n@@ -0,0 +1 @@\n+<img src=//example.org/x.png>{nasty}\n"
    told = account_of(story.state, story.events, lambda old, new, limit: (patch, False), story.now)
    goal = '<img src="http://example.org/x.png"><script src="http://example.org/x.js"></script>'
    page = tmp_path / "report.html"
    page.write_text(final_html(told.model_copy(update={"goal": goal})), encoding="utf-8")
    said, urls, light = browse(page, tmp_path)
    assert "CONSOLE" not in said
    assert [url for url in urls if "example.org" in url] == []
    width, height = struct.unpack(">II", light[16:24])
    assert (width, height) == (1100, 1600)
    assert len(light) > 20_000  # a blank page of this size is a few kB


@pytest.mark.slow
@pytest.mark.timeout(200)
@pytest.mark.skipif(shutil.which(BROWSER) is None, reason="chromium is not installed")
def test_the_watch_sees_a_page_that_does_fetch(tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    page.write_text('<img src="http://127.0.0.1:9/x.png"><script>console.error("woe")</script>')
    said, urls, _ = browse(page, tmp_path)
    assert "woe" in said
    assert [url for url in urls if "127.0.0.1:9" in url]
