"""Import and export against a real daemon."""

import json
import subprocess
from collections import defaultdict
from pathlib import Path
from typing import Any

from tests.e2e.cli.conftest import MEMDECK, Commands


def written(path: Path, records: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    return path


def records(scope: str, count: int) -> list[dict[str, Any]]:
    """Turns of three runs, mixed, with everything that a line may hold."""
    return [
        {
            "memory": f"turn {number} of the talk",
            "user_id": scope,
            "run_id": f"run{number % 3}",
            "role": "assistant" if number % 2 else "user",
            "actor_id": f"speaker{number % 2}",
            "metadata": {"n": number, "nested": {"list": [1, "zwei"]}},
            "categories": ["talk"],
            "created_at": f"2026-03-{1 + number % 28:02}T10:00:00+00:00",
            "expiration_date": "2999-12-31",
        }
        for number in range(count)
    ]


KEPT = (
    "memory",
    "user_id",
    "run_id",
    "role",
    "actor_id",
    "metadata",
    "categories",
    "expiration_date",
    "created_at",
)


def kept(line: dict[str, Any]) -> str:
    fields = {name: line.get(name) for name in KEPT}
    return json.dumps(fields | {"created_at": line["created_at"][:19]}, sort_keys=True)


def count_of(memdeck: Commands, scope: str) -> int:
    return int(memdeck("list", "--user", scope, "--limit", "1", "--json").json["count"])


def test_import_twice_stores_once_and_export_gives_it_back(
    memdeck: Commands, scope: str, tmp_path: Path
) -> None:
    """Nothing is lost on the way in and out, and the same import again doubles nothing."""
    source = written(tmp_path / "in.jsonl", records(scope, 500))
    first = memdeck("import", str(source), "--json").json
    assert (500, 500, 0) == (first["lines"], first["stored"], first["bad"])
    again = memdeck("import", str(source), "--json").json
    assert (0, 500) == (again["stored"], again["earlier"])
    assert 500 == count_of(memdeck, scope)

    target = tmp_path / "out.jsonl"
    assert 500 == memdeck("export", "--user", scope, "--output", str(target), "--json").json["exported"]
    assert 0o600 == target.stat().st_mode & 0o777
    lines = [json.loads(line) for line in target.read_text(encoding="utf-8").splitlines()]
    assert sorted(map(kept, records(scope, 500))) == sorted(map(kept, lines))
    assert [] == [path for path in tmp_path.iterdir() if path not in {source, target}]


def test_order_within_a_run_is_kept(memdeck: Commands, scope: str, tmp_path: Path) -> None:
    """Neighbours in the file are neighbours in the run, on the way in and on the way out."""
    same = [{"memory": f"{number:03}", "user_id": scope, "run_id": f"r{number % 4}"} for number in range(200)]
    memdeck("import", str(written(tmp_path / "in.jsonl", same)))
    runs: dict[str, list[str]] = defaultdict(list)
    for line in memdeck("export", "--user", scope).out.splitlines():
        record = json.loads(line)
        runs[record["run_id"]].append(record["memory"])
    assert {f"r{run}": [f"{n:03}" for n in range(run, 200, 4)] for run in range(4)} == runs


def test_export_piped_into_import(memdeck: Commands, scope: str, tmp_path: Path) -> None:
    """A pipe between two commands works while both talk to the daemon."""
    memdeck("import", str(written(tmp_path / "in.jsonl", records(scope, 50))))
    pipe = f'"{MEMDECK}" export --user {scope} | sed s/{scope}/{scope}_copy/ | "{MEMDECK}" import - --json'
    done = subprocess.run(
        ["sh", "-c", pipe], capture_output=True, env=dict(memdeck.environment), timeout=60, check=True
    )
    assert 50 == json.loads(done.stdout)["stored"]
    assert 50 == count_of(memdeck, f"{scope}_copy")


def test_bad_lines(memdeck: Commands, scope: str, tmp_path: Path) -> None:
    """Nothing is stored when a line is bad; with --skip-bad all others are."""
    source = written(tmp_path / "in.jsonl", records(scope, 3))
    with source.open("a", encoding="utf-8") as file:
        file.write(
            '{"memory": "no owner"}\nnot json\n' + json.dumps({"memory": "y" * 70_000, "user_id": scope})
        )
    refused = memdeck("import", str(source), code=1)
    assert "line 4:" in refused.err
    assert "line 5:" in refused.err
    assert 0 == count_of(memdeck, scope)
    report = memdeck("import", str(source), "--skip-bad", "--json").json
    assert ([4, 5, 6], 3) == ([bad["line"] for bad in report["bad_lines"]], report["stored"])


def test_conversations(memdeck: Commands, scope: str, tmp_path: Path) -> None:
    """`messages` store one memory each."""
    turns = [{"role": "user", "content": "hi", "name": "Al"}, {"role": "assistant", "content": "hello"}]
    source = written(tmp_path / "in.jsonl", [{"messages": turns, "run_id": scope}])
    assert 2 == memdeck("import", str(source), "--json").json["stored"]
    assert 2 == memdeck("list", "--run", scope, "--json").json["count"]
