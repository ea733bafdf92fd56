"""`aura recover`: the work that is kept of attempts, and how to have it back in a folder of its own."""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from aura_engine.cli.options import add_data_options, command, print_json, run_folder
from aura_engine.core.text import one_line
from aura_engine.errors import UsageError
from aura_engine.removal import below

if TYPE_CHECKING:
    from aura_engine.core.vault import Kept
    from aura_engine.workspace.vault import Extent


def parser() -> argparse.ArgumentParser:
    """Its options."""
    made = command(
        "recover",
        "List what is kept of attempts' work, or put one state of it into a new folder. Nothing is ever written over, "
        "and an engine may be at work meanwhile.",
        "aura recover                            what there is, and the runs that aura restart set aside",
        "aura recover A1.2                       the newest state of a task, into a new folder",
        "aura recover 'A1.2#1' --to /tmp/look    one attempt's, into a folder of your choice",
        "aura recover --run NAME A1.2            of a run that was set aside",
        "aura recover --json                     for a script",
    )
    made.add_argument("what", nargs="?", metavar="TASK[#N]|ID", help="a task, an attempt, or the id of a state")
    made.add_argument(
        "--to",
        metavar="DIR",
        help="the new folder (default: in the run's folder, where no goal takes it for your work)",
    )
    made.add_argument("--run", metavar="NAME", help="of a run that lies in the vault")
    add_data_options(made)
    return made


def run(arguments: argparse.Namespace) -> int:
    """List, or restore."""
    from aura_engine.journal.store import Journal
    from aura_engine.paths import vault_dir
    from aura_engine.vaulting import kept_in
    from aura_engine.workspace.vault import measure, reading

    folder, vault = _place(arguments)
    found = kept_in(Journal.open(folder / "journal.db", writer=False))
    if arguments.what:
        return _restore(arguments, folder, _chosen(found, arguments.what))
    extents: dict[str, Extent] = {}
    if (folder / "store.git").is_dir():
        with reading(folder / "store.git") as store:
            extents = measure(store, [(one.snapshot, one.base) for one in found if one.snapshot])
    earlier = sorted(path.parent.name for path in vault_dir(vault).glob("*/journal.db")) if not arguments.run else []
    rows = [_row(one, extents.get(one.snapshot)) for one in found]
    if arguments.json:
        print_json({"run": folder.name, "kept": rows, "vault": earlier})
    else:
        print(_text(folder.name, rows, earlier))
    return 0


def _place(arguments: argparse.Namespace) -> tuple[Path, Path]:
    """The run's folder, and the data folder that it belongs to. UsageError when there is none."""
    import os

    from aura_engine.cli.options import project_of
    from aura_engine.paths import data_dir, vault_dir

    if not arguments.run:
        folder = run_folder(arguments)
        return folder, folder.parent
    data = data_dir(project_of(), arguments.data_dir or os.environ.get("AURA_DATA_DIR") or None)
    folder = vault_dir(data) / Path(arguments.run).name
    if not (folder / "journal.db").exists():
        raise UsageError(
            f"There is no run {arguments.run} in {vault_dir(data)}.", cure="aura recover names those kept."
        )
    return folder, data


def _chosen(found: list[Kept], what: str) -> Kept:
    """The newest state that is meant. UsageError when there is none."""
    wanted = [
        one for one in found if what in (one.task, one.name) or (len(what) >= 4 and one.snapshot.startswith(what))
    ]
    if not wanted:
        raise UsageError(f"Nothing is kept of {one_line(what, 80)}.", cure="aura recover lists what there is.")
    return wanted[-1]


def _restore(arguments: argparse.Namespace, folder: Path, one: Kept) -> int:
    from aura_engine.workspace.vault import restore

    target = Path(arguments.to or folder / "recovered" / f"{one.task}-{one.n}").expanduser().absolute()
    files = (
        restore(folder / "store.git", one.snapshot, one.base, target) if one.snapshot else _copy(folder, one, target)
    )
    if arguments.json:
        print_json({"task": one.task, "n": one.n, "folder": str(target), "files": files})
    else:
        print(f"{one.name}: {files} files are in {target}")
    return 0


def _copy(folder: Path, one: Kept, target: Path) -> int:
    """A folder that was kept as it was; it went along when its run was set aside."""
    places = (Path(one.folder), folder / "kept" / Path(one.folder).name)
    source = next((place for place in places if place.is_dir()), None)
    if source is None:
        raise UsageError(f"{one.folder} is not there any more.")
    try:
        shutil.copytree(source, target, symlinks=True)
    except FileExistsError as error:
        raise UsageError(f"{target} is there already.", cure="Name a new folder with --to.") from error
    except RecursionError as error:
        raise UsageError(f"{source} is too deep to be copied.", cure=f"Move it: mv {source} {target}") from error
    return sum(entry.is_file(follow_symlinks=False) for entry in below(target))


def _row(one: Kept, extent: Extent | None) -> dict[str, object]:
    from aura_engine.clock import iso

    return {
        "task": one.task,
        "n": one.n,
        "id": one.snapshot[:8],
        "time": iso(one.when),
        "wall": one.when,
        "files": extent.files if extent else None,
        "bytes": extent.size if extent else None,
        "why": one_line(one.why),
        "folder": one.folder,
    }


def _text(run: str, rows: list[dict[str, object]], earlier: list[str]) -> str:
    from aura_engine.report.words import date_time

    lines = [f"{run}: what is kept of its attempts' work" if rows else f"{run}: nothing is kept of any attempt's work"]
    for row in rows:
        size = "a folder" if row["folder"] else _extent(row["files"], row["bytes"])
        what = f"{row['task']}#{row['n']}"
        lines.append(f"  {what:<8} {row['id']:<8}  {date_time(float(str(row['wall'])))}  {size:<20}  {row['why']}")
    if rows:
        lines.append(
            "Have one back: aura recover 'TASK#N' --to DIR (or its id; the newest of a task: aura recover TASK)"
        )
    if earlier:
        lines.append("Runs that were begun afresh (aura recover --run NAME):")
        lines += [f"  {name}" for name in earlier]
    return "\n".join(lines)


def _extent(files: object, size: object) -> str:
    if not isinstance(files, int) or not isinstance(size, int):
        return "not in the store"
    amount = f"{size / 1e6:.1f} MB" if size >= 1e6 else f"{size / 1e3:.1f} kB"
    return f"{files} file{'' if files == 1 else 's'}, {amount}"
