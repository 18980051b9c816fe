"""KSL010 and KSL2xx: definitions, settings, and what is found in the folder of a project."""

from __future__ import annotations

from ksl.errors.tree import FixCode, FixRequest

__all__ = [
    "BadSetting",
    "ConfigUnreadable",
    "DuplicateSlug",
    "FolderExists",
    "ImportFailed",
    "MalformedDefinition",
    "NoColumnPositions",
    "NotAProject",
    "SourceMissing",
    "UnknownSetting",
    "UnsafeBind",
]


class MalformedDefinition(FixCode):
    """A decorator was given something it cannot turn into an action or a workflow."""

    code = "KSL010"


class ConfigUnreadable(FixRequest):
    """ksl.toml cannot be read or is not TOML."""

    code = "KSL200"


class UnknownSetting(FixRequest):
    """ksl.toml or the environment names a setting that does not exist."""

    code = "KSL201"


class BadSetting(FixRequest):
    """A setting has a value that cannot be used."""

    code = "KSL202"


class NotAProject(FixRequest):
    """No ksl.toml here or in a folder above."""

    code = "KSL203"


class ImportFailed(FixCode):
    """One or more modules of the project failed to import."""

    code = "KSL204"


class DuplicateSlug(FixCode):
    """Two definitions of one kind share a slug."""

    code = "KSL205"


class UnsafeBind(FixRequest):
    """The server was asked to listen beyond this machine without a token."""

    code = "KSL206"


class NoColumnPositions(FixRequest):
    """The interpreter was started without column positions, which step ids need."""

    code = "KSL207"


class FolderExists(FixRequest):
    """`ksl init` would overwrite something."""

    code = "KSL208"


class SourceMissing(FixCode):
    """A workflow's source cannot be found, so its steps cannot be told apart."""

    code = "KSL209"
