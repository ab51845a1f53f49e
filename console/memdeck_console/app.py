"""The console: which screens there are, which keys, and what is drawn when.

Knows screens and keys only. The link fills the store in a worker; twice a second a view of the store goes to the screen
in front. Refuses to end because of the daemon: whatever happens to the link is drawn, never raised.
"""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from textual.app import App, SystemCommand
from textual.binding import Binding, BindingType
from textual.screen import Screen
from textual.worker import Worker, WorkerState

from memdeck_common.clock import Clock, SystemClock
from memdeck_common.paths import Home
from memdeck_console.core.ports import Connect, Daemon, Link
from memdeck_console.core.store import Store, View
from memdeck_console.core.verdict import STEADY
from memdeck_console.screens.deck import DeckScreen
from memdeck_console.screens.overview import OverviewScreen
from memdeck_console.theme import THEMES
from memdeck_console.widgets.panel import Palette

if TYPE_CHECKING:
    from memdeck_common.client import Address

FRAME = 0.5
"""Seconds between two looks at the store: the frame's ages and clock."""
RATES = (1.0, 2.0, 5.0, 10.0)
"""Seconds between two redraws of the body, fastest first."""
SCREENS_GROUP, RATE_GROUP = Binding.Group("screen"), Binding.Group("rate")


def _memory_screen() -> Screen[Any]:
    """Imported when it is first shown: input widgets cost a tenth of the time to the first paint."""
    from memdeck_console.screens.memory import MemoryScreen

    return MemoryScreen(name="memory")


class Console(App[int]):
    """memdeck's deck."""

    TITLE = "memdeck"
    TABS: ClassVar[tuple[tuple[str, str, str], ...]] = (
        ("1", "overview", "Overview"),
        ("3", "memory", "Memory"),
    )
    SCREENS: ClassVar[dict[str, Callable[[], Screen[Any]]]] = {
        "overview": lambda: OverviewScreen(name="overview"),
        "memory": _memory_screen,
    }
    HORIZONTAL_BREAKPOINTS = [  # noqa: RUF012 - Textual declares it as an instance's
        (0, "-w0"), (60, "-w60"), (80, "-w80"), (100, "-w100"), (120, "-w120"), (160, "-w160"),
    ]  # fmt: skip
    VERTICAL_BREAKPOINTS = [(0, "-h0"), (16, "-h16"), (30, "-h30")]  # noqa: RUF012 - as above
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("1", "show_screen('overview')", "overview", group=SCREENS_GROUP),
        Binding("3", "show_screen('memory')", "memory", group=SCREENS_GROUP),
        Binding("slash", "search", "search"),
        Binding("ctrl+r", "reconnect", "reconnect"),
        Binding("space", "pause", "pause"),
        Binding("plus", "rate(-1)", "redraw more often", group=RATE_GROUP),
        Binding("minus", "rate(1)", "redraw less often", group=RATE_GROUP),
        Binding("colon,ctrl+p", "command_palette", "palette", key_display=":"),
        Binding("question_mark", "help", "help"),
        Binding("r", "refresh_now", "refresh now"),
        Binding("f8", "picture", "screenshot"),
        Binding("ctrl+t", "next_theme", "other theme"),
        Binding("q,ctrl+q", "leave", "quit", key_display="q"),
    ]
    CSS = """
    Toast { background: $md-surface; color: $md-text; padding: 0 2; border-left: outer $md-accent; }
    Toast.-error { border-left: outer $md-crit; }
    Toast.-warning { border-left: outer $md-warn; }
    CommandPalette { background: $md-bg 60%; }
    CommandPalette > Vertical { background: $md-surface; }
    """

    def __init__(
        self,
        store: Store,
        link: Link,
        clock: Clock,
        *,
        instance: str = "",
        ascii_only: bool = False,
        read_only: bool = False,
        look: str = "dark",
        prd: bool = False,
    ) -> None:
        super().__init__()
        self.store, self.link, self.clock = store, link, clock
        self.instance, self.ascii_only, self.read_only, self.prd = instance, ascii_only, read_only, prd
        self.paused = False
        self.kept_palette: tuple[str, Palette] | None = None
        self._rate = 0
        self._drawn_at = float("-inf")
        for theme in THEMES.values():
            self.register_theme(theme)
        self.theme = THEMES[look].name

    # --- drawing ----------------------------------------------------------------------------------------------------

    def on_mount(self) -> None:
        """First the screen, then the link."""
        self.push_screen("overview")
        self.set_interval(FRAME, self.draw)
        self.call_after_refresh(self._start_link)
        if not self.is_headless:
            self._obey_signals()

    def _start_link(self) -> None:
        self.run_worker(self.link.run(), name="link", exit_on_error=False)

    def _obey_signals(self) -> None:
        """A terminated console leaves the terminal as it found it."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGHUP):
            with contextlib.suppress(NotImplementedError, ValueError):
                loop.add_signal_handler(number, self.exit, 0)

    def current_view(self) -> View:
        """What is known now."""
        return self.store.view()

    def draw(self, *, at_once: bool = False) -> None:
        """Show what is known on the screen in front; its body only as often as the person wants."""
        screen = self._deck_screen()
        if screen is None or not screen.is_mounted:
            return
        now = self.clock.monotonic()
        due = at_once or now - self._drawn_at >= RATES[self._rate] - FRAME / 2
        view = self.current_view()
        # Ages stand in every title while the link is down: they must not differ from the verdict's.
        frozen = self.paused or not (due or view.stale)
        if not frozen:
            self._drawn_at = now
        screen.show(view, frozen=frozen)

    def _deck_screen(self) -> DeckScreen | None:
        """The screen of the deck that is in front, or behind a dialog."""
        return next(
            (screen for screen in reversed(self.screen_stack) if isinstance(screen, DeckScreen)), None
        )

    @property
    def rate_words(self) -> str:
        """How often the body is redrawn."""
        return f"{RATES[self._rate]:.0f}s"

    # --- keys -------------------------------------------------------------------------------------------------------

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Only what can be done now."""
        del parameters
        if action == "reconnect":
            return self.current_view().link.state not in STEADY
        return True

    def action_show_screen(self, name: str) -> None:
        """Another screen of the deck."""
        if self.screen.name != name:
            self.switch_screen(name)

    async def action_search(self) -> None:
        """To the Memory screen, with the cursor in its search line."""
        await self.switch_screen("memory")
        self.screen.call_after_refresh(self._ask)

    async def _ask(self) -> None:
        await self.run_action("screen.ask")

    def action_reconnect(self) -> None:
        """Try now."""
        self.link.retry_now()

    def action_pause(self) -> None:
        """Hold the body still, or let it go on; header and verdict never stop."""
        self.paused = not self.paused
        self.draw(at_once=True)

    def action_rate(self, step: int) -> None:
        """Redraw the body more or less often."""
        self._rate = min(len(RATES) - 1, max(0, self._rate + step))
        self.draw(at_once=True)

    def action_refresh_now(self) -> None:
        """Redraw everything."""
        self.draw(at_once=True)

    def action_help(self) -> None:
        """The keys that work here."""
        from memdeck_console.screens.help import Help  # late: not part of the first paint

        self.push_screen(Help(self.screen))

    def action_next_theme(self) -> None:
        """The next look."""
        names = [theme.name for theme in THEMES.values()]
        self.theme = names[(names.index(self.theme) + 1) % len(names)] if self.theme in names else names[0]
        self.draw(at_once=True)

    def action_picture(self) -> None:
        """An SVG of the screen, in the working directory."""
        try:
            path = self.save_screenshot(self._file_name("screen", "svg"), path=str(Path.cwd()))
        except OSError as error:
            self.notify(f"The picture could not be written: {error}", severity="error")
        else:
            self.notify(f"Wrote {path}")

    def export(self, what: str, content: dict[str, Any]) -> None:
        """Write something as JSON to the working directory, and say where it is."""
        self.run_worker(self._export(what, content), name="export", exit_on_error=False)

    async def _export(self, what: str, content: dict[str, Any]) -> None:
        import msgspec

        path = Path.cwd() / self._file_name(what, "json")
        data = msgspec.json.format(msgspec.json.encode(content), indent=2)
        try:
            await asyncio.to_thread(path.write_bytes, data)
        except OSError as error:
            self.notify(f"{path} could not be written: {error.strerror}.", severity="error")
        else:
            self.notify(f"Wrote {path}")

    def _file_name(self, what: str, suffix: str) -> str:
        return f"memdeck-{what}-{self.clock.now():%Y%m%d-%H%M%S}.{suffix}"

    def action_leave(self) -> None:
        """Leave; the daemon goes on."""
        self.exit(0)

    def copy_to_clipboard(self, text: str) -> None:
        """To the clipboard: by `pbcopy` on macOS, whose Terminal ignores the escape sequence, else by OSC 52."""
        if sys.platform == "darwin":
            self.run_worker(_pbcopy(text), name="copy", exit_on_error=False)
        super().copy_to_clipboard(text)

    def get_system_commands(self, screen: Screen[Any]) -> Iterable[SystemCommand]:
        """Every action that is available, with its key."""
        from memdeck_console.widgets.chrome import key_text

        seen: set[str] = set()
        for active in screen.active_bindings.values():
            binding = active.binding
            if not active.enabled or not binding.description or binding.action in seen:
                continue
            seen.add(binding.action)
            words = binding.description[0].upper() + binding.description[1:]
            yield SystemCommand(words, f"key {key_text(binding)}", self._runner(binding.action, active.node))
        for name in THEMES:
            yield SystemCommand(f"Theme: {name}", "how it looks", self._themer(name))

    def _runner(self, action: str, node: Any) -> Callable[[], Any]:
        async def run() -> None:
            await self.run_action(action, node)

        return run

    def _themer(self, name: str) -> Callable[[], None]:
        def choose() -> None:
            self.theme = THEMES[name].name
            self.draw(at_once=True)

        return choose

    # --- what went wrong --------------------------------------------------------------------------------------------

    def on_worker_state_changed(self, event: Worker.StateChanged) -> None:
        """A worker that failed is shown; the console goes on."""
        if event.state is WorkerState.ERROR:
            error = event.worker.error
            self.notify(
                f"{type(error).__name__}: {error}", title=f"{event.worker.name} failed", severity="error"
            )


async def _pbcopy(text: str) -> None:
    with contextlib.suppress(OSError):
        process = await asyncio.create_subprocess_exec("pbcopy", stdin=asyncio.subprocess.PIPE)
        await asyncio.wait_for(process.communicate(text.encode()), 5)


def connector(address: "Address | None", home: Home) -> Connect:
    """How to reach the daemon: its home is read again at each try, since it may come back at another port.

    Only an address that the home did not tell (`--url`, `MEMDECK_URL`) stays as it is.
    """

    @contextlib.asynccontextmanager
    async def connect() -> AsyncIterator[Daemon]:
        from memdeck_console.core.link import load_client  # late: see load_client

        await load_client()
        from memdeck_common.client import Client, find_daemon

        nonlocal address
        if address is not None and address in _told(home):
            address = None
        async with Client(address or find_daemon(home)) as client:
            yield client

    return connect


def _told(home: Home) -> list["Address"]:
    """The addresses by which the home's own daemon is found."""
    from memdeck_common.client import find_daemon
    from memdeck_common.errors import DaemonUnreachable

    own = {name: value for name, value in os.environ.items() if name != "MEMDECK_URL"}
    with contextlib.suppress(DaemonUnreachable):
        return [find_daemon(home, own)]
    return []


def run_console(
    address: "Address | None",
    home: Home,
    *,
    ascii: bool = False,  # noqa: A002 - the name of the option
    read_only: bool = False,
    theme: str | None = None,
    instance: str = "",
    profile: str = "",
) -> int:
    """Run the console until the person leaves; the exit code.

    Args:
        address: of the daemon; None: read from the environment or the home at each try, which follows a daemon that
            comes back at another port.
        home: whose daemon it is.
        ascii: plain characters only.
        read_only: hide everything that changes something.
        theme: `dark`, `light` or `high-contrast`; None: dark.
        instance: name to show before the daemon has told its own.
        profile: `prd` puts header, tabs and footer on red; so does an instance of that name.

    Raises:
        ConfigurationError: there is no such theme.
    """
    from memdeck_console.core.link import FeedLink

    look = "contrast" if theme == "high-contrast" else theme or "dark"
    if look not in THEMES:
        from memdeck_common.errors import ConfigurationError

        raise ConfigurationError(f"There is no theme {theme!r}; choose dark, light or high-contrast.")
    clock = SystemClock()
    store = Store(clock)
    link = FeedLink(store, connector(address, home), clock)
    prd = "prd" in {profile, instance}
    ascii = ascii or os.environ.get("MEMDECK_ASCII", "0") not in {"", "0"}  # noqa: A001 - the name of the option
    app = Console(
        store, link, clock, instance=instance, ascii_only=ascii, read_only=read_only, look=look, prd=prd
    )
    code = app.run()
    return app.return_code or code or 0
