"""Compile the optional extensions, each by itself; where one fails or there is no compiler, its twin serves."""

import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface
from setuptools import Distribution, Extension
from setuptools.command.build_ext import build_ext
from setuptools.errors import BaseError, CCompilerError

MODULES = (
    "guard.screening.learned._kernel",
    "guard.provenance._grams",
    "guard.provenance._scan",
    "guard.evidence._links",
    "guard.behavior._study",
    "guard.screening._kernel",
)


class Extensions(BuildHookInterface[Any]):
    """Puts the compiled extensions into the wheel, or beside their sources for an editable install."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile them; a wheel without any is for any machine."""
        if self.target_name != "wheel":
            return
        for module in MODULES:
            built = self._compiled(module, editable=version == "editable")
            if built is None:
                continue
            build_data["pure_python"] = False
            build_data["infer_tag"] = True
            if version != "editable":
                folder = "/".join(module.split(".")[:-1])
                build_data["force_include"][str(built)] = f"{folder}/{built.name}"

    def _compiled(self, module: str, *, editable: bool) -> Path | None:
        root = Path(self.root)
        source = root.joinpath(*module.split(".")).with_suffix(".c")
        flags = [] if sys.platform == "win32" else ["-O3"]
        extension = Extension(module, [str(source)], extra_compile_args=flags)
        command = build_ext(Distribution({"name": "guard", "ext_modules": [extension]}))
        command.build_temp = str(root / "build" / "extensions")
        command.build_lib = str(root if editable else root / "build" / "lib")
        command.force = True  # what an earlier build left may be another compiler's
        command.ensure_finalized()
        try:
            command.run()
        except (BaseError, CCompilerError, OSError) as error:
            self.app.display_warning(f"guard is installed without its compiled {module}: {error}")
            return None
        return Path(command.get_ext_fullpath(module))
