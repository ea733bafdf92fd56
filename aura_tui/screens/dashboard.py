"""The dashboard: the tree, a pane for each worker, the machine, the last decisions."""

from __future__ import annotations

import time

from textual import on
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical

from aura_engine.core.text import one_line
from aura_tui.panes import Attempt, Credit, Slots, Source, output_of, title_of
from aura_tui.screens.place import Place
from aura_tui.widgets.gauges import Gauges
from aura_tui.widgets.goal_checks import GoalChecks
from aura_tui.widgets.log_pane import LogPane
from aura_tui.widgets.prompt_line import PromptLine
from aura_tui.widgets.story import Story
from aura_tui.widgets.title import Title
from aura_tui.widgets.tree import TaskTree

POLL = 0.2
"""Seconds between two looks at the outputs."""
BYTES_PER_SECOND, BYTES_AT_ONCE = 13_000.0, 13_000.0
"""What log panes may send to the terminal unasked: a flood of output is not to be a flood on the line."""
BREAKPOINTS = [(0, "-narrow"), (100, "-wide"), (170, "-broad")]
PANE_HEIGHT, PANES = 7, 8
"""Rows below which a pane is of no use; panes at most."""


class Dashboard(Place):
    """Everything at one glance; the rest is one key away."""

    CSS_PATH = "dashboard.tcss"
    HORIZONTAL_BREAKPOINTS = BREAKPOINTS
    HINTS = (
        *("task.detail", "view.logs", "task.pause", "task.kill", "task.retry", "task.escalate", "task.message"),
        *("view.filter", "view.goal", "view.decisions", "view.timeline", "view.zoom", "run.pause", "app.quit"),
    )

    def __init__(self) -> None:
        super().__init__()
        self.slots = Slots()
        self.drawer = False
        """Narrow screens: the selected task's output is open below the tree."""
        self._credit = Credit(BYTES_PER_SECOND, BYTES_AT_ONCE)
        self._searched: LogPane | None = None

    def body(self) -> ComposeResult:
        """See Place."""
        with Horizontal(id="main"):
            with Vertical(id="left"):
                yield Title("Tasks", id="tree-title")
                yield TaskTree(self.model, id="tree")
                yield GoalChecks(id="goal-checks")
            with Vertical(id="right"):
                yield Vertical(*(LogPane(id=f"log-{index}") for index in range(PANES)), id="logs")
                with Vertical(id="below"):
                    yield Title("Machine", id="machine-title")
                    yield Gauges(id="gauges")
                    yield Title("Decisions", id="story-title")
                    yield Story(id="story")
        yield PromptLine(id="prompt")

    def on_mount(self) -> None:
        """See Place."""
        self.task_tree.focus()
        self.set_interval(POLL, self._poll)
        self._arrange()

    @property
    def task_tree(self) -> TaskTree:
        """The task tree."""
        return self.query_one(TaskTree)

    @property
    def panes(self) -> list[LogPane]:
        """The panes that are shown."""
        return [pane for pane in self.query(LogPane) if pane.display and pane.size]

    @property
    def pane(self) -> LogPane | None:
        """The pane that has the focus."""
        return self.focused if isinstance(self.focused, LogPane) else None

    @property
    def chosen(self) -> str:
        """See Place: a focused pane's task goes before the tree's selection."""
        pane = self.pane
        return pane.source.task if pane and pane.source else self.model.outline.selected

    def frame(self) -> None:
        """See Place."""
        dirty = self.model.dirty
        self.task_tree.frame()
        if dirty.panes:
            dirty.panes = False
            self._arrange()
        if dirty.story:
            dirty.story = False
            self.query_one(Story).show(self.model.story)
        self.query_one(GoalChecks).show(self.model.state)
        self._show_titles()
        super().frame()

    def tick(self) -> None:
        """See Place."""
        super().tick()
        self.task_tree.tick()
        self._show_titles()
        self.query_one(Gauges).show(self.aura.link.machine())

    def view(self, id: str) -> None:
        """See Place."""
        pane, prompt = self.pane, self.query_one(PromptLine)
        match id:
            case "view.logs":
                self.go_to_logs()
            case "view.filter" if pane is not None:
                self._searched = pane
                prompt.open("search", pane.needle)
            case "view.filter":
                prompt.open("filter", self.model.outline.filter)
            case "view.next":
                if pane is not None and pane.needle:
                    pane.search(pane.needle, back=False)
            case "view.raw":
                for each in [pane] if pane else self.panes:
                    each.toggle_raw()
            case "view.zoom":
                self.zoom()
            case "view.fold":
                self.model.fold_all(folded=not self.model.outline.folded)
                self.task_tree.frame()
            case _:
                pass

    def out(self) -> bool:
        """See Place: the zoom, a pane, a filter."""
        if self.has_class("-zoom"):
            self.zoom()
        elif self.pane is not None:
            self.go_to_logs()
        elif self.model.outline.filter:
            self._filter("")
        return True

    def _filter(self, text: str) -> None:
        self.model.filter(text)
        self.task_tree.frame()
        self._show_titles()

    @on(PromptLine.Typed)
    def _typed(self, message: PromptLine.Typed) -> None:
        if message.purpose == "filter":
            self._filter(message.text)
            if message.done:
                self.task_tree.focus()
        elif message.done and self._searched is not None:
            self._searched.focus()
            self._searched.search(message.text)

    @on(LogPane.Found)
    def _found(self, message: LogPane.Found) -> None:
        if message.line is None:
            part = "nothing more found" if message.share >= 1 else f"searching, {100 * message.share:.0f} %"
            self.aura.say(f"“{message.pane.needle}”: {part}")

    def go_to_logs(self) -> None:
        """To the selected task's output, or back to the tree."""
        if self.pane is not None:
            self.drawer = False
            self._arrange()
            self.task_tree.focus()
            return
        wanted = output_of(self.model.state, self.chosen)
        self.drawer = True
        if wanted:
            at = self.slots.put(wanted, self._live_attempts())
            self._arrange()
            self.query_one(f"#log-{0 if self.narrow else at}", LogPane).focus()
        else:
            self._arrange()
            self.aura.say(
                f"{self.chosen or 'The plan'} has no output yet." if self.chosen else "There is no output yet."
            )

    def zoom(self) -> None:
        """Give the focused panel all the room, or take it back."""
        panel = self.pane or self.task_tree
        zoomed = not self.has_class("-zoom")
        self.set_class(zoomed, "-zoom")
        for each in (self.task_tree, *self.query(LogPane)):
            each.set_class(zoomed and each is panel, "-zoomed")
        self.set_class(zoomed and panel is self.task_tree, "-zoom-tree")
        self.set_class(zoomed and panel is not self.task_tree, "-zoom-log")
        self._arrange()

    @property
    def narrow(self) -> bool:
        """There is no room for panes beside the tree."""
        return self.size.width < 100

    def on_resize(self) -> None:
        """As many panes as there is room for."""
        self.query_one(Gauges).set_class(self.narrow, "one-line")
        self.call_after_refresh(self._arrange)

    @on(TaskTree.Selected)
    def _selected(self) -> None:
        self.show_hints()
        if self.narrow and self.drawer:
            self._arrange()

    @on(TaskTree.Opened)
    def _opened(self) -> None:
        self.aura.do("task.detail")

    @on(LogPane.Drawn)
    def _drawn(self, message: LogPane.Drawn) -> None:
        self._credit.spend(message.bytes)

    def on_descendant_focus(self) -> None:
        """The hints are those of what has the focus."""
        title = self.query_one("#tree-title")
        title.set_class(self.task_tree.has_focus, "focused")
        title.refresh()
        self.show_hints()

    def _live_attempts(self) -> list[Attempt]:
        tasks = self.model.state.tasks
        return [(task_id, tasks[task_id].attempts[-1].n) for task_id in self.model.running()]

    def _arrange(self) -> None:
        """Give each pane its attempt; hide the panes that have none."""
        self.set_class(self.drawer, "-drawer")
        running = self._live_attempts()
        if self.narrow:
            wanted = output_of(self.model.state, self.model.outline.selected)
            shown: list[Attempt | None] = [wanted] if wanted else [*running[:1]]
        else:
            height = max(PANE_HEIGHT, self.query_one("#logs").size.height)
            # Where nothing has been shown yet, what ended last is better than nothing.
            lanes = self.model.history.lanes if not (running or any(self.slots.slots)) else ()
            last = max((lane[-1] for lane in lanes), key=lambda bar: bar.start, default=None)
            shown = self.slots.arrange(
                running or ([(last.task, last.n)] if last else []), min(PANES, height // PANE_HEIGHT)
            )
        for index, pane in enumerate(self.query(LogPane)):
            attempt = shown[index] if index < len(shown) else None
            pane.set_class(attempt is not None or index == 0, "-shown")
            pane.show(self._source(attempt))
        self._show_titles()

    def _source(self, attempt: Attempt | None) -> Source | None:
        if attempt is None:
            return None
        task, n = attempt
        backend = self.model.state.tasks[task].attempts[n - 1].backend
        return Source(task, n, backend, self.aura.link.output(task, n))

    def _show_titles(self) -> None:
        outline, counts = self.model.outline, self.model.counts
        found = f"filter “{one_line(outline.filter, 30)}”, {len(outline.rows)} rows" if outline.filter else ""
        more = f"+{self.slots.left_out} workers more" if self.slots.left_out and not self.narrow else ""
        tasks = f"{counts.wanted('')} tasks" if counts.wanted("") else "no plan yet"
        right = [(found or more or tasks, "ask" if found else "dim")]
        self.query_one("#tree-title", Title).set([("Tasks", "title")], right)
        now, telemetry = time.time(), self.aura.link.telemetry()
        for pane in self.panes:
            if pane.source is not None:
                live = telemetry.get(f"{pane.source.task}#{pane.source.n}")
                pane.set_title(*title_of(self.model.state, pane.source, live, now), live=self._lives(pane.source))

    def _poll(self) -> None:
        """Let panes look for new output, as long as there is credit: all together, or they would be out of step."""
        self._credit.refill(time.monotonic())
        if not (self._credit.any and self.aura.is_running):
            return
        for pane in self.panes:
            if pane.source is not None and (self._lives(pane.source) or pane.unread):
                pane.poll()

    def _lives(self, source: Source) -> bool:
        return self.model.state.tasks[source.task].attempts[source.n - 1].ended is None
