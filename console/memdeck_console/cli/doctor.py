"""`memdeck doctor`: what is wrong here, and what to do about it."""

from typing import TYPE_CHECKING

from memdeck_console.cli.command import Command, Invocation
from memdeck_console.cli.terminal import Terminal, clean
from memdeck_console.cli.wording import counted

if TYPE_CHECKING:
    from memdeck_console.cli.checks.site import Finding, Site

WORDS = {"pass": "PASS", "warn": "WARN", "fail": "FAIL", "na": "N/A"}


def run(invocation: Invocation) -> int:
    """Run all checks; exit code 1 when one fails."""
    import asyncio  # late: start-up

    from memdeck_console.cli.checks.site import survey  # late: aiohttp

    terminal = invocation.terminal
    findings = examined(asyncio.run(survey(invocation)))
    failed = sum(finding.state == "fail" for finding in findings)
    warned = sum(finding.state == "warn" for finding in findings)
    if terminal.as_json:
        terminal.json({"failed": failed, "warned": warned, "findings": findings})
    else:
        _show(terminal, findings)
        terminal.say(f"\n{_verdict(failed, warned)}")
    return 1 if failed else 0


def examined(site: "Site") -> list["Finding"]:
    """What all checks find, area by area."""
    from memdeck_console.cli.checks import configuration, daemon, database, embedder, home, machine, ports

    areas = (machine, home, configuration, daemon, ports, database, embedder)
    return [finding for area in areas for check in area.CHECKS for finding in check(site)]


def _show(terminal: Terminal, findings: list["Finding"]) -> None:
    console = terminal.rich(terminal.stdout)
    width = max(len(finding.check) for finding in findings)
    styles = {"pass": "green", "warn": "yellow", "fail": "bold red", "na": "dim"}
    for finding in findings:
        state = f"{terminal.glyph(finding.state)} {WORDS[finding.state]}"
        console.print(f"{state:<7}", style=styles[finding.state], end="")
        console.print(f"{finding.check:<{width}}  {clean(finding.summary)}", soft_wrap=True)
        if finding.advice:
            arrow = "→" if terminal.unicode else "->"
            console.print(f"{'':7}{'':<{width}}  {arrow} {clean(finding.advice)}", soft_wrap=True)


def _verdict(failed: int, warned: int) -> str:
    if failed:
        return f"{counted(failed, 'check')} failed" + (f", {counted(warned, 'warning')}" if warned else "")
    return counted(warned, "warning") if warned else "All is well."


COMMANDS = (
    Command(
        "doctor",
        "find what is wrong and say what to do",
        run,
        details=(
            "Look at machine, home, settings, ports, daemon, database and embedder. Changes nothing. Exit code 1 when a check fails."
        ),
        examples=("memdeck doctor", "memdeck doctor --json"),
    ),
)
