"""Compile the one optional extension, guard.screening.learned._kernel; without a compiler its twin in Python serves."""

import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface
from setuptools import Distribution, Extension
from setuptools.command.build_ext import build_ext
from setuptools.errors import BaseError, CCompilerError

SOURCE = "guard/screening/learned/_kernel.c"
MODULE = "guard.screening.learned._kernel"


class Kernel(BuildHookInterface[Any]):
    """Puts the compiled extension into the wheel, or beside its source for an editable install."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile it; a wheel without it is for any machine."""
        if self.target_name != "wheel":
            return
        built = self._compiled(editable=version == "editable")
        if built is None:
            return
        build_data["pure_python"] = False
        build_data["infer_tag"] = True
        if version != "editable":
            build_data["force_include"][str(built)] = f"guard/screening/learned/{built.name}"

    def _compiled(self, *, editable: bool) -> Path | None:
        root = Path(self.root)
        flags = [] if sys.platform == "win32" else ["-O3"]
        extension = Extension(MODULE, [str(root / SOURCE)], extra_compile_args=flags)
        command = build_ext(Distribution({"name": "guard", "ext_modules": [extension]}))
        command.build_temp = str(root / "build" / "kernel")
        command.build_lib = str(root if editable else root / "build" / "lib")
        command.force = True  # what an earlier build left may be another compiler's
        command.ensure_finalized()
        try:
            command.run()
        except (BaseError, CCompilerError, OSError) as error:
            self.app.display_warning(f"guard is installed without its compiled kernel: {error}")
            return None
        return Path(command.get_ext_fullpath(MODULE))
