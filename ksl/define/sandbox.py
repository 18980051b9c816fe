"""Where an agent may work with files and, when told so, with a shell."""

from __future__ import annotations

from ksl.define.slug import check_slug
from ksl.define.tool_source import ToolSource
from ksl.errors import MalformedDefinition

MIB = 1024 * 1024


class Sandbox(ToolSource):
    """A folder of files for an agent: `.ksl/workspaces/<files>`. It outlives prompts, sessions and restarts; agents
    that name the same set share it."""

    def __init__(
        self,
        files: str,
        *,
        shell: bool = False,
        network: bool = False,
        shell_timeout_s: float = 120,
        file_bytes_max: int = 16 * MIB,
        set_bytes_max: int = 1024 * MIB,
    ) -> None:
        """`shell` adds the tool bash, with `network` only where that is true too. A command ends after
        `shell_timeout_s`. No file grows over `file_bytes_max`, nor all of the set's together over `set_bytes_max`."""
        self.files = check_slug(files, where="a sandbox's set of files")
        self.shell = shell
        self.network = network
        if network and not shell:
            raise MalformedDefinition(f"Sandbox({files!r}, network=True): only shell=True has a use for it.")
        if shell_timeout_s <= 0 or file_bytes_max < 1 or set_bytes_max < file_bytes_max:
            raise MalformedDefinition(
                f"Sandbox({files!r}): shell_timeout_s={shell_timeout_s}, file_bytes_max={file_bytes_max}, "
                f"set_bytes_max={set_bytes_max}. All are more than zero, and a set holds at least one file of full "
                "size."
            )
        self.shell_timeout_s = shell_timeout_s
        self.file_bytes_max = file_bytes_max
        self.set_bytes_max = set_bytes_max

    def __repr__(self) -> str:
        return f"Sandbox({self.files!r}, shell={self.shell})"
